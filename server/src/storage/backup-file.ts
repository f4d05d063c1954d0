/**
 * A backup as a stream of bytes: records (record.ts) one behind the other, each with a
 * checksum. It is of no particular store: what was read from one is written to any.
 *
 *   backup record    {"version": 1, "part": "head", "created": …}
 *   for each room    room record     {"snapshot": its seq, or 0, "isDeleted", "lost"}, state vector, deletes
 *                    snapshot record, where it has one
 *                    quarantine and update records, as many as there are
 *   backup record    {"version": 1, "part": "end", "rooms", "unreadable"}
 *
 * Invariant: one without its end is not whole, and says so when it is read to where it breaks off.
 */
import { type RoomCopy, readRoom } from './copy.js';
import {
  decodeRecord,
  encodeRecord,
  KIND,
  LONGEST_HEAD,
  type Record,
  recordLength,
} from './record.js';
import { DamagedSnapshot, type LogEntry, type Quarantined, type Storage } from './storage.js';

const VERSION = 1;
const NONE = new Uint8Array();
const untext = new TextDecoder();

/** It is no backup, one of a newer Cowrite, or one that is cut off or damaged. */
export class UnreadableBackup extends Error {
  override readonly name = 'UnreadableBackup';
}

/** What the last record says. */
export interface BackupEnd {
  readonly rooms: number;
  /** Rooms that the store could not give: they are not in it. */
  readonly unreadable: readonly string[];
}

/** @param names of the rooms, removed ones too */
export async function* writeBackup(
  store: Storage,
  names: AsyncIterable<{ readonly name: string }>,
  created: Date,
): AsyncGenerator<Uint8Array> {
  let rooms = 0;
  const unreadable: string[] = [];
  yield about({ part: 'head', created: created.toISOString() });
  for await (const { name } of names) {
    try {
      const room = await readRoom(store, name);
      yield* recordsOf(room);
      rooms++;
    } catch (error) {
      if (!(error instanceof DamagedSnapshot)) throw error;
      unreadable.push(name);
    }
  }
  yield about({ part: 'end', rooms, unreadable });
}

function about(what: object): Uint8Array {
  const text = JSON.stringify({ version: VERSION, ...what });
  return encodeRecord({ kind: KIND.backup, room: '', seq: 0 }, [text]);
}

function* recordsOf({ name: room, ...copy }: RoomCopy): Iterable<Uint8Array> {
  const { snapshot, quarantined, tail, isDeleted, lost } = copy;
  const seq = snapshot?.seq ?? 0;
  const description = JSON.stringify({ snapshot: seq, isDeleted, lost });
  const { stateVector = NONE, deletes = NONE } = snapshot ?? {};
  yield encodeRecord({ kind: KIND.room, room, seq }, [description, stateVector, deletes]);
  if (snapshot !== undefined) {
    yield encodeRecord({ kind: KIND.snapshot, room, seq }, [snapshot.update]);
  }
  for (const { seq, reason, author, update } of quarantined) {
    const fields = [JSON.stringify({ reason, author }), update];
    yield encodeRecord({ kind: KIND.quarantine, room, seq }, fields);
  }
  for (const { seq, author, update } of tail) {
    yield encodeRecord({ kind: KIND.update, room, seq }, [author, update]);
  }
}

/**
 * The rooms of a backup, one after the other; returns what its end says.
 * @throws {UnreadableBackup} where it breaks off, after the rooms before that
 */
export async function* readBackup(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<RoomCopy, BackupEnd> {
  let isBegun = false;
  let room: Reading | undefined;
  for await (const record of recordsIn(bytes)) {
    if (record.kind === KIND.backup) {
      const said = JSON.parse(untext.decode(record.fields[0]));
      if (said.version !== VERSION) {
        throw new UnreadableBackup(
          `it is of version ${said.version}, and ${VERSION} is known here`,
        );
      }
      isBegun = true;
      if (said.part === 'head') continue;
      if (room !== undefined) yield whole(room);
      return { rooms: said.rooms, unreadable: said.unreadable };
    }
    if (!isBegun) throw new UnreadableBackup('it is no backup of Cowrite');
    if (record.kind === KIND.room) {
      if (room !== undefined) yield whole(room);
      room = { head: record, update: undefined, quarantined: [], tail: [] };
    } else if (room === undefined || record.room !== room.head.room) {
      throw new UnreadableBackup('it is not in order');
    } else take(room, record);
  }
  throw new UnreadableBackup(isBegun ? 'it is cut off' : 'it is no backup of Cowrite');
}

interface Reading {
  readonly head: Record;
  update: Uint8Array | undefined;
  readonly quarantined: Quarantined[];
  readonly tail: LogEntry[];
}

function take(room: Reading, { kind, seq, fields }: Record): void {
  const [first, second] = fields;
  if (kind === KIND.snapshot) room.update = first;
  else if (kind === KIND.update) {
    room.tail.push({ seq, author: untext.decode(first), update: second! });
  } else {
    room.quarantined.push({ seq, ...JSON.parse(untext.decode(first)), update: second! });
  }
}

function whole({ head, update, quarantined, tail }: Reading): RoomCopy {
  const { room: name, seq, fields } = head;
  const { isDeleted, lost } = JSON.parse(untext.decode(fields[0]));
  const [, stateVector, deletes] = fields as [Uint8Array, Uint8Array, Uint8Array];
  const snapshot = update && { seq, update, stateVector, deletes };
  return { name, isDeleted, lost, snapshot, quarantined, tail };
}

/** Ends where the bytes do, also in the middle of a record. */
async function* recordsIn(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Record> {
  let parts: Uint8Array[] = [];
  let have = 0;
  let need = LONGEST_HEAD;
  for await (const part of bytes) {
    parts.push(part);
    have += part.length;
    if (have < need) continue;
    // Joined only once a whole record is there: a large one comes in many parts.
    const joined = Buffer.concat(parts);
    let at = 0;
    for (;;) {
      const left = joined.subarray(at);
      const length =
        left.length < LONGEST_HEAD ? undefined : recordLength(left.subarray(0, LONGEST_HEAD));
      if (left.length >= LONGEST_HEAD && length === undefined) {
        throw new UnreadableBackup('it is no backup of Cowrite, or damaged');
      }
      need = length ?? LONGEST_HEAD;
      if (left.length < need) break;
      yield decoded(left.subarray(0, need));
      at += need;
    }
    parts = [joined.subarray(at)];
    have = joined.length - at;
  }
  // The last one may be shorter than the longest head.
  if (have > 0) {
    const left = Buffer.concat(parts);
    if (recordLength(left) === left.length) yield decoded(left);
  }
}

function decoded(bytes: Buffer): Record {
  // A copy: what it holds is kept for longer than what it was read from.
  const record = decodeRecord(Buffer.from(bytes));
  if (record === undefined) throw new UnreadableBackup('it is damaged: a checksum does not match');
  return record;
}
