/**
 * How entries and snapshots are written as bytes: with a checksum, so that a
 * damaged record is noticed before Yjs sees it, and with their own key, so that
 * they can be found again in a file whose index is lost (salvage.ts).
 *
 * A record: `CWR1`, four bytes of CRC-32 (little-endian) over all that follows,
 * varUint length of the rest, then kind, room, seq and the fields, each field a
 * varUint length and its bytes.
 */
import { crc32 } from 'node:zlib';
import { Reader, uintSize, Writer } from '../update/bytes.js';

export const MAGIC = Buffer.from('CWR1', 'latin1');
const HEAD = MAGIC.length + 4;
/** Bytes of a record that {@link recordLength} needs. */
export const LONGEST_HEAD = HEAD + 8;

/** What a record is of. */
export const KIND = { update: 0, room: 1, snapshot: 2, quarantine: 3 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export interface RecordKey {
  readonly kind: Kind;
  readonly room: string;
  readonly seq: number;
}

export interface Record extends RecordKey {
  /** Views into the bytes that were decoded. */
  readonly fields: readonly Uint8Array[];
}

const text = new TextEncoder();
const FIELDS = { [KIND.update]: 2, [KIND.room]: 3, [KIND.snapshot]: 1, [KIND.quarantine]: 2 };

/** @returns a new array. */
export function encodeRecord(
  { kind, room, seq }: RecordKey,
  fields: readonly Uint8Array[],
): Buffer {
  const name = text.encode(room);
  let size = 1 + uintSize(name.length) + name.length + uintSize(seq);
  for (const field of fields) size += uintSize(field.length) + field.length;
  const writer = new Writer(HEAD + uintSize(size) + size);
  const bytes = Buffer.from(writer.bytes.buffer);
  MAGIC.copy(bytes);
  writer.pos = HEAD;
  writer.uint(size);
  writer.uint(kind);
  writer.uint(name.length);
  writer.raw(name);
  writer.uint(seq);
  for (const field of fields) {
    writer.uint(field.length);
    writer.raw(field);
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD)), MAGIC.length);
  return bytes;
}

/** @returns undefined when the bytes are not one whole, undamaged record */
export function decodeRecord(bytes: Buffer): Record | undefined {
  if (recordLength(bytes) !== bytes.length) return undefined;
  if (bytes.readUInt32LE(MAGIC.length) !== crc32(bytes.subarray(HEAD))) return undefined;
  const reader = new Reader(bytes, HEAD);
  reader.uint();
  const kind = reader.uint() as Kind;
  const room = reader.string();
  const seq = reader.uint();
  const fields: Uint8Array[] = [];
  for (let i = 0; i < FIELDS[kind]; i++) {
    const length = reader.uint();
    const start = reader.pos;
    reader.skip(length);
    fields.push(bytes.subarray(start, reader.pos));
  }
  return { kind, room, seq, fields };
}

/**
 * @param head the record's first bytes, {@link LONGEST_HEAD} of them unless it is shorter
 * @returns the length of the whole record, or undefined when none begins here
 */
export function recordLength(head: Buffer): number | undefined {
  if (head.length <= HEAD || !head.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const reader = new Reader(head, HEAD);
  try {
    const size = reader.uint();
    return reader.pos + size;
  } catch {
    // The length is cut off, or no length: whatever begins with these four bytes is not a record.
    return undefined;
  }
}
