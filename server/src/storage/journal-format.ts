/**
 * How the journal lies in its two files.
 *
 * A file: `CWJF`, CRC-32 (little-endian) of the tag, and the *tag*: eight random
 * bytes, the same in both files. Clients choose what is in their entries, so bytes
 * that look like a commit may lie anywhere; only one with the tag is one.
 *
 * A commit in it: `CWJ1`, CRC-32 of all that follows, four bytes of length of the
 * records, six bytes of the file's generation, the tag, and the records (record.ts)
 * of its entries, those of a room together. A commit that was interrupted does not
 * match its checksum, and counts for nothing.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Bytes of a file. Twice as many are kept in memory at most, and read at the start after a crash. */
export const FILE_BYTES = 4 * 1024 * 1024;

export const TAG_BYTES = 8;
const FILE_MAGIC = Buffer.from('CWJF', 'latin1');
const FILE_TAG_AT = FILE_MAGIC.length + 4;
/** What stands at the beginning of a file. */
export const FILE_HEAD = FILE_TAG_AT + TAG_BYTES;

const COMMIT_MAGIC = Buffer.from('CWJ1', 'latin1');
const CRC_AT = 4;
const LENGTH_AT = 8;
const GENERATION_AT = 12;
const GENERATION_BYTES = 6;
const TAG_AT = GENERATION_AT + GENERATION_BYTES;
/** What stands before a commit's records. */
export const COMMIT_HEAD = TAG_AT + TAG_BYTES;

export function pathOf(folder: string, place: number): string {
  return join(folder, `journal-${place}`);
}

export function fileHead(tag: Buffer): Buffer {
  const head = Buffer.alloc(FILE_HEAD);
  FILE_MAGIC.copy(head);
  head.writeUInt32LE(crc32(tag), FILE_MAGIC.length);
  tag.copy(head, FILE_TAG_AT);
  return head;
}

/** @returns undefined when the file has no whole head */
export function tagOf(file: Buffer): Buffer | undefined {
  const tag = file.subarray(FILE_TAG_AT, FILE_HEAD);
  const isWhole = tag.length === TAG_BYTES && fileHead(tag).equals(file.subarray(0, FILE_HEAD));
  return isWhole ? tag : undefined;
}

/** Makes a commit of the records that lie from {@link COMMIT_HEAD} bytes behind `at` to `end`. */
export function sealCommit(
  file: Buffer,
  at: number,
  end: number,
  { generation, tag }: { readonly generation: number; readonly tag: Buffer },
): void {
  COMMIT_MAGIC.copy(file, at);
  file.writeUInt32LE(end - at - COMMIT_HEAD, at + LENGTH_AT);
  file.writeUIntLE(generation, at + GENERATION_AT, GENERATION_BYTES);
  tag.copy(file, at + TAG_AT);
  file.writeUInt32LE(crc32(file.subarray(at + LENGTH_AT, end)), at + CRC_AT);
}

/** @returns the generation of the commit of which the head is here; undefined where there is none */
export function generationAt(file: Buffer, at: number, tag: Buffer): number | undefined {
  if (at + COMMIT_HEAD > file.length) return undefined;
  if (!file.subarray(at, at + COMMIT_MAGIC.length).equals(COMMIT_MAGIC)) return undefined;
  if (!file.subarray(at + TAG_AT, at + COMMIT_HEAD).equals(tag)) return undefined;
  return file.readUIntLE(at + GENERATION_AT, GENERATION_BYTES);
}

/** @returns where the commit ends of which the head is here; undefined when it is not whole */
export function endOfCommit(file: Buffer, at: number): number | undefined {
  const end = at + COMMIT_HEAD + file.readUInt32LE(at + LENGTH_AT);
  if (end > file.length) return undefined;
  const isWhole = file.readUInt32LE(at + CRC_AT) === crc32(file.subarray(at + LENGTH_AT, end));
  return isWhole ? end : undefined;
}

/** @returns where the next bytes are that may be a commit's, -1 for none */
export function nextCandidate(file: Buffer, from: number): number {
  return file.indexOf(COMMIT_MAGIC, from);
}
