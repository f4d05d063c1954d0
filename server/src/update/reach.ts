/**
 * How far a snapshot reaches, as stores keep it beside the snapshot: its state vector and,
 * behind that, how deep its deep items lie. Most documents have none of these, and no byte.
 */
import { Reader } from './bytes.js';
import { Levels } from './levels.js';
import { readStateVector, type StateVector } from './state-vector.js';

export interface Reach {
  readonly vector: StateVector;
  readonly levels: Levels;
}

/**
 * @param vector as Yjs encodes it
 * @returns a new array
 */
export function encodeReach(vector: Uint8Array, levels: Levels): Uint8Array {
  const deep = levels.encode();
  const bytes = new Uint8Array(vector.length + deep.length);
  bytes.set(vector);
  bytes.set(deep, vector.length);
  return bytes;
}

/** @throws {UpdateRefused} when it is cut short. */
export function decodeReach(bytes: Uint8Array): Reach {
  const reader = new Reader(bytes);
  const vector = readStateVector(reader);
  return { vector, levels: Levels.decode(reader) };
}
