/**
 * Storage in one folder for all rooms: a journal (journal.ts) for what is being
 * typed, and behind it an LMDB environment, into which it is moved.
 *
 * Durable here means: what was written is synced (`fdatasync`) before `append`
 * resolves, in the journal or, where that has no place, in LMDB. `overlappingSync`
 * stays off for that: with it LMDB resolves at the commit and syncs afterwards. Both
 * write on threads of their own, the event loop does not wait for the disk.
 *
 * What is read is what both hold at one moment: an entry is in one of them or,
 * while it is moved, in both. So they are looked at in the same turn of the loop, and
 * LMDB is asked for its newest state before something leaves the journal.
 *
 * One process owns the folder at a time (lock.ts). Keys are arrays in
 * `ordered-binary` encoding, `[room, seq]`, in which no room's keys are a prefix
 * or a neighbour inside another's.
 *
 *   updates     [room, last seq] → records(author, update) of entries that follow each other
 *   rooms       room        → record(meta as JSON, state vector, deletes)
 *   snapshots   room        → record(update)
 *   quarantine  [room, seq] → record(meta as JSON, update)
 *   journal     'moved'     → the generation up to which all of it is here, in decimal
 *
 * A data file that was cut short or whose index is broken is moved aside, and
 * its records are taken over into a new one (salvage.ts).
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { ascending, chunksOf, isReadable, type Run, readChunk } from './chunks.js';
import { FILE_BYTES, type Full, Journal, type Left, readJournal } from './journal.js';
import { lockFolder, type Unlock } from './lock.js';
import { decodeRecord, encodeRecord, KIND, type Record, readRecords } from './record.js';
import { findDamage, salvageRecords } from './salvage.js';
import {
  type Append,
  type Batch,
  type Compaction,
  DamagedSnapshot,
  type Head,
  type LogEntry,
  type Quarantined,
  type SnapshotMeta,
  type Storage,
  type StoredRoom,
} from './storage.js';

const untext = new TextDecoder();

type Key = [room: string, seq: number];

type Promises = Set<Promise<boolean>>;

interface Readable {
  readonly entries: LogEntry[];
  readonly damaged: Quarantined[];
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'lock.mdb';

export interface LmdbOptions {
  /** Hears when the data file was damaged and what was found in it. */
  readonly onSalvage?: ((salvage: Salvage) => void) | undefined;
  /** Hears, in one line, when something of the newest commits was damaged. */
  readonly onWarning?: ((line: string) => void) | undefined;
  /** Bytes of one of the two files of the journal. Default 4 MB; smaller for tests. */
  readonly journalBytes?: number;
}

/** A damaged data file and what became of it. */
export interface Salvage {
  /** What was wrong with it. */
  readonly damage: string;
  /** Where it lies now. */
  readonly aside: string;
  /** How many undamaged records were in it, old copies included. */
  readonly records: number;
}

export class LmdbStorage implements Storage {
  readonly name = 'lmdb';
  readonly isShared = false;
  readonly #root: RootDatabase;
  readonly #updates: Database<Buffer, Key>;
  readonly #rooms: Database<Buffer, string>;
  readonly #snapshots: Database<Buffer, string>;
  readonly #quarantine: Database<Buffer, Key>;
  readonly #moved: Database<Buffer, string>;
  readonly #unlock: Unlock;
  #journal!: Journal;
  /** Set while a file of the journal is moved. */
  #moving: Promise<void> | undefined;
  /** What kept one from being moved, until somebody is told. */
  #failure: Error | undefined;
  /** The batch that was tried last: the seqs stay its own, whether or not LMDB said that it failed. */
  #batch: { readonly number: number; readonly seqs: readonly number[] } | undefined;
  /** Of rooms that were written to lately: the seq of the last entry. Asking LMDB costs as much as writing. */
  readonly #lastSeqs = new Map<string, number>();
  /** Reads that are under way. */
  readonly #reading = new Set<Promise<unknown>>();
  /** Compactions and removals read before they write, so they go one after the other. */
  #exclusive: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, unlock: Unlock) {
    this.#unlock = unlock;
    this.#root = open({ path: folder, noSubdir: false, overlappingSync: false, maxDbs: 8 });
    const options = { encoding: 'binary', cache: false } as const;
    this.#updates = this.#root.openDB({ name: 'updates', ...options });
    this.#rooms = this.#root.openDB({ name: 'rooms', ...options });
    this.#snapshots = this.#root.openDB({ name: 'snapshots', ...options });
    this.#quarantine = this.#root.openDB({ name: 'quarantine', ...options });
    this.#moved = this.#root.openDB({ name: 'journal', ...options });
  }

  /**
   * @param folder is made where it does not exist
   * @throws {StorageInUse} when another process has it open
   */
  static async open(
    folder: string,
    { onSalvage, onWarning, journalBytes = FILE_BYTES }: LmdbOptions = {},
  ): Promise<LmdbStorage> {
    mkdirSync(folder, { recursive: true });
    const unlock = await lockFolder(folder);
    let storage: LmdbStorage | undefined;
    try {
      const salvage = await salvageFolder(folder);
      storage = new LmdbStorage(folder, unlock);
      if (salvage !== undefined) onSalvage?.(salvage);
      const left = readJournal(folder, storage.#movedGeneration, journalBytes);
      for (const words of left.damage) onWarning?.(`the journal is not whole: ${words}`);
      await storage.#takeOverJournal(left);
      storage.#journal = new Journal(folder, left, journalBytes, (line) => onWarning?.(line));
      return storage;
    } catch (cause) {
      if (storage !== undefined) await storage.#root.close();
      await unlock();
      throw cause;
    }
  }

  /** Makes a store of the records of a damaged file, in a folder of its own. @returns how many there were */
  static async rebuild(folder: string, damaged: string): Promise<number> {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const storage = new LmdbStorage(folder, async () => undefined);
    const records = await storage.#takeOver(salvageRecords(damaged));
    await storage.#root.close();
    return records;
  }

  /** Writes what was salvaged. Of several snapshots of a room the newest whole one counts. */
  async #takeOver(records: Iterable<Record>): Promise<number> {
    const metas = new Map<string, Record>();
    const snapshots = new Map<string, Record>();
    let count = 0;
    let promises: Promise<boolean>[] = [];
    for (const record of records) {
      count++;
      const { kind, room, seq } = record;
      const value = encodeRecord(record, record.fields);
      if (kind === KIND.update) promises.push(this.#updates.put([room, seq], value));
      else if (kind === KIND.quarantine) promises.push(this.#quarantine.put([room, seq], value));
      else (kind === KIND.room ? metas : snapshots).set(`${seq}\n${room}`, record);
      if (promises.length >= 1_000) {
        await Promise.all(promises);
        promises = [];
      }
    }
    const newest = new Map<string, Record>();
    for (const [key, meta] of metas) {
      const isNewer = meta.seq > (newest.get(meta.room)?.seq ?? 0);
      if (snapshots.has(key) && isNewer) newest.set(meta.room, meta);
    }
    for (const [room, meta] of newest) {
      const snapshot = snapshots.get(`${meta.seq}\n${room}`)!;
      promises.push(this.#rooms.put(room, encodeRecord(meta, meta.fields)));
      promises.push(this.#snapshots.put(room, encodeRecord(snapshot, snapshot.fields)));
    }
    await Promise.all(promises);
    return count;
  }

  async load(room: string): Promise<StoredRoom> {
    const snapshot = this.#meta(room);
    const above = snapshot?.seq ?? 0;
    const lastSeq = this.#lastSeq(room);
    const { entries: tail, damaged } = await this.#read(room, above);
    return { snapshot, tail, damaged, lastSeq };
  }

  async readSnapshot(room: string, seq: number): Promise<Uint8Array | undefined> {
    if (this.#meta(room)?.seq !== seq) return undefined;
    const value = this.#snapshots.get(room);
    const record = value && decodeRecord(value);
    if (record?.room !== room || record.seq !== seq) {
      throw new DamagedSnapshot(`the snapshot of room ${JSON.stringify(room)} is damaged`);
    }
    return record.fields[0];
  }

  async append({ number, appends }: Batch): Promise<readonly number[]> {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    const isRetry = number === this.#batch?.number;
    if (!isRetry) {
      const next = ({ room }: Append) => (this.#lastSeqs.get(room) ?? this.#lastSeq(room)) + 1;
      this.#batch = { number, seqs: appends.map(next) };
    }
    const { seqs } = this.#batch!;
    // Whatever is wrong with the journal, the tree may still take it; the same entries twice are one.
    if (isRetry || !(await this.#journal.append(appends, seqs))) {
      await this.#commit((promises) => {
        for (const [i, { room, entries }] of appends.entries()) {
          const runs = entries.map(({ author, update }, n) => {
            const seq = seqs[i]! + n;
            const records = encodeRecord({ kind: KIND.update, room, seq }, [author, update]);
            return { first: seq, records };
          });
          for (const [last, chunk] of chunksOf(runs)) {
            promises.add(this.#updates.put([room, last], chunk));
          }
        }
      });
    }
    if (this.#lastSeqs.size > MAX_LAST_SEQS) this.#lastSeqs.clear();
    for (const [i, { room, entries }] of appends.entries()) {
      this.#lastSeqs.set(room, seqs[i]! + entries.length - 1);
    }
    this.#moveFull();
    return seqs;
  }

  async since(room: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    if (seq < (this.#meta(room)?.seq ?? 0)) return undefined;
    return (await this.#read(room, seq)).entries;
  }

  async heads(rooms: readonly string[]): Promise<readonly Head[]> {
    return rooms.map((room) => ({
      lastSeq: this.#lastSeq(room),
      snapshotSeq: this.#meta(room)?.seq ?? 0,
    }));
  }

  async snapshot(room: string): Promise<SnapshotMeta | undefined> {
    return this.#meta(room);
  }

  async compact(room: string, { base, snapshot, quarantined }: Compaction): Promise<boolean> {
    return await this.#alone(async () => {
      if ((this.#meta(room)?.seq ?? 0) !== base) return false;
      const meta = { seq: snapshot.seq, size: snapshot.update.length };
      await this.#commit((promises) => {
        const { seq } = snapshot;
        const description = [JSON.stringify(meta), snapshot.stateVector, snapshot.deletes];
        const content = encodeRecord({ kind: KIND.snapshot, room, seq }, [snapshot.update]);
        promises.add(this.#snapshots.put(room, content));
        const described = encodeRecord({ kind: KIND.room, room, seq }, description);
        promises.add(this.#rooms.put(room, described));
        for (const entry of quarantined) {
          const about = JSON.stringify({ reason: entry.reason, author: entry.author });
          const key = { kind: KIND.quarantine, room, seq: entry.seq };
          const value = encodeRecord(key, [about, entry.update]);
          promises.add(this.#quarantine.put([room, entry.seq], value));
        }
      });
      await this.#removeUpTo(room, snapshot.seq);
      this.#root.resetReadTxn();
      this.#journal.forget(room, snapshot.seq);
      return true;
    });
  }

  async quarantined(room: string): Promise<readonly Quarantined[]> {
    return [...this.#range(this.#quarantine, room, 0)].map(({ key, value }) => {
      const fields = decodeRecord(value)?.fields;
      if (fields === undefined) return { seq: key[1], reason: DAMAGED, author: '', update: value };
      return { seq: key[1], ...JSON.parse(untext.decode(fields[0])), update: fields[1]! };
    });
  }

  async remove(room: string): Promise<void> {
    await this.#alone(async () => {
      // The journal knows nothing of removals: after a crash it would bring the room back.
      await this.#moveAll();
      const updates = [...this.#range(this.#updates, room, 0)];
      const quarantined = [...this.#range(this.#quarantine, room, 0)];
      await this.#commit((promises) => {
        promises.add(this.#rooms.remove(room)).add(this.#snapshots.remove(room));
        for (const { key } of updates) promises.add(this.#updates.remove(key));
        for (const { key } of quarantined) promises.add(this.#quarantine.remove(key));
      });
      // Only now: an append that was on its way has noted its seq meanwhile.
      this.#lastSeqs.delete(room);
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
      await this.#root.close();
    } finally {
      await this.#unlock();
    }
  }

  #lastSeq(room: string): number {
    const newest = this.#updates.getKeys({
      start: [room, Number.MAX_SAFE_INTEGER],
      end: [room, 0],
      reverse: true,
      limit: 1,
    });
    let last = this.#meta(room)?.seq ?? 0;
    for (const [, seq] of newest) last = Math.max(last, seq);
    return Math.max(last, this.#journal.lastSeq(room));
  }

  #meta(room: string): SnapshotMeta | undefined {
    const value = this.#rooms.get(room);
    if (value === undefined) return undefined;
    const fields = decodeRecord(value)?.fields;
    if (fields === undefined) {
      throw new DamagedSnapshot(`what describes room ${JSON.stringify(room)} is damaged`);
    }
    const { seq, size } = JSON.parse(untext.decode(fields[0])) as { seq: number; size: number };
    return { seq, size, stateVector: fields[1]!, deletes: fields[2]! };
  }

  #range(database: Database<Buffer, Key>, room: string, above: number) {
    return database.getRange({
      start: [room, above + 1],
      end: [room, Number.MAX_SAFE_INTEGER],
      snapshot: true,
    });
  }

  /**
   * What journal and LMDB hold of a room behind a seq, ascending, each entry once.
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
    for (const { key, value } of this.#range(this.#updates, room, above)) await take(key[1], value);
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
    await this.#putAll(runsOf(full), full.generation, false);
    this.#root.resetReadTxn();
    this.#journal.release();
  }

  /**
   * In slices, so that no turn of the loop takes long.
   *
   * @param generation what is moved with the last of them
   * @param isBeside whether what is there under the same keys stays
   */
  async #putAll(
    rooms: Iterable<readonly [room: string, runs: readonly Run[]]>,
    generation: number,
    isBeside: boolean,
  ): Promise<void> {
    let puts: [key: Key, chunk: Buffer][] = [];
    const commit = async (isLast: boolean) => {
      await this.#commit((promises) => {
        for (const [key, chunk] of puts) promises.add(this.#updates.put(key, chunk));
        if (isLast) promises.add(this.#moved.put(MOVED, Buffer.from(String(generation))));
      });
      puts = [];
    };
    for (const [room, runs] of rooms) {
      for (const [last, chunk] of chunksOf(runs)) {
        const there = isBeside ? this.#updates.get([room, last]) : undefined;
        puts.push([[room, last], there === undefined ? chunk : Buffer.concat([there, chunk])]);
        if (puts.length >= SLICE) await commit(false);
      }
    }
    await commit(true);
  }

  /**
   * What a crash left in the journal. A move that it interrupted may have put some of
   * it under the same keys, together with what is damaged in the journal by now: that
   * stays, and what is there twice is read once.
   */
  async #takeOverJournal({ commits, generation }: Left): Promise<void> {
    if (commits.length === 0) return;
    const rooms = new Map<string, { readonly above: number; readonly runs: Run[] }>();
    for (const { record, bytes } of commits.flatMap((commit) => [...readRecords(commit, false)])) {
      if (record?.kind !== KIND.update) continue;
      const { room, seq } = record;
      let known = rooms.get(room);
      if (known === undefined) {
        known = { above: this.#snapshotSeq(room), runs: [] };
        rooms.set(room, known);
      }
      if (seq > known.above) known.runs.push({ first: seq, records: bytes });
    }
    const found = [...rooms].map(([room, { runs }]) => [room, runs] as const);
    await this.#putAll(found, generation, true);
  }

  /** 0 for a room without one, and for one whose description is damaged: then all of its entries are kept. */
  #snapshotSeq(room: string): number {
    try {
      return this.#meta(room)?.seq ?? 0;
    } catch (error) {
      if (error instanceof DamagedSnapshot) return 0;
      throw error;
    }
  }

  get #movedGeneration(): number {
    return Number(this.#moved.get(MOVED) ?? 0);
  }

  /**
   * What is in the snapshot. Nobody reads it any more: when this is interrupted, the
   * next compaction goes on with it.
   */
  async #removeUpTo(room: string, seq: number): Promise<void> {
    for (;;) {
      const keys = [
        ...this.#updates.getKeys({ start: [room, 0], end: [room, seq + 1], limit: SLICE }),
      ];
      await this.#commit((promises) => {
        for (const key of keys) promises.add(this.#updates.remove(key));
      });
      if (keys.length < SLICE) return;
    }
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#exclusive.then(task);
    // The caller hears of a failure; the next in line must run all the same.
    this.#exclusive = done.catch((error: unknown) => error);
    return await done;
  }

  /**
   * One transaction of everything that `write` queues. LMDB reports a failed
   * commit on the promises of its operations, most of which are one and the same,
   * and on one of its own: all are waited for, so that none is left unhandled, and
   * the cause is thrown.
   */
  async #commit(write: (promises: Promises) => void): Promise<void> {
    const promises: Promises = new Set();
    promises.add(this.#root.batch(() => write(promises)));
    const results = await Promise.allSettled(promises);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    const { commitError } = failed.reason as { commitError?: Promise<never> };
    throw await (commitError ?? Promise.reject(failed.reason)).catch((error: unknown) => error);
  }
}

/** What a snapshot has taken in has been forgotten there. */
function* runsOf(file: Full): Iterable<readonly [room: string, runs: readonly Run[]]> {
  for (const room of file.rooms) yield [room, file.runs(room)];
}

/**
 * Whatever interrupts this, the next start goes on with it: the damaged file is
 * moved away only once its replacement is whole and lies beside it.
 */
async function salvageFolder(folder: string): Promise<Salvage | undefined> {
  const file = join(folder, DATA_FILE);
  const whole = join(folder, 'salvaged.mdb');
  const workshop = join(folder, 'salvaging');
  const damage = findDamage(file);
  if (damage === undefined && !existsSync(whole)) return undefined;
  let records = 0;
  if (!existsSync(whole)) {
    records = await LmdbStorage.rebuild(workshop, file);
    renameSync(join(workshop, DATA_FILE), whole);
  }
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '')}`;
  if (existsSync(file)) renameSync(file, aside);
  rmSync(join(folder, LOCK_FILE), { force: true });
  renameSync(whole, file);
  rmSync(workshop, { recursive: true, force: true });
  return { damage: damage ?? 'an earlier salvage was interrupted', aside, records };
}

const DAMAGED = 'checksum does not match';
const MOVED = 'moved';
/** Entries that are read, moved or removed in one turn of the loop; it takes some milliseconds. */
const SLICE = 500;
const MAX_LAST_SEQS = 100_000;
