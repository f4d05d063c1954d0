/** State vectors: how many units of each client's clock are known. Format: yjs `encodeStateVector`. */
import { Reader, uintSize, Writer } from './bytes.js';
import { UpdateRefused } from './refused.js';

export type StateVector = ReadonlyMap<number, number>;

/** @throws {UpdateRefused} when it is cut short, over-declared or has bytes behind it. */
export function decodeStateVector(bytes: Uint8Array): Map<number, number> {
  const reader = new Reader(bytes);
  const vector = readStateVector(reader);
  if (reader.left > 0) throw new UpdateRefused('bytes after the state vector');
  return vector;
}

/** @throws {UpdateRefused} when it is cut short or over-declared. */
export function readStateVector(reader: Reader): Map<number, number> {
  const count = reader.uint();
  if (count * 2 > reader.left) throw new UpdateRefused('more clients declared than sent');
  const vector = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const client = reader.uint();
    vector.set(client, reader.uint());
  }
  return vector;
}

/** @returns a new array. */
export function encodeStateVector(vector: StateVector): Uint8Array {
  let size = uintSize(vector.size);
  for (const [client, clock] of vector) size += uintSize(client) + uintSize(clock);
  const writer = new Writer(size);
  writer.uint(vector.size);
  for (const [client, clock] of vector) {
    writer.uint(client);
    writer.uint(clock);
  }
  return writer.bytes;
}

/** Whether `vector` has all that `other` has. */
export function covers(vector: StateVector, other: StateVector): boolean {
  for (const [client, clock] of other) if ((vector.get(client) ?? 0) < clock) return false;
  return true;
}

/** Whether `vector` has anything that `other` has. */
export function meets(vector: StateVector, other: StateVector): boolean {
  for (const client of vector.keys()) if (other.has(client)) return true;
  return false;
}
