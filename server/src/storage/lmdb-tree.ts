/**
 * The LMDB environment of a folder: what of a store is not in the journal any more.
 *
 * A commit's promise resolves after the sync: `overlappingSync` stays off, with which
 * LMDB resolves at the commit and syncs afterwards. Commits run on LMDB's own thread.
 *
 * Keys are arrays in `ordered-binary` encoding, `[room, seq]`, in which no room's
 * keys are a prefix or a neighbour inside another's.
 *
 *   updates     [room, last seq] → records(author, update) of entries that follow each other
 *   rooms       room        → record(meta as JSON, state vector, deletes)
 *   snapshots   room        → record(update)
 *   quarantine  [room, seq] → record(meta as JSON, update)
 *   journal     'moved'     → the generation up to which all of the journal is here, in decimal
 *   merges      room        → what is remembered of merging it, as JSON
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { chunksOf, type Run } from './chunks.js';
import { makeFiles, makeFolder } from './folder.js';
import type { Page } from './listing.js';
import { parsedNote } from './merge-note.js';
import { decodeRecord, encodeRecord, KIND, type Record } from './record.js';
import { salvageRecords } from './salvage.js';
import {
  type Compaction,
  DamagedSnapshot,
  type MergeNote,
  type Quarantined,
  type Snapshot,
  type SnapshotMeta,
} from './storage.js';

const untext = new TextDecoder();

/** What a room's record says in JSON; one of an earlier version says nothing of lives, or of its time. */
interface Description {
  readonly seq: number;
  readonly size: number;
  readonly life?: number;
  readonly generation?: number;
  readonly isDeleted?: boolean;
  readonly writtenAt?: number;
}

type Life = Required<Pick<Description, 'life' | 'generation' | 'isDeleted'>>;

type Key = [room: string, seq: number];

type Promises = Set<Promise<boolean>>;

/** Entries that are moved or removed in one turn of the loop; it takes some milliseconds. */
const SLICE = 500;
const MOVED = 'moved';
export const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'lock.mdb';

export class Tree {
  readonly #root: RootDatabase;
  readonly #updates: Database<Buffer, Key>;
  readonly #rooms: Database<Buffer, string>;
  readonly #snapshots: Database<Buffer, string>;
  readonly #quarantine: Database<Buffer, Key>;
  readonly #journal: Database<Buffer, string>;
  readonly #merges: Database<Buffer, string>;

  constructor(folder: string) {
    // LMDB's own lock is for processes that have a file together. An owner that this one has taken
    // over from may still have it mapped, and write into it when it wakes.
    rmSync(join(folder, LOCK_FILE), { force: true });
    makeFiles(folder, [DATA_FILE, LOCK_FILE]);
    this.#root = open({
      path: folder,
      noSubdir: false,
      overlappingSync: false,
      maxDbs: 8,
      // Its batches of its own would reject promises that nobody holds, and end the process.
      eventTurnBatching: false,
    });
    const options = { encoding: 'binary', cache: false } as const;
    this.#updates = this.#root.openDB({ name: 'updates', ...options });
    this.#rooms = this.#root.openDB({ name: 'rooms', ...options });
    this.#snapshots = this.#root.openDB({ name: 'snapshots', ...options });
    this.#quarantine = this.#root.openDB({ name: 'quarantine', ...options });
    this.#journal = this.#root.openDB({ name: 'journal', ...options });
    this.#merges = this.#root.openDB({ name: 'merges', ...options });
  }

  /** Makes one of the records of a damaged file, in a folder of its own. @returns how many there were */
  static async rebuild(folder: string, damaged: string): Promise<number> {
    rmSync(folder, { recursive: true, force: true });
    makeFolder(folder);
    const tree = new Tree(folder);
    const records = await tree.#takeOver(salvageRecords(damaged));
    await tree.close();
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

  /** @throws {DamagedSnapshot} */
  meta(room: string): SnapshotMeta | undefined {
    const fields = this.#describe(room);
    if (fields === undefined) return undefined;
    const { seq, size, life = 0, generation = 0, writtenAt } = descriptionIn(fields);
    const [, stateVector, deletes] = fields as [Uint8Array, Uint8Array, Uint8Array];
    return { seq, size, life, generation, writtenAt, stateVector, deletes };
  }

  /** Not one whose description is damaged: that may be removed anew. */
  isDeleted(room: string): boolean {
    return this.#description(room)?.isDeleted === true;
  }

  #describe(room: string): readonly Uint8Array[] | undefined {
    const value = this.#rooms.get(room);
    if (value === undefined) return undefined;
    const fields = decodeRecord(value)?.fields;
    if (fields === undefined) {
      throw new DamagedSnapshot(`what describes room ${JSON.stringify(room)} is damaged`);
    }
    return fields;
  }

  /** 0 for a room without one, and for one whose description is damaged: then all of its entries are kept. */
  snapshotSeq(room: string): number {
    return this.#description(room)?.seq ?? 0;
  }

  /** @returns undefined also for one that is damaged */
  #description(room: string): Description | undefined {
    try {
      const fields = this.#describe(room);
      return fields && descriptionIn(fields);
    } catch (error) {
      if (error instanceof DamagedSnapshot) return undefined;
      throw error;
    }
  }

  /** @throws {DamagedSnapshot} */
  snapshot(room: string, seq: number): Uint8Array | undefined {
    if (this.meta(room)?.seq !== seq) return undefined;
    const value = this.#snapshots.get(room);
    const record = value && decodeRecord(value);
    if (record?.room !== room || record.seq !== seq) {
      throw new DamagedSnapshot(`the snapshot of room ${JSON.stringify(room)} is damaged`);
    }
    return record.fields[0];
  }

  snapshotBytes(room: string): number {
    return this.#description(room)?.size ?? 0;
  }

  /** Those of both kinds, the first `count` of each. */
  *names({ start, isInclusive, prefix, count }: Page): Iterable<string> {
    const from = { start, exclusiveStart: !isInclusive, limit: count };
    for (const name of this.#rooms.getKeys(from)) {
      if (!name.startsWith(prefix)) break;
      yield name;
    }
    // One key of each room: what is behind all of its seqs is the next one's.
    let before: Key = [start, isInclusive ? 0 : Number.MAX_SAFE_INTEGER];
    for (let i = 0; i < count; i++) {
      const [key] = [...this.#updates.getKeys({ start: before, limit: 1 })];
      if (key === undefined || !key[0].startsWith(prefix)) break;
      yield key[0];
      before = [key[0], Number.MAX_SAFE_INTEGER];
    }
  }

  lastSeq(room: string): number {
    const newest = this.#updates.getKeys({
      start: [room, Number.MAX_SAFE_INTEGER],
      end: [room, 0],
      reverse: true,
      limit: 1,
    });
    let last = this.snapshotSeq(room);
    for (const [, seq] of newest) last = Math.max(last, seq);
    return last;
  }

  /** Chunks with entries behind a seq, as they are when the first is asked for. */
  *chunks(room: string, above: number): Iterable<[last: number, chunk: Buffer]> {
    for (const { key, value } of this.#range(this.#updates, room, above)) yield [key[1], value];
  }

  quarantined(room: string): Quarantined[] {
    const life = this.#description(room)?.life ?? 0;
    return [...this.#range(this.#quarantine, room, life)].map(({ key, value }) => {
      const fields = decodeRecord(value)?.fields;
      if (fields === undefined) {
        return { seq: key[1], reason: 'checksum does not match', author: '', update: value };
      }
      return { seq: key[1], ...JSON.parse(untext.decode(fields[0])), update: fields[1]! };
    });
  }

  /** @returns undefined also for what cannot be read: it is no part of any document */
  mergeNote(room: string): MergeNote | undefined {
    const value = this.#merges.get(room);
    return value && parsedNote(untext.decode(value));
  }

  async noteMerge(room: string, note: MergeNote | undefined): Promise<void> {
    if (note === undefined && this.#merges.get(room) === undefined) return;
    await this.#commit((promises) => {
      const written =
        note === undefined
          ? this.#merges.remove(room)
          : this.#merges.put(room, Buffer.from(JSON.stringify(note)));
      promises.add(written);
    });
  }

  /** Entries of many rooms, in one commit. */
  async put(rooms: Iterable<readonly [room: string, runs: readonly Run[]]>): Promise<void> {
    await this.#commit((promises) => {
      for (const [room, runs] of rooms) {
        for (const [last, chunk] of chunksOf(runs)) {
          promises.add(this.#updates.put([room, last], chunk));
        }
      }
    });
  }

  /** The generation up to which all of the journal is here. */
  get moved(): number {
    return Number(this.#journal.get(MOVED) ?? 0);
  }

  /**
   * What comes out of the journal. In slices, so that no turn of the loop takes long.
   *
   * @param generation what is moved with the last of them
   * @param isBeside whether what is there under the same keys stays
   */
  async move(
    rooms: Iterable<readonly [room: string, runs: readonly Run[]]>,
    generation: number,
    isBeside: boolean,
  ): Promise<void> {
    let puts: [key: Key, chunk: Buffer][] = [];
    const commit = async (isLast: boolean) => {
      await this.#commit((promises) => {
        for (const [key, chunk] of puts) promises.add(this.#updates.put(key, chunk));
        if (isLast) promises.add(this.#journal.put(MOVED, Buffer.from(String(generation))));
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

  /** Puts a snapshot in the place of the entries up to its seq. */
  async compact(room: string, compaction: Compaction): Promise<void> {
    const { snapshot, quarantined } = compaction;
    const { seq } = snapshot;
    const { life = 0, generation = 0 } = this.meta(room) ?? {};
    const about = { life, generation: compaction.generation ?? generation, isDeleted: false };
    await this.#commit((promises) => {
      this.#putSnapshot(promises, room, snapshot, about);
      for (const entry of quarantined) {
        const words = JSON.stringify({ reason: entry.reason, author: entry.author });
        const key = { kind: KIND.quarantine, room, seq: entry.seq };
        const value = encodeRecord(key, [words, entry.update]);
        promises.add(this.#quarantine.put([room, entry.seq], value));
      }
    });
    await this.#removeUpTo(this.#updates, room, seq);
  }

  /**
   * Nothing but this is in the room from now on, in a life that begins with its seq: no entry of it
   * has a higher one. The last word about a room is what has the highest seq, also for
   * whoever finds records in a damaged file. Then {@link clear}.
   */
  async renew(room: string, snapshot: Snapshot, about: Life): Promise<void> {
    await this.#commit((promises) => this.#putSnapshot(promises, room, snapshot, about));
  }

  /** What is below the life of a room that was removed: nobody reads it. */
  async clear(room: string, life: number): Promise<void> {
    await this.#removeUpTo(this.#updates, room, life);
    await this.#removeUpTo(this.#quarantine, room, life);
    await this.noteMerge(room, undefined);
  }

  #putSnapshot(
    promises: Promises,
    room: string,
    { seq, update, stateVector, deletes }: Snapshot,
    about: Life,
  ): void {
    const writtenAt = Date.now();
    const description: Description = { seq, size: update.length, writtenAt, ...about };
    const content = encodeRecord({ kind: KIND.snapshot, room, seq }, [update]);
    promises.add(this.#snapshots.put(room, content));
    const fields = [JSON.stringify(description), stateVector, deletes];
    promises.add(this.#rooms.put(room, encodeRecord({ kind: KIND.room, room, seq }, fields)));
  }

  /**
   * What is in the snapshot. Nobody reads it any more: when this is interrupted, the
   * next compaction or removal goes on with it.
   */
  async #removeUpTo(database: Database<Buffer, Key>, room: string, seq: number): Promise<void> {
    for (;;) {
      const keys = [...database.getKeys({ start: [room, 0], end: [room, seq + 1], limit: SLICE })];
      await this.#commit((promises) => {
        for (const key of keys) promises.add(database.remove(key));
      });
      if (keys.length < SLICE) return;
    }
  }

  /** What is read from now on is at least as new as the last commit. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #range(database: Database<Buffer, Key>, room: string, above: number) {
    return database.getRange({
      start: [room, above + 1],
      end: [room, Number.MAX_SAFE_INTEGER],
      snapshot: true,
    });
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

function descriptionIn(fields: readonly Uint8Array[]): Description {
  return JSON.parse(untext.decode(fields[0])) as Description;
}
