/**
 * How entries of one room that follow each other lie together under one key: as
 * records one behind the other, each with a checksum of its own, so that one that
 * is damaged takes no other with it.
 */
import { KIND, readRecords, recordLength } from './record.js';
import type { LogEntry, Quarantined } from './storage.js';

/** Two of these fit into a page of 4 KB. */
const CHUNK_BYTES = 1_900;
const untext = new TextDecoder();

/** Whole records of entries that follow each other, from `first` on. */
export interface Run {
  readonly first: number;
  readonly records: Buffer;
}

/**
 * Cuts runs, given ascending, into chunks.
 *
 * @returns copies, each with the seq of its last entry
 */
export function* chunksOf(runs: Iterable<Run>): Iterable<[last: number, chunk: Buffer]> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let last = 0;
  for (const { first, records } of runs) {
    let seq = first;
    for (let at = 0; at < records.length; seq++) {
      const length = recordLength(records.subarray(at))!;
      if (bytes > 0 && (bytes + length > CHUNK_BYTES || seq !== last + 1)) {
        yield [last, Buffer.concat(parts)];
        parts = [];
        bytes = 0;
      }
      parts.push(records.subarray(at, at + length));
      bytes += length;
      at += length;
      last = seq;
    }
  }
  if (bytes > 0) yield [last, Buffer.concat(parts)];
}

/** @param last the seq of the last entry, as its key says */
export function* readChunk(
  room: string,
  last: number,
  chunk: Buffer,
): Iterable<LogEntry | Quarantined> {
  let before: number | undefined;
  let damaged: Buffer | undefined;
  for (const found of readRecords(chunk, true)) {
    const { record } = found;
    if (record?.room !== room || record.kind !== KIND.update) {
      damaged ??= found.bytes;
      continue;
    }
    const { seq, fields } = record;
    if (damaged !== undefined) yield unreadable((before ?? seq - 2) + 1, damaged);
    damaged = undefined;
    before = seq;
    yield { seq, author: untext.decode(fields[0]), update: fields[1]! };
  }
  if (damaged !== undefined) yield unreadable((before ?? last - 1) + 1, damaged);
}

function unreadable(seq: number, update: Buffer): Quarantined {
  return { seq, reason: 'checksum does not match', author: '', update };
}

export function isReadable(entry: LogEntry | Quarantined): entry is LogEntry {
  return !('reason' in entry);
}

/** Each seq once, ascending. */
export function ascending(entries: LogEntry[]): LogEntry[] {
  entries.sort((a, b) => a.seq - b.seq);
  return entries.filter(({ seq }, i) => seq !== entries[i - 1]?.seq);
}
