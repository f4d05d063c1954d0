/**
 * One value between two processes, through a pipe: JSON, with the byte arrays behind it as they are.
 * Node's own channel would hold a large document three times on either side.
 */
import type { Readable, Writable } from 'node:stream';

interface Header {
  readonly value: unknown;
  /** Bytes of each array. */
  readonly sizes: readonly number[];
}

/** Stands in {@link Header.value} for an array. */
interface Place {
  readonly bytes?: number;
  readonly words?: number;
}

/** @param value of plain objects, byte arrays and arrays of words; what is undefined in it is left out */
export async function writeFrame(stream: Writable, value: unknown): Promise<void> {
  const arrays: Uint8Array[] = [];
  const placed = placing(value, arrays);
  const sizes = arrays.map(({ length }) => length);
  const header = Buffer.from(JSON.stringify({ value: placed, sizes } satisfies Header));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length);
  for (const part of [size, header, ...arrays]) {
    await new Promise<void>((resolve, reject) => {
      stream.write(part, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** The other process is gone, or going. */
export class EndedEarly extends Error {
  override readonly name = 'EndedEarly';
}

/** @throws {EndedEarly} when the stream ends before the value does */
export async function readFrame(stream: Readable): Promise<unknown> {
  const steps = frame();
  let step = steps.next();
  let filled = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    let from = 0;
    while (!step.done) {
      const { value } = step;
      const part = chunk.subarray(from, from + value.length - filled);
      value.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled < value.length) break;
      step = steps.next();
      filled = 0;
    }
    if (step.done) return step.value;
  }
  throw new EndedEarly('the other process has ended');
}

/** Each array that it yields is to be filled. */
function* frame(): Generator<Uint8Array, unknown> {
  const size = Buffer.alloc(4);
  yield size;
  const json = Buffer.alloc(size.readUInt32LE());
  yield json;
  const { value, sizes } = JSON.parse(json.toString()) as Header;
  const arrays = sizes.map((length) => new Uint8Array(length));
  yield* arrays;
  return taking(value, arrays);
}

function placing(value: unknown, arrays: Uint8Array[]): unknown {
  if (value instanceof Uint8Array) return { bytes: arrays.push(value) - 1 } satisfies Place;
  if (value instanceof Uint32Array) {
    const { buffer, byteOffset, byteLength } = value;
    return { words: arrays.push(new Uint8Array(buffer, byteOffset, byteLength)) - 1 };
  }
  if (Array.isArray(value)) return value.map((each) => placing(each, arrays));
  if (typeof value !== 'object' || value === null) return value;
  return { fields: mapped(value, (each) => placing(each, arrays)) };
}

function taking(value: unknown, arrays: readonly Uint8Array[]): unknown {
  if (Array.isArray(value)) return value.map((each) => taking(each, arrays));
  if (typeof value !== 'object' || value === null) return value;
  const { fields, bytes, words } = value as Place & { readonly fields?: object };
  if (fields !== undefined) return mapped(fields, (each) => taking(each, arrays));
  if (bytes !== undefined) return arrays[bytes];
  return new Uint32Array(arrays[words!]!.buffer);
}

function mapped(fields: object, by: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, by(value)]));
}
