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
import { UpdateRefused } from '../update/refused.js';

export const MAGIC = Buffer.from('CWR1', 'latin1');
const HEAD = MAGIC.length + 4;
/** Bytes of a record that {@link recordLength} needs. */
export const LONGEST_HEAD = HEAD + 8;

/** What a record is of. */
export const KIND = { update: 0, room: 1, snapshot: 2, quarantine: 3, backup: 4 } as const;
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

/** Of UTF-8, for one unit of UTF-16. */
const BYTES_A_UNIT = 3;
const LONGEST_NUMBERS = 1 + 8 + 8;
const LONGEST_LENGTH = 8;
const FIELDS = {
  [KIND.update]: 2,
  [KIND.room]: 3,
  [KIND.snapshot]: 1,
  [KIND.quarantine]: 2,
  [KIND.backup]: 1,
};

/** What a record holds: bytes, or text that becomes UTF-8. */
export type Field = Uint8Array | string;

/** @returns a new array. */
export function encodeRecord(key: RecordKey, fields: readonly Field[]): Buffer {
  const body = bodyLength(key, fields);
  const bytes = Buffer.from(new Uint8Array(HEAD + uintSize(body) + body).buffer);
  writeRecord(bytes, 0, key, fields);
  return bytes;
}

/** How many bytes {@link writeRecord} writes at most. */
export function longestRecord({ room }: RecordKey, fields: readonly Field[]): number {
  let length = LONGEST_HEAD + LONGEST_NUMBERS + room.length * BYTES_A_UNIT;
  for (const field of fields) {
    length += LONGEST_LENGTH + field.length * (typeof field === 'string' ? BYTES_A_UNIT : 1);
  }
  return length;
}

/**
 * @param into has room for it from `at` on; see {@link longestRecord}
 * @returns where the record ends
 */
export function writeRecord(
  into: Buffer,
  at: number,
  key: RecordKey,
  fields: readonly Field[],
): number {
  const writer = new Writer(into, at + HEAD);
  writer.uint(bodyLength(key, fields));
  writer.uint(key.kind);
  writeField(writer, into, key.room);
  writer.uint(key.seq);
  for (const field of fields) writeField(writer, into, field);
  MAGIC.copy(into, at);
  into.writeUInt32LE(crc32(into.subarray(at + HEAD, writer.pos)), at + MAGIC.length);
  return writer.pos;
}

function writeField(writer: Writer, into: Buffer, field: Field): void {
  writer.uint(Buffer.byteLength(field));
  if (typeof field === 'string') writer.pos += into.write(field, writer.pos);
  else writer.raw(field);
}

function bodyLength({ room, seq }: RecordKey, fields: readonly Field[]): number {
  let length = 1 + fieldLength(room) + uintSize(seq);
  for (const field of fields) length += fieldLength(field);
  return length;
}

function fieldLength(field: Field): number {
  const length = Buffer.byteLength(field);
  return uintSize(length) + length;
}

/** What {@link readRecords} comes across: a whole record, or bytes that are none. */
export interface Found {
  readonly bytes: Buffer;
  readonly record: Record | undefined;
}

/**
 * Records that were written one behind the other. What is damaged between them comes, too.
 *
 * A damaged record is stepped over by its length. Where that is damaged itself, the
 * next one can only be looked for; what is found then may be something that a client
 * put into an entry, made to look like a record.
 *
 * @param search whether to look for it; otherwise all behind is damaged
 */
export function* readRecords(bytes: Buffer, search: boolean): Iterable<Found> {
  for (let at = 0; at < bytes.length; ) {
    const whole = recordAt(bytes, at);
    const end = whole === undefined ? endOfDamage(bytes, at, search) : at + whole.bytes.length;
    yield whole ?? { bytes: bytes.subarray(at, end), record: undefined };
    at = end;
  }
}

function endOfDamage(bytes: Buffer, at: number, search: boolean): number {
  const end = at + (recordLength(bytes.subarray(at, at + LONGEST_HEAD)) ?? bytes.length);
  if (end < bytes.length && bytes.subarray(end, end + MAGIC.length).equals(MAGIC)) return end;
  if (!search) return bytes.length;
  let next = at;
  do next = bytes.indexOf(MAGIC, next + 1);
  while (next >= 0 && recordAt(bytes, next) === undefined);
  return next < 0 ? bytes.length : next;
}

function recordAt(bytes: Buffer, at: number): Found | undefined {
  const length = recordLength(bytes.subarray(at, at + LONGEST_HEAD));
  if (length === undefined || at + length > bytes.length) return undefined;
  const whole = bytes.subarray(at, at + length);
  const record = decodeRecord(whole);
  return record && { bytes: whole, record };
}

/** @returns undefined when the bytes are not one whole, undamaged record */
export function decodeRecord(bytes: Buffer): Record | undefined {
  if (recordLength(bytes) !== bytes.length) return undefined;
  if (bytes.readUInt32LE(MAGIC.length) !== crc32(bytes.subarray(HEAD))) return undefined;
  try {
    return readBody(new Reader(bytes, HEAD));
  } catch (error) {
    // The checksum is no secret: what a client made to look like a record may have any body.
    if (error instanceof UpdateRefused) return undefined;
    throw error;
  }
}

function readBody(reader: Reader): Record | undefined {
  reader.uint();
  const kind = reader.uint() as Kind;
  const room = reader.string();
  const seq = reader.uint();
  const fields: Uint8Array[] = [];
  for (let i = 0; i < (FIELDS[kind] ?? 0); i++) {
    const length = reader.uint();
    const start = reader.pos;
    reader.skip(length);
    fields.push(reader.bytes.subarray(start, reader.pos));
  }
  return fields.length > 0 && reader.left === 0 ? { kind, room, seq, fields } : undefined;
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
