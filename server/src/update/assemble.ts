/**
 * Puts parts of updates together into one V1 update, by copying bytes.
 *
 * This works where `Y.mergeUpdates` would have to decode, because the log is
 * causally closed: a client's parts follow each other without a hole or overlap.
 */
import { uintSize, Writer } from './bytes.js';
import type { Ranges } from './ranges.js';

/** Structs of one client from `start` on, without holes. */
export interface Part {
  readonly client: number;
  readonly start: number;
  readonly count: number;
  readonly chunks: readonly Uint8Array[];
}

/**
 * @param deletes per client, canonical as ranges.ts says
 * @returns a new array
 */
export function assemble(
  parts: readonly Part[],
  deletes: Iterable<readonly [number, Ranges]>,
): Uint8Array {
  const sections = [...deletes].filter(([, ranges]) => ranges.length > 0);
  let size = uintSize(parts.length) + uintSize(sections.length);
  for (const part of parts) {
    size += uintSize(part.count) + uintSize(part.client) + uintSize(part.start);
    for (const chunk of part.chunks) size += chunk.length;
  }
  for (const [client, ranges] of sections) {
    size += uintSize(client) + uintSize(ranges.length / 2);
    for (let i = 0; i < ranges.length; i += 2) {
      size += uintSize(ranges[i]!) + uintSize(ranges[i + 1]! - ranges[i]!);
    }
  }
  const writer = new Writer(size);
  writer.uint(parts.length);
  for (const part of parts) {
    writer.uint(part.count);
    writer.uint(part.client);
    writer.uint(part.start);
    for (const chunk of part.chunks) writer.raw(chunk);
  }
  writer.uint(sections.length);
  for (const [client, ranges] of sections) {
    writer.uint(client);
    writer.uint(ranges.length / 2);
    for (let i = 0; i < ranges.length; i += 2) {
      writer.uint(ranges[i]!);
      writer.uint(ranges[i + 1]! - ranges[i]!);
    }
  }
  return writer.bytes;
}

/** An update that changes nothing. */
export const EMPTY_UPDATE: Uint8Array = Uint8Array.of(0, 0);
