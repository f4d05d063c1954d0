/**
 * Storage in an LMDB environment, one folder for all rooms.
 *
 * Durable here means: the commit's pages are written and synced (`fdatasync`)
 * before `append` resolves. `overlappingSync` stays off for that: with it LMDB
 * resolves at the commit and syncs afterwards. Commits run on LMDB's own thread,
 * the event loop does not wait for the disk.
 *
 * One process owns the folder at a time (lock.ts). Keys are arrays in
 * `ordered-binary` encoding, `[room, seq]`, in which no room's keys are a prefix
 * or a neighbour inside another's.
 *
 *   updates     [room, seq] → record(author, update)
 *   rooms       room        → record(meta as JSON, state vector, deletes)
 *   snapshots   room        → record(update)
 *   quarantine  [room, seq] → record(meta as JSON, update)
 *
 * A data file that was cut short or whose index is broken is moved aside, and
 * its records are taken over into a new one (salvage.ts).
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { lockFolder, type Unlock } from './lock.js';
import { decodeRecord, encodeRecord, KIND, type Record } from './record.js';
import { findDamage, salvageRecords } from './salvage.js';
import {
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

const text = new TextEncoder();
const untext = new TextDecoder();

type Key = [room: string, seq: number];

type Promises = Set<Promise<boolean>>;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'lock.mdb';

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
  readonly #unlock: Unlock;
  /** The batch that was tried last: the seqs stay its own, whether or not LMDB said that it failed. */
  #batch: { readonly number: number; readonly seqs: readonly number[] } | undefined;
  /** Of rooms that were written to lately: the seq of the last entry. Asking LMDB costs as much as writing. */
  readonly #lastSeqs = new Map<string, number>();
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
  }

  /**
   * @param folder is made where it does not exist
   * @param onSalvage hears when the data file was damaged and what was found in it
   * @throws {StorageInUse} when another process has it open
   */
  static async open(
    folder: string,
    onSalvage: (salvage: Salvage) => void = () => undefined,
  ): Promise<LmdbStorage> {
    mkdirSync(folder, { recursive: true });
    const unlock = await lockFolder(folder);
    try {
      const salvage = await salvageFolder(folder);
      const storage = new LmdbStorage(folder, unlock);
      if (salvage !== undefined) onSalvage(salvage);
      return storage;
    } catch (cause) {
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
    const tail: LogEntry[] = [];
    const damaged: Quarantined[] = [];
    let lastSeq = above;
    for await (const { key, value } of this.#sliced(room, above)) {
      const [, seq] = key;
      lastSeq = seq;
      const entry = this.#entry(room, seq, value);
      if (entry === undefined) damaged.push({ seq, reason: DAMAGED, author: '', update: value });
      else tail.push(entry);
    }
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
    if (number !== this.#batch?.number) {
      const next = ({ room }: { room: string }) =>
        (this.#lastSeqs.get(room) ?? this.#lastSeq(room)) + 1;
      this.#batch = { number, seqs: appends.map(next) };
    }
    const { seqs } = this.#batch;
    await this.#commit((promises) => {
      for (const [i, { room, entries }] of appends.entries()) {
        for (const [n, { author, update }] of entries.entries()) {
          const seq = seqs[i]! + n;
          const key = { kind: KIND.update, room, seq };
          const value = encodeRecord(key, [text.encode(author), update]);
          promises.add(this.#updates.put([room, seq], value));
        }
      }
    });
    if (this.#lastSeqs.size > MAX_LAST_SEQS) this.#lastSeqs.clear();
    for (const [i, { room, entries }] of appends.entries()) {
      this.#lastSeqs.set(room, seqs[i]! + entries.length - 1);
    }
    return seqs;
  }

  async since(room: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    if (seq < (this.#meta(room)?.seq ?? 0)) return undefined;
    const entries: LogEntry[] = [];
    for await (const { key, value } of this.#sliced(room, seq)) {
      const entry = this.#entry(room, key[1], value);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
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
        const description = [
          text.encode(JSON.stringify(meta)),
          snapshot.stateVector,
          snapshot.deletes,
        ];
        const content = encodeRecord({ kind: KIND.snapshot, room, seq }, [snapshot.update]);
        promises.add(this.#snapshots.put(room, content));
        const described = encodeRecord({ kind: KIND.room, room, seq }, description);
        promises.add(this.#rooms.put(room, described));
        for (const entry of quarantined) {
          const about = text.encode(JSON.stringify({ reason: entry.reason, author: entry.author }));
          const key = { kind: KIND.quarantine, room, seq: entry.seq };
          const value = encodeRecord(key, [about, entry.update]);
          promises.add(this.#quarantine.put([room, entry.seq], value));
        }
      });
      await this.#removeUpTo(room, snapshot.seq);
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
    await this.#exclusive;
    await this.#root.close();
    await this.#unlock();
  }

  #entry(room: string, seq: number, value: Buffer): LogEntry | undefined {
    const record = decodeRecord(value);
    if (record?.room !== room || record.seq !== seq) return undefined;
    return { seq, author: untext.decode(record.fields[0]), update: record.fields[1]! };
  }

  #lastSeq(room: string): number {
    const newest = this.#updates.getKeys({
      start: [room, Number.MAX_SAFE_INTEGER],
      end: [room, 0],
      reverse: true,
      limit: 1,
    });
    for (const [, seq] of newest) return seq;
    return this.#meta(room)?.seq ?? 0;
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

  /** As many at a time as do not keep the event loop waiting. */
  async *#sliced(room: string, above: number) {
    let count = 0;
    for (const entry of this.#range(this.#updates, room, above)) {
      yield entry;
      if (++count % SLICE === 0) await nextTurn();
    }
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
/** Entries that are read or removed in one turn of the loop; it takes some milliseconds. */
const SLICE = 500;
const MAX_LAST_SEQS = 100_000;
