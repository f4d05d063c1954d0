/**
 * Storage in one folder for all rooms: a journal (journal.ts) for what is being
 * typed, and behind it a tree (lmdb-tree.ts), into which it is moved.
 *
 * Durable here means: what was written is synced (`fdatasync`) before `append`
 * resolves, in the journal or, where that has no place, in the tree. Both write on
 * threads of their own, the event loop does not wait for the disk.
 *
 * What is read is what both hold at one moment: an entry is in one of them or,
 * while it is moved, in both. So they are looked at in the same turn of the loop, and
 * the tree is asked for its newest state before something leaves the journal.
 *
 * One process owns the folder at a time (lock.ts). A data file that was cut short or
 * whose index is broken is moved aside, and its records are taken over into a new one
 * (salvage.ts).
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import { ascending, isReadable, type Run, readChunk } from './chunks.js';
import { type FileSystem, FolderUnusable, fileSystemOf } from './file-system.js';
import { makeFolder, wideness } from './folder.js';
import { drawGeneration } from './generation.js';
import { type Full, Journal } from './journal.js';
import { FILE_BYTES, pathOf } from './journal-format.js';
import { type Left, readJournal } from './journal-left.js';
import { byBytes, listPages, type Page } from './listing.js';
import { type Salvage, salvageFolder } from './lmdb-salvage.js';
import { DATA_FILE, Tree } from './lmdb-tree.js';
import { FolderLock, type StorageLost } from './lock.js';
import { encodeRecord, KIND, readRecords } from './record.js';
import {
  type Append,
  type Batch,
  type Compaction,
  emptySnapshot,
  type Head,
  type Listing,
  type LogEntry,
  type MergeNote,
  type Quarantined,
  type Replacement,
  type RoomSummary,
  type Snapshot,
  type SnapshotMeta,
  type Storage,
  type StoredRoom,
} from './storage.js';

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Entries that are read in one turn of the loop; it takes some milliseconds. */
const SLICE = 500;
/** Rooms that are listed in one turn of the loop; it takes a few milliseconds. */
const LISTED = 100;
const MAX_KNOWN = 100_000;

/**
 * The journal is made after the data file: where it is alone, the documents were there, and a new file
 * would look as if there had been none.
 *
 * @throws {FolderUnusable}
 */
function checkWhole(folder: string): void {
  const size = statSync(join(folder, DATA_FILE), { throwIfNoEntry: false })?.size ?? 0;
  if (size > 0 || ![0, 1].some((place) => existsSync(pathOf(folder, place)))) return;
  throw new FolderUnusable(
    `its ${DATA_FILE}, which has the documents, is missing or empty, and its journal is there: put the file back, or restore a backup into a new folder`,
  );
}

export interface LmdbOptions {
  /** Hears when the data file was damaged and what was found in it. */
  readonly onSalvage?: ((salvage: Salvage) => void) | undefined;
  /** Hears, in one line, when something of the newest commits was damaged, or of the folder is not as it should be. */
  readonly onWarning?: ((line: string) => void) | undefined;
  /** Hears once when the folder is another process's from now on. */
  readonly onLost?: ((error: StorageLost) => void) | undefined;
  /** Whether the folder may be on a network file system, or one without locks. */
  readonly allowNetwork?: boolean;
  /** Bytes of one of the two files of the journal. Default 4 MB; smaller for tests. */
  readonly journalBytes?: number;
  /** For tests. */
  readonly clock?: Clock;
  readonly fileSystem?: FileSystem;
}

/** A room, as far as writing to it goes. */
interface Known {
  /** The highest seq that was given to an entry, whether or not that was written. */
  last: number;
  readonly life: number;
  readonly isDeleted: boolean;
}

interface Readable {
  readonly entries: LogEntry[];
  readonly damaged: Quarantined[];
}

export class LmdbStorage implements Storage {
  readonly name = 'lmdb';
  readonly isShared = false;
  readonly #tree: Tree;
  readonly #journal: Journal;
  readonly #lock: FolderLock;
  /** Set while a file of the journal is moved. */
  #moving: Promise<void> | undefined;
  /** What kept one from being moved, until somebody is told. */
  #failure: Error | undefined;
  /** The batch that was tried last: the seqs stay its own, whether or not it was said to have failed. */
  #batch: { readonly number: number; readonly seqs: readonly number[] } | undefined;
  /** Rooms that were written to lately. Asking the tree costs as much as writing. */
  readonly #known = new Map<string, Known>();
  /** Reads that are under way. */
  readonly #reading = new Set<Promise<unknown>>();
  /** Compactions, removals and moves read before they write, so they go one after the other. */
  #exclusive: Promise<unknown> = Promise.resolve();
  /** So do appends and removals: an append comes before a removal, and is removed, or after it, and is refused. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(tree: Tree, journal: Journal, lock: FolderLock) {
    this.#tree = tree;
    this.#journal = journal;
    this.#lock = lock;
  }

  /**
   * @param folder is made where it does not exist
   * @throws {StorageInUse} when another process has it open
   * @throws {FolderUnusable} when it cannot hold a store, or has lost a part of one
   */
  static async open(folder: string, options: LmdbOptions = {}): Promise<LmdbStorage> {
    const { onSalvage, onWarning, journalBytes = FILE_BYTES } = options;
    makeFolder(folder);
    let isOpen = false;
    const lock = await FolderLock.take(folder, {
      ...options,
      // Before that, whoever opens it is told by what this throws.
      onLost: (error) => isOpen && options.onLost?.(error),
    });
    let tree: Tree | undefined;
    try {
      const salvage = await salvageFolder(folder);
      checkWhole(folder);
      tree = new Tree(folder);
      if (salvage !== undefined) onSalvage?.(salvage);
      const left = readJournal(folder, tree.moved, journalBytes);
      for (const words of left.damage) onWarning?.(`the journal is not whole: ${words}`);
      lock.check();
      await takeOver(tree, left);
      lock.check();
      const journal = new Journal(folder, left, journalBytes, (line) => onWarning?.(line));
      const wide = wideness(folder, (options.fileSystem ?? fileSystemOf(folder)).name);
      if (wide !== undefined) onWarning?.(wide);
      isOpen = true;
      return new LmdbStorage(tree, journal, lock);
    } catch (cause) {
      await tree?.close();
      await lock.release();
      throw cause;
    }
  }

  async load(room: string): Promise<StoredRoom> {
    this.#lock.assume();
    const snapshot = this.#tree.meta(room);
    const lastSeq = this.#lastSeq(room);
    const isDeleted = this.#tree.isDeleted(room);
    const { entries: tail, damaged } = await this.#read(room, snapshot?.seq ?? 0);
    return { snapshot, tail, damaged, lastSeq, isDeleted };
  }

  async readSnapshot(room: string, seq: number): Promise<Uint8Array | undefined> {
    return this.#tree.snapshot(room, seq);
  }

  async append(batch: Batch): Promise<readonly number[]> {
    return await this.#inTurn(() => this.#owned(() => this.#append(batch)));
  }

  async #append({ number, appends }: Batch): Promise<readonly number[]> {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    const isRetry = number === this.#batch?.number;
    if (!isRetry) {
      if (this.#known.size > MAX_KNOWN) this.#known.clear();
      this.#batch = { number, seqs: appends.map((append) => this.#give(append)) };
    }
    // A room may have been removed since the batch was tried first.
    const seqs = this.#batch!.seqs.map((seq, i) => (this.#isOpenTo(appends[i]!) ? seq : 0));
    const written = appends.filter((_, i) => seqs[i]! > 0);
    const firsts = seqs.filter((seq) => seq > 0);
    // Whatever is wrong with the journal, the tree may still take it; the same entries twice are one.
    if (isRetry || !(await this.#journal.append(written, firsts))) {
      await this.#tree.put(
        written.map((append, i) => [append.room, runsOfAppend(append, firsts[i]!)]),
      );
    }
    this.#moveFull();
    return seqs;
  }

  /** @returns the seq of its first entry; 0 where it is not to be written */
  #give(append: Append): number {
    if (!this.#isOpenTo(append)) return 0;
    const known = this.#know(append.room);
    const first = known.last + 1;
    known.last += append.entries.length;
    return first;
  }

  #isOpenTo({ room, life = 0 }: Append): boolean {
    const known = this.#know(room);
    return !known.isDeleted && known.life <= life;
  }

  #know(room: string): Known {
    let known = this.#known.get(room);
    if (known === undefined) {
      const life = this.#tree.meta(room)?.life ?? 0;
      known = { last: this.#lastSeq(room), life, isDeleted: this.#tree.isDeleted(room) };
      this.#known.set(room, known);
    }
    return known;
  }

  async since(room: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    if (seq < (this.#tree.meta(room)?.seq ?? 0)) return undefined;
    return (await this.#read(room, seq)).entries;
  }

  async heads(rooms: readonly string[]): Promise<readonly Head[]> {
    this.#lock.assume();
    return rooms.map((room) => {
      const { seq = 0, life = 0, generation = 0 } = this.#tree.meta(room) ?? {};
      return { lastSeq: this.#lastSeq(room), snapshotSeq: seq, life, generation };
    });
  }

  async rooms(listing: Listing): Promise<readonly RoomSummary[]> {
    return await listPages(listing, async (page) => {
      await nextTurn();
      return this.#page({ ...page, count: Math.min(page.count, LISTED) });
    });
  }

  /** Tree and journal are asked in one turn, so what is being moved is in one of them. */
  #page(page: Page): RoomSummary[] {
    const names = new Set([...this.#tree.names(page), ...this.#journal.rooms().filter(page.isIn)]);
    const first = [...names].sort(byBytes).slice(0, page.count);
    return first.map((name) => ({
      name,
      lastSeq: this.#lastSeq(name),
      snapshotSeq: this.#tree.snapshotSeq(name),
      snapshotBytes: this.#tree.snapshotBytes(name),
      isDeleted: this.#tree.isDeleted(name),
    }));
  }

  async snapshot(room: string): Promise<SnapshotMeta | undefined> {
    return this.#tree.meta(room);
  }

  async compact(room: string, compaction: Compaction): Promise<boolean> {
    return await this.#alone(async () => {
      if ((this.#tree.meta(room)?.seq ?? 0) !== compaction.base) return false;
      await this.#tree.compact(room, compaction);
      this.#tree.refresh();
      this.#journal.forget(room, compaction.snapshot.seq);
      const known = this.#known.get(room);
      if (known !== undefined) known.last = Math.max(known.last, compaction.snapshot.seq);
      return true;
    });
  }

  async mergeNote(room: string): Promise<MergeNote | undefined> {
    return this.#tree.mergeNote(room);
  }

  async noteMerge(room: string, note: MergeNote | undefined): Promise<void> {
    await this.#alone(() => this.#tree.noteMerge(room, note));
  }

  async quarantined(room: string): Promise<readonly Quarantined[]> {
    return this.#tree.quarantined(room);
  }

  async remove(room: string, generation = drawGeneration()): Promise<void> {
    await this.#alone(async () => {
      if (!this.#tree.isDeleted(room)) await this.#renew(room, generation, true);
      await this.#tree.clear(room, this.#tree.snapshotSeq(room));
    });
  }

  async revive(room: string, generation = drawGeneration()): Promise<boolean> {
    return await this.#alone(async () => {
      if (!this.#tree.isDeleted(room)) return false;
      await this.#renew(room, generation, false);
      // What a removal that was interrupted has left.
      await this.#tree.clear(room, this.#tree.snapshotSeq(room));
      return true;
    });
  }

  async replace(
    room: string,
    document: Omit<Snapshot, 'seq'>,
    generation = drawGeneration(),
  ): Promise<Replacement | undefined> {
    return await this.#alone(async () => {
      if (this.#tree.isDeleted(room)) return undefined;
      const replaced = await this.#renew(room, generation, false, document);
      await this.#tree.clear(room, replaced.seq);
      return replaced;
    });
  }

  /**
   * The journal is told nothing: what it holds of the room, also of an append that failed
   * half-way, is below the seq that this takes, and counts for nothing after a crash either.
   */
  async #renew(
    room: string,
    generation: number,
    isDeleted: boolean,
    document: Omit<Snapshot, 'seq'> = emptySnapshot(0),
  ): Promise<Replacement> {
    return await this.#inTurn(async () => {
      const life = Math.max(this.#lastSeq(room), this.#known.get(room)?.last ?? 0) + 1;
      const about = { life, generation, isDeleted };
      await this.#tree.renew(room, { ...document, seq: life }, about);
      this.#tree.refresh();
      this.#journal.forget(room, life);
      this.#known.set(room, { last: life, life, isDeleted });
      return { seq: life, generation };
    });
  }

  async close(): Promise<void> {
    // What cannot be moved is on disk all the same, and the next start moves it.
    await this.#alone(() => this.#moveAll()).catch((error: Error) => {
      this.#failure = error;
    });
    // LMDB does not wait for cursors.
    await Promise.allSettled(this.#reading);
    try {
      await this.#journal.close();
      await this.#tree.close();
    } finally {
      await this.#lock.release();
    }
  }

  #lastSeq(room: string): number {
    return Math.max(this.#tree.lastSeq(room), this.#journal.lastSeq(room));
  }

  /**
   * What journal and tree hold of a room behind a seq, ascending, each entry once.
   * Until the first `await` both are asked; what is moved, committed or compacted
   * afterwards is not seen, or is seen whole.
   */
  async #read(room: string, above: number): Promise<Readable> {
    const reading = this.#readBoth(room, above);
    this.#reading.add(reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(reading);
    }
  }

  async #readBoth(room: string, above: number): Promise<Readable> {
    const runs = [...this.#journal.runs(room, above)].map(({ last, records }) => ({
      last,
      records: Buffer.from(records),
    }));
    const entries: LogEntry[] = [];
    const damaged: Quarantined[] = [];
    let read = 0;
    const take = async (last: number, chunk: Buffer) => {
      for (const entry of readChunk(room, last, chunk)) {
        if (++read % SLICE === 0) await nextTurn();
        if (entry.seq <= above) continue;
        if (isReadable(entry)) entries.push(entry);
        else damaged.push(entry);
      }
    };
    for (const [last, chunk] of this.#tree.chunks(room, above)) await take(last, chunk);
    for (const { last, records } of runs) await take(last, records);
    // Of an entry that is there twice one is enough.
    const readable = new Set(damaged.length > 0 ? entries.map(({ seq }) => seq) : []);
    return {
      entries: ascending(entries),
      damaged: damaged.filter(({ seq }) => !readable.has(seq)),
    };
  }

  #moveFull(): void {
    if (this.#journal.full === undefined || this.#moving !== undefined) return;
    this.#moving = this.#alone(() => this.#move())
      .catch((error: Error) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#moving = undefined;
      });
  }

  /** All that the journal holds when this is called. */
  async #moveAll(): Promise<void> {
    for (let file = 0; file < 2; file++) {
      if ((await this.#journal.turn()) !== undefined) await this.#move();
    }
  }

  /** Moves the full file of the journal, if there is one. Alone: nobody else may write to what is moved. */
  async #move(): Promise<void> {
    const { full } = this.#journal;
    if (full === undefined) return;
    await this.#tree.move(runsOf(full), full.generation, false);
    this.#tree.refresh();
    this.#journal.release();
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#exclusive.then(() => this.#owned(task));
    // The caller hears of a failure; the next in line must run all the same.
    this.#exclusive = done.catch((error: unknown) => error);
    return await done;
  }

  /** Nothing is written where the folder is another's, and nothing that was is called written. */
  async #owned<T>(write: () => Promise<T>): Promise<T> {
    this.#lock.checkBefore();
    const result = await write();
    this.#lock.check();
    return result;
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(task);
    this.#turn = done.catch((error: unknown) => error);
    return await done;
  }
}

function runsOfAppend({ room, entries }: Append, first: number): Run[] {
  return entries.map(({ author, update }, n) => {
    const seq = first + n;
    return {
      first: seq,
      records: encodeRecord({ kind: KIND.update, room, seq }, [author, update]),
    };
  });
}

/** What a snapshot has taken in has been forgotten there. */
function* runsOf(file: Full): Iterable<readonly [room: string, runs: readonly Run[]]> {
  for (const room of file.rooms) yield [room, file.runs(room)];
}

/**
 * What a crash left in the journal. A move that it interrupted may have put some of
 * it under the same keys, together with what is damaged in the journal by now: that
 * stays, and what is there twice is read once.
 */
async function takeOver(tree: Tree, { commits, generation }: Left): Promise<void> {
  if (commits.length === 0) return;
  const rooms = new Map<string, { readonly above: number; readonly runs: Run[] }>();
  for (const { record, bytes } of commits.flatMap((commit) => [...readRecords(commit, false)])) {
    if (record?.kind !== KIND.update) continue;
    const { room, seq } = record;
    let known = rooms.get(room);
    if (known === undefined) {
      known = { above: tree.snapshotSeq(room), runs: [] };
      rooms.set(room, known);
    }
    if (seq > known.above) known.runs.push({ first: seq, records: bytes });
  }
  const found = [...rooms].map(([room, { runs }]) => [room, runs] as const);
  await tree.move(found, generation, true);
}
