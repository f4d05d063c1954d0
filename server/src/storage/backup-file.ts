/**
 * A backup as a stream of bytes: records (record.ts) one behind the other, each with a
 * checksum. It is of no particular store: what was read from one is written to any.
 *
 *   backup record    {"version": 1, "part": "head", "created": …}
 *   for each room    room record     {"snapshot": its seq, or 0 where there is none, "quarantined",
 *                                    "updates": how many, "isDeleted", "generation", "lost"}, state
 *                                    vector, deletes
 *                    snapshot record, where it has one
 *                    quarantine records, then update records, both with ascending seqs
 *   backup record    {"version": 1, "part": "end", "rooms": how many, "unreadable", "lost"}
 *
 * Invariant: one without its end, with something behind it, or in which a record is missing,
 * one too many or in another's place, says so when it is read to there; no part of such a room
 * is given.
 */
import { z } from 'zod';
import { type RoomCopy, readRoom } from './copy.js';
import {
  decodeRecord,
  encodeRecord,
  KIND,
  type Kind,
  LONGEST_HEAD,
  type Record,
  recordLength,
} from './record.js';
import { DamagedSnapshot, type LogEntry, type Quarantined, type Storage } from './storage.js';

const VERSION = 1;
const NONE = new Uint8Array();
const untext = new TextDecoder();

const COUNT = z.number().int().min(0);
const VERSIONED = z.looseObject({ version: z.number() });
const ABOUT = z.discriminatedUnion('part', [
  z.object({ part: z.literal('head') }),
  z.object({
    part: z.literal('end'),
    rooms: COUNT,
    unreadable: z.array(z.string()),
    lost: COUNT,
  }),
]);
const DESCRIPTION = z.object({
  snapshot: COUNT,
  quarantined: COUNT,
  updates: COUNT,
  isDeleted: z.boolean(),
  generation: COUNT,
  lost: COUNT,
});
const SET_ASIDE = z.object({ reason: z.string(), author: z.string() });

const NO_BACKUP = 'it is no backup of Cowrite';
/** Why no record comes where one has to. */
type Broken = 'it is cut off' | 'it is damaged' | 'it is damaged: a checksum does not match';

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
  let lost = 0;
  yield about({ part: 'head', created: created.toISOString() });
  for await (const { name } of names) {
    try {
      const room = await readRoom(store, name);
      yield* recordsOf(room);
      rooms++;
      lost += room.lost;
    } catch (error) {
      if (!(error instanceof DamagedSnapshot)) throw error;
      unreadable.push(name);
    }
  }
  // The administrator's page reads this, which it finds at the end of what it was sent.
  yield about({ part: 'end', rooms, unreadable, lost });
}

type Description = z.infer<typeof DESCRIPTION>;
type About = z.infer<typeof ABOUT>;

function about(what: About & { readonly created?: string }): Uint8Array {
  const text = JSON.stringify({ version: VERSION, ...what });
  return encodeRecord({ kind: KIND.backup, room: '', seq: 0 }, [text]);
}

function* recordsOf({ name: room, ...copy }: RoomCopy): Iterable<Uint8Array> {
  const { snapshot, quarantined, tail, isDeleted, generation, lost } = copy;
  const seq = snapshot?.seq ?? 0;
  const description = JSON.stringify({
    snapshot: seq,
    quarantined: quarantined.length,
    updates: tail.length,
    isDeleted,
    generation,
    lost,
  } satisfies Description);
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
 * @throws {UnreadableBackup} where it breaks off or is damaged, after the rooms before that
 */
export async function* readBackup(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<RoomCopy, BackupEnd> {
  let isBegun = false;
  let end: BackupEnd | undefined;
  let room: Reading | undefined;
  let rooms = 0;
  for await (const record of recordsIn(bytes)) {
    if (end !== undefined) throw new UnreadableBackup('it is damaged: something follows its end');
    if (typeof record === 'string') throw new UnreadableBackup(isBegun ? record : NO_BACKUP);
    const about = record.kind === KIND.backup ? aboutOf(record) : undefined;
    if (!isBegun) {
      if (about?.part !== 'head') throw new UnreadableBackup(NO_BACKUP);
      isBegun = true;
    } else if (about?.part === 'head') {
      throw new UnreadableBackup('it is damaged: it begins twice');
    } else if (about === undefined && record.kind !== KIND.room) {
      take(room, record);
    } else {
      if (room !== undefined) {
        yield whole(room);
        rooms++;
      }
      if (about === undefined) room = begun(record);
      else end = { rooms: about.rooms, unreadable: about.unreadable };
    }
  }
  if (end === undefined) throw new UnreadableBackup(isBegun ? 'it is cut off' : NO_BACKUP);
  if (end.rooms !== rooms) {
    throw new UnreadableBackup(`it is damaged: ${rooms} of its ${end.rooms} rooms are there`);
  }
  return end;
}

function aboutOf({ fields }: Record): About {
  const { version } = described(VERSIONED, fields[0]);
  if (version !== VERSION) {
    throw new UnreadableBackup(`it is of version ${version}, and ${VERSION} is known here`);
  }
  return described(ABOUT, fields[0]);
}

interface Reading extends Pick<Record, 'room' | 'seq' | 'fields'> {
  readonly said: Description;
  update: Uint8Array | undefined;
  readonly quarantined: Quarantined[];
  readonly tail: LogEntry[];
}

function begun({ room, seq, fields }: Record): Reading {
  const said = described(DESCRIPTION, fields[0], room);
  return { room, seq, fields, said, update: undefined, quarantined: [], tail: [] };
}

function isNext(
  { seq: base, update, quarantined, tail }: Reading,
  kind: Kind,
  seq: number,
): boolean {
  if (kind === KIND.update) return seq > (tail.at(-1)?.seq ?? base);
  if (tail.length > 0) return false;
  if (kind === KIND.quarantine) return seq > (quarantined.at(-1)?.seq ?? 0);
  return seq === base && update === undefined && quarantined.length === 0;
}

function take(room: Reading | undefined, { kind, room: name, seq, fields }: Record): void {
  if (room?.room !== name || !isNext(room, kind, seq)) throw damaged(name, 'it is not in order');
  const [first, second] = fields;
  if (kind === KIND.snapshot) room.update = first;
  else if (kind === KIND.update) {
    room.tail.push({ seq, author: untext.decode(first), update: second! });
  } else {
    room.quarantined.push({ seq, ...described(SET_ASIDE, first, name), update: second! });
  }
}

function whole({ room: name, seq, fields, said, update, quarantined, tail }: Reading): RoomCopy {
  const { isDeleted, generation, lost } = said;
  const isAllThere =
    (update !== undefined) === said.snapshot > 0 &&
    quarantined.length === said.quarantined &&
    tail.length === said.updates;
  if (!isAllThere) throw damaged(name, 'not all of it is there, or too much');
  // Where one is missing between them, it was lost before the backup was made.
  const holes = (tail.at(-1)?.seq ?? seq) - seq - tail.length;
  if (said.snapshot !== seq || holes > lost) throw damaged(name, 'it is not in order');
  const [, stateVector, deletes] = fields as [Uint8Array, Uint8Array, Uint8Array];
  const snapshot = update && { seq, update, stateVector, deletes };
  return { name, isDeleted, generation, lost, snapshot, quarantined, tail };
}

function damaged(room: string, how: string): UnreadableBackup {
  return new UnreadableBackup(`it is damaged in room ${JSON.stringify(room)}: ${how}`);
}

/** What a record says in JSON. A checksum proves that it was written so, not that Cowrite did. */
function described<T>(schema: z.ZodType<T>, field: Uint8Array | undefined, room?: string): T {
  let said: unknown;
  try {
    said = JSON.parse(untext.decode(field));
  } catch {
    // As if it said nothing.
  }
  const { success, data } = schema.safeParse(said);
  if (success) return data;
  const how = 'a description is not as Cowrite writes it';
  throw room === undefined ? new UnreadableBackup(`it is damaged: ${how}`) : damaged(room, how);
}

/** The last thing it gives is why it ends, where it does not do so behind a record. */
async function* recordsIn(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Record | Broken> {
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
        yield 'it is damaged';
        return;
      }
      need = length ?? LONGEST_HEAD;
      if (left.length < need) break;
      yield decoded(left.subarray(0, need));
      at += need;
    }
    parts = [joined.subarray(at)];
    have = joined.length - at;
  }
  if (have === 0) return;
  // The last one may be shorter than the longest head.
  const left = Buffer.concat(parts);
  yield recordLength(left) === left.length ? decoded(left) : 'it is cut off';
}

function decoded(bytes: Buffer): Record | Broken {
  // A copy: what it holds is kept for longer than what it was read from.
  return decodeRecord(Buffer.from(bytes)) ?? 'it is damaged: a checksum does not match';
}
