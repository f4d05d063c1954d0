/** What the scripts of the Redis adapter answer, read. Bytes are copied: what is read is a view into what the socket read. */
import { crc32 } from 'node:zlib';
import { decodeRecord } from './record.js';
import { DamagedSnapshot, type LogEntry, type Quarantined, type SnapshotMeta } from './storage.js';

const untext = new TextDecoder();
const DAMAGED = 'checksum does not match';

type Row = readonly [id: Buffer, fields: readonly Buffer[]];

/** One answer of READ. */
export interface Page {
  readonly lastSeq: number;
  readonly snapshotSeq: number;
  readonly snapshot: SnapshotMeta | undefined;
  readonly isDeleted: boolean;
  readonly hasMore: boolean;
  readonly entries: readonly LogEntry[];
  readonly damaged: readonly Quarantined[];
  /** The seq of the last row, readable or not; that of the question when there is none. */
  readonly upTo: number;
}

/**
 * @param from the seq behind which was asked
 * @param to the last seq that counts
 * @throws {DamagedSnapshot} when what describes the room is lost
 */
export function decodePage(
  room: string,
  answer: unknown,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): Page {
  const [head, more, rows] = answer as [Buffer[], number, Row[]];
  const [last, lost, ...rest] = head;
  const meta = rest.slice(0, -1);
  const deleted = rest.at(-1)!;
  if (lost!.length > 0) {
    throw new DamagedSnapshot(`what describes room ${JSON.stringify(room)} is lost`);
  }
  const entries: LogEntry[] = [];
  const damaged: Quarantined[] = [];
  let upTo = from;
  for (const [id, fields] of rows) {
    const seq = Number.parseInt(id.toString('latin1'), 10);
    if (seq > to) break;
    upTo = seq;
    const update = new Uint8Array(fields[1]!);
    const author = fields[3]!.toString();
    if (checksum(update, author) === Number(fields[5]!.toString())) {
      entries.push({ seq, update, author });
    } else {
      damaged.push({ seq, reason: DAMAGED, author, update });
    }
  }
  const snapshot = decodeMeta(meta);
  return {
    lastSeq: Number(last!.toString()),
    snapshotSeq: snapshot?.seq ?? 0,
    snapshot,
    isDeleted: deleted.length > 0,
    hasMore: more === 1,
    entries,
    damaged,
    upTo,
  };
}

export function checksum(update: Uint8Array, author: string): number {
  return crc32(author, crc32(update));
}

/** @param head seq, size, state vector, deletes, life, time and generation, empty where there is no snapshot */
export function decodeMeta(head: readonly Buffer[]): SnapshotMeta | undefined {
  const [seq, size, stateVector, deletes, life, at, generation] = head;
  if (seq === undefined || seq.length === 0) return undefined;
  return {
    seq: Number(seq.toString()),
    size: Number(size!.toString()),
    stateVector: new Uint8Array(stateVector!),
    deletes: new Uint8Array(deletes!),
    life: Number(life!.toString()),
    generation: Number(generation!.toString()),
    writtenAt: timeIn(at!.toString(), seq.toString()),
  };
}

/** Undefined where it is that of an earlier snapshot. */
function timeIn(at: string, seq: string): number | undefined {
  const [of, time] = at.split(':');
  return of === seq ? Number(time) : undefined;
}

export function decodeQuarantined(room: string, seq: number, value: Buffer): Quarantined {
  const record = decodeRecord(value);
  if (record?.room !== room || record.seq !== seq) {
    return { seq, reason: DAMAGED, author: '', update: new Uint8Array(value) };
  }
  const about = JSON.parse(untext.decode(record.fields[0]));
  return { seq, ...about, update: new Uint8Array(record.fields[1]!) };
}
