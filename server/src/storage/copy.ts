/**
 * Rooms on their way from one store to another, or into a backup and out of it.
 *
 * Invariant: a room is copied as it was at one moment, whatever is written meanwhile, and
 * what another store holds of it is never overwritten unless told so: it is left as it
 * is where it is equal, goes on where it is the beginning, and is a conflict otherwise.
 * Whatever was written is read back and compared.
 */
import {
  DamagedSnapshot,
  type LogEntry,
  MAX_LISTED,
  type NewEntry,
  type Quarantined,
  type RoomSummary,
  type Snapshot,
  type Storage,
} from './storage.js';

export interface RoomCopy {
  readonly name: string;
  readonly isDeleted: boolean;
  /** Which of the documents of its name it is: clients know it by that, wherever it is. */
  readonly generation: number;
  /** Undefined where there is none, and for a room that is deleted. */
  readonly snapshot: Snapshot | undefined;
  readonly quarantined: readonly Quarantined[];
  /** The readable entries behind the snapshot, ascending. */
  readonly tail: readonly LogEntry[];
  /** Entries that could not be read, and are not in it. */
  readonly lost: number;
}

/** The other store has something else under this name. */
export class RoomConflict extends Error {
  override readonly name = 'RoomConflict';

  constructor(room: string) {
    super(`something else is in room ${JSON.stringify(room)} already`);
  }
}

/** Every room of a store, those that were removed too; `prefix` and `withDeleted` as in a listing. */
export async function* everyRoom(
  store: Storage,
  { prefix = '', withDeleted = true } = {},
): AsyncGenerator<RoomSummary> {
  for (let after = ''; ; ) {
    const page = await store.rooms({ prefix, after, limit: MAX_LISTED, withDeleted });
    yield* page;
    if (page.length < MAX_LISTED) return;
    after = page.at(-1)!.name;
  }
}

/** @throws {DamagedSnapshot} */
export async function readRoom(store: Storage, name: string): Promise<RoomCopy> {
  for (;;) {
    const { snapshot: meta, tail, lastSeq, isDeleted } = await store.load(name);
    if (isDeleted) {
      const nothing = { snapshot: undefined, quarantined: [], tail: [], lost: 0 };
      return { name, isDeleted, generation: 0, ...nothing };
    }
    const update = meta && (await store.readSnapshot(name, meta.seq));
    const quarantined = await store.quarantined(name);
    const [head] = await store.heads([name]);
    // Compacted or removed meanwhile: what was read is not of one moment.
    if (head!.snapshotSeq !== (meta?.seq ?? 0)) continue;
    if (meta !== undefined && update === undefined) continue;
    const snapshot = meta && {
      seq: meta.seq,
      update: update!,
      stateVector: meta.stateVector,
      deletes: meta.deletes,
    };
    const lost = lastSeq - (meta?.seq ?? 0) - tail.length;
    const generation = meta?.generation ?? 0;
    return { name, isDeleted, generation, snapshot, quarantined, tail, lost };
  }
}

/** Entries of one commit, and their bytes: both far below what an adapter takes. */
const COMMIT_ENTRIES = 1_000;
const COMMIT_BYTES = 4 * 1024 * 1024;
/** Stands where an entry could not be read: seqs have no holes. */
const NOTHING: NewEntry = { update: Uint8Array.of(0, 0), author: '' };

export class RoomWriter {
  readonly #store: Storage;
  #batches = 0;

  /** @param store is written to by nobody else */
  constructor(store: Storage) {
    this.#store = store;
  }

  /**
   * @param replace whether what is there is removed first where it is something else. Seqs go on then.
   * @returns false where all of it was there already
   * @throws {RoomConflict} or what the store throws
   */
  async write(room: RoomCopy, replace = false): Promise<boolean> {
    const there = await this.#read(room.name, replace);
    if (room.isDeleted) {
      if (there?.isDeleted === true) return false;
      const isEmpty = there !== undefined && isBlank(there);
      if (!isEmpty && !replace) throw new RoomConflict(room.name);
      await this.#store.remove(room.name);
      return true;
    }
    const entries = withoutHoles(room);
    if (there !== undefined && !there.isDeleted && isBeginning(there, room, entries)) {
      if (there.tail.length === entries.length && there.snapshot?.seq === room.snapshot?.seq) {
        return false;
      }
      await this.#put(room, entries, there, 0);
    } else {
      if (!replace) throw new RoomConflict(room.name);
      await this.#store.remove(room.name);
      await this.#store.revive(room.name);
      const empty = await readRoom(this.#store, room.name);
      await this.#put(room, entries, empty, empty.snapshot!.seq);
    }
    return true;
  }

  /** @returns undefined for what cannot be read and is to be replaced */
  async #read(name: string, replace: boolean): Promise<RoomCopy | undefined> {
    try {
      return await readRoom(this.#store, name);
    } catch (error) {
      if (error instanceof DamagedSnapshot && replace) return undefined;
      throw error;
    }
  }

  /** @param shift what is added to the seqs */
  async #put(
    { name, generation, snapshot, quarantined }: RoomCopy,
    entries: readonly LogEntry[],
    there: RoomCopy,
    shift: number,
  ): Promise<void> {
    const shifted = <T extends { readonly seq: number }>(thing: T): T => ({
      ...thing,
      seq: thing.seq + shift,
    });
    const base = there.snapshot?.seq ?? 0;
    if (snapshot !== undefined && snapshot.seq + shift !== base) {
      const compaction = {
        base,
        snapshot: shifted(snapshot),
        generation,
        quarantined: quarantined.map(shifted),
      };
      if (!(await this.#store.compact(name, compaction))) throw new RoomConflict(name);
    } else if (there.snapshot !== undefined && there.generation !== generation) {
      const same = { base, snapshot: there.snapshot, generation, quarantined: [] };
      if (!(await this.#store.compact(name, same))) throw new RoomConflict(name);
    }
    const life = shift;
    for (const part of commitsOf(entries.slice(there.tail.length))) {
      const append = { room: name, life, entries: part };
      const [first] = await this.#store.append({ number: ++this.#batches, appends: [append] });
      if (first !== part[0]!.seq + shift) throw new RoomConflict(name);
    }
    const written = await readRoom(this.#store, name);
    const wanted = { snapshot: snapshot && shifted(snapshot), tail: entries.map(shifted) };
    const isThere =
      written.generation === generation &&
      written.tail.length === wanted.tail.length &&
      (snapshot === undefined || isSameSnapshot(written.snapshot, wanted.snapshot)) &&
      startsWith(wanted.tail, written.tail) &&
      startsWith(written.quarantined, quarantined.map(shifted));
    if (!isThere) throw new Error(`room ${JSON.stringify(name)} does not read as it was written`);
  }
}

function isBlank({ snapshot, tail, lost }: RoomCopy): boolean {
  return snapshot === undefined && tail.length === 0 && lost === 0;
}

/** Whether a room, with nothing lost in it, becomes the other by being written to. */
function isBeginning(there: RoomCopy, room: RoomCopy, entries: readonly LogEntry[]): boolean {
  if (isBlank(there)) return true;
  return (
    there.lost === 0 &&
    there.generation === room.generation &&
    isSameSnapshot(there.snapshot, room.snapshot) &&
    startsWith(entries, there.tail) &&
    startsWith(there.quarantined, room.quarantined)
  );
}

function isSameSnapshot(one: Snapshot | undefined, two: Snapshot | undefined): boolean {
  if (one === undefined || two === undefined) return one === two;
  return (
    one.seq === two.seq &&
    isEqual(one.update, two.update) &&
    isEqual(one.stateVector, two.stateVector) &&
    isEqual(one.deletes, two.deletes)
  );
}

type Sent = Pick<LogEntry, 'seq' | 'update'>;

/** Authors are not compared: what text a store can hold differs. */
function startsWith(all: readonly Sent[], beginning: readonly Sent[]): boolean {
  return beginning.every(({ seq, update }, i) => {
    const other = all[i];
    return other?.seq === seq && isEqual(other.update, update);
  });
}

function isEqual(one: Uint8Array, two: Uint8Array): boolean {
  return Buffer.compare(one, two) === 0;
}

function withoutHoles({ snapshot, tail }: RoomCopy): LogEntry[] {
  const entries: LogEntry[] = [];
  let seq = snapshot?.seq ?? 0;
  for (const entry of tail) {
    while (++seq < entry.seq) entries.push({ ...NOTHING, seq });
    entries.push(entry);
  }
  return entries;
}

function* commitsOf(entries: readonly LogEntry[]): Iterable<readonly LogEntry[]> {
  let part: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (
      part.length === COMMIT_ENTRIES ||
      (bytes > 0 && bytes + entry.update.length > COMMIT_BYTES)
    ) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(entry);
    bytes += entry.update.length;
  }
  if (part.length > 0) yield part;
}
