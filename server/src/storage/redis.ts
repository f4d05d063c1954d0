/**
 * Storage in Redis 6.2 or newer, shared by any number of processes.
 *
 * Durable here means what Redis's settings make of it (redis-settings.ts): `append`
 * resolves on Redis's answer. Everything lies in Redis's memory. What is where, and
 * why batches and rooms stay whole, says redis-scripts.ts.
 *
 * Invariant: no command moves much more than {@link PART_BYTES}, beside what a batch
 * or one entry brings with it, so that none holds up the others for long.
 */
import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Redis } from 'ioredis';
import {
  asBuffer,
  checkPrefix,
  connectRedis,
  DEFAULT_TIMEOUT_MS,
  endConnection,
  firstAttempt,
  lookAround,
  type RedisOptions,
  reasonOf,
} from '../redis.js';
import { type RedisInfo, UnusableRedis } from '../redis-signs.js';
import { drawGeneration } from './generation.js';
import { type Page as ListPage, listPages } from './listing.js';
import { parsedNote } from './merge-note.js';
import { encodeRecord, KIND } from './record.js';
import { checksum, decodeMeta, decodePage, decodeQuarantined, type Page } from './redis-answers.js';
import { APPEND, COMPACT, HEARTBEAT, READ, RENEW } from './redis-scripts.js';
import { examine } from './redis-settings.js';
import {
  type Batch,
  type Compaction,
  DamagedSnapshot,
  emptySnapshot,
  type Head,
  type Heartbeat,
  type Listing,
  type LogEntry,
  type MergeNote,
  type Primary,
  type Quarantined,
  type Replacement,
  type RoomSummary,
  type Snapshot,
  type SnapshotMeta,
  type Storage,
  type StoredRoom,
} from './storage.js';

const text = new TextEncoder();

const PART_BYTES = 4 * 1024 * 1024;
/** How long a batch may be tried again: longer than any outage that somebody waits for. */
const WRITER_SECONDS = 30 * 24 * 3600;
/** Keys that one step of a walk looks at; it takes Redis a fraction of a millisecond. */
const SCANNED = 1_000;
const STAGED_SECONDS = 3600;
const MISSING = 'it is not in the log';

export class RedisStorage implements Storage {
  readonly name = 'redis';
  readonly isShared = true;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #writer: string;
  #indexing: Promise<void> | undefined;
  /** What was begun and changes something: it may be under way when the storage is closed. */
  readonly #writing = new Set<Promise<unknown>>();
  readonly #failoverListeners: (() => void)[] = [];
  /** The server and its history, as far as it says; another object for another one. */
  #primary: Primary = { id: 0 };

  private constructor(url: string, options: RedisOptions) {
    const prefix = checkPrefix(options.prefix);
    this.#redis = connectRedis(url, 'storage', options, (info) => this.#connected(info));
    this.#prefix = prefix;
    this.#writer = `${prefix}writer:${randomUUID()}`;
  }

  /**
   * @param url as {@link connectRedis} takes it
   * @throws {TypeError} when the address or an option cannot be right
   * @throws {UnusableRedis} when it is no Redis that can be written to, or none of those supported
   */
  static async open(url: string, options: RedisOptions = {}): Promise<RedisStorage> {
    const storage = new RedisStorage(url, options);
    const redis = storage.#redis;
    try {
      const failure = await firstAttempt(redis, options.timeout ?? DEFAULT_TIMEOUT_MS);
      if (failure instanceof UnusableRedis) throw failure;
      if (failure !== undefined) {
        const reason = `${reasonOf(failure)}${tlsHint(url, failure)}`;
        throw new UnusableRedis(`no connection to Redis: ${reason}`, { cause: failure });
      }
      const weakness = await examine(redis, storage.#prefix);
      if (weakness !== undefined) options.onWarning?.(weakness);
    } catch (error) {
      await endConnection(redis);
      throw error;
    }
    return storage;
  }

  get primary(): Primary {
    return this.#primary;
  }

  checkPrimary(): void {
    lookAround(this.#redis);
  }

  onFailover(listener: () => void): void {
    this.#failoverListeners.push(listener);
  }

  /**
   * A Redis that was restarted counts as another: unless each write is synced before its answer
   * it may have lost some, and nothing that it says tells.
   */
  #connected({ run_id, master_replid }: RedisInfo): void {
    if (run_id === undefined) return;
    const before = this.#primary;
    const id = crc32(`${run_id} ${master_replid}`);
    if (id === before.id) return;
    this.#primary = { id };
    if (before.id === 0) return;
    for (const listener of this.#failoverListeners) listener();
  }

  async load(room: string): Promise<StoredRoom> {
    for (;;) {
      const primary = this.#primary;
      const pages = await this.#read(room, undefined);
      // What was read so far may have been compacted away between two pages, or be of another server: then from the start.
      if (pages === undefined || primary !== this.#primary) continue;
      const { snapshot, snapshotSeq, lastSeq, isDeleted } = pages[0]!;
      const tail = pages.flatMap(({ entries }) => entries);
      const damaged = pages.flatMap((page) => page.damaged);
      const found = new Set([...tail, ...damaged].map(({ seq }) => seq));
      for (let seq = snapshotSeq + 1; seq <= lastSeq; seq++) {
        if (found.has(seq)) continue;
        damaged.push({ seq, reason: MISSING, author: '', update: new Uint8Array() });
      }
      return { snapshot, tail, damaged, lastSeq, isDeleted };
    }
  }

  async readSnapshot(room: string, seq: number): Promise<Uint8Array | undefined> {
    const key = this.#snapshotKey(seq, room);
    for (;;) {
      const [at, size, crc] = await this.#describe(room);
      if (Number(at ?? 0) !== seq || size == null) return undefined;
      const bytes = new Uint8Array(Number(size));
      let read = 0;
      while (read < bytes.length) {
        const part = await this.#redis.getrangeBuffer(key, read, read + PART_BYTES - 1);
        if (part.length === 0 || read + part.length > bytes.length) break;
        bytes.set(part, read);
        read += part.length;
      }
      if (read === bytes.length && crc32(bytes) === Number(crc)) return bytes;
      // Damaged, unless another has taken its place meanwhile.
      const now = await this.#describe(room);
      if (now.every((value, i) => value === [at, size, crc][i])) {
        throw new DamagedSnapshot(`the snapshot of room ${JSON.stringify(room)} is damaged`);
      }
    }
  }

  async append({ number, appends }: Batch): Promise<readonly number[]> {
    const keys = [this.#writer, this.#names];
    const args: (string | number | Buffer)[] = [number, WRITER_SECONDS];
    for (const { room, life = 0, entries } of appends) {
      keys.push(this.#key('room', room), this.#key('log', room));
      args.push(room, life, entries.length);
      for (const { update, author } of entries) {
        args.push(asBuffer(update), author, checksum(update, author));
      }
    }
    const seqs = (await this.#write(APPEND.run(this.#redis, keys, args))) as Buffer;
    return appends.length === 0 ? [] : seqs.toString().split(',').map(Number);
  }

  async since(room: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    return (await this.#read(room, seq))?.flatMap(({ entries }) => entries);
  }

  async heads(rooms: readonly string[]): Promise<readonly Head[]> {
    if (rooms.length === 0) return [];
    const pipeline = this.#redis.pipeline();
    const fields = ['last', 'seq', 'life', 'generation'];
    for (const room of rooms) pipeline.hmget(this.#key('room', room), ...fields);
    const answers = (await pipeline.exec()) ?? [];
    return answers.map(([error, answer]) => {
      if (error !== null) throw error;
      const [last, snapshotSeq, life, generation] = (answer as (string | null)[]).map(Number);
      return {
        lastSeq: last!,
        snapshotSeq: snapshotSeq!,
        life: life!,
        generation: generation!,
      };
    });
  }

  async rooms(listing: Listing): Promise<readonly RoomSummary[]> {
    this.#indexing ??= this.#index().catch((error: unknown) => {
      this.#indexing = undefined;
      throw error;
    });
    await this.#indexing;
    return await listPages(listing, (page) => this.#listed(page));
  }

  /**
   * Names that are not in the index: of rooms that an earlier version wrote. Once for each
   * storage object, because one of that version may still be writing: a walk over all keys
   * of the database, {@link SCANNED} at a time.
   */
  async #index(): Promise<void> {
    const kinds = (['room', 'log'] as const).map((kind) => Buffer.from(this.#key(kind, '')));
    let cursor = '0';
    do {
      const answer = await this.#redis.scanBuffer(cursor, 'COUNT', SCANNED);
      cursor = answer[0].toString();
      const names = answer[1].flatMap((key) => {
        const kind = kinds.find((kind) => key.subarray(0, kind.length).equals(kind));
        return kind === undefined ? [] : [0, key.subarray(kind.length)];
      });
      if (names.length > 0) await this.#redis.zadd(this.#names, ...(names as [number, Buffer]));
    } while (cursor !== '0');
  }

  async #listed({ start, isInclusive, prefix, count }: ListPage): Promise<RoomSummary[]> {
    const from = Buffer.from(`${isInclusive ? '[' : '('}${start}`);
    // No byte of UTF-8.
    const to = Buffer.concat([Buffer.from(`(${prefix}`), Buffer.of(0xff)]);
    const names = await this.#redis.zrangebylex(this.#names, from, to, 'LIMIT', 0, count);
    if (names.length === 0) return [];
    const pipeline = this.#redis.pipeline();
    for (const name of names) {
      pipeline.hmget(this.#key('room', name), 'last', 'seq', 'size', 'deleted');
    }
    const answers = (await pipeline.exec()) ?? [];
    return answers.map(([error, answer], i) => {
      if (error !== null) throw error;
      const [last, seq, size, deleted] = answer as (string | null)[];
      const [lastSeq, snapshotSeq, snapshotBytes] = [Number(last), Number(seq), Number(size)];
      return { name: names[i]!, lastSeq, snapshotSeq, snapshotBytes, isDeleted: deleted !== null };
    });
  }

  async snapshot(room: string): Promise<SnapshotMeta | undefined> {
    const fields = ['seq', 'size', 'vector', 'deletes', 'life', 'at', 'generation'];
    const head = await this.#redis.hmgetBuffer(this.#key('room', room), ...fields);
    return decodeMeta(head.map((field) => field ?? Buffer.alloc(0)));
  }

  async compact(room: string, compaction: Compaction): Promise<boolean> {
    return await this.#write(this.#compact(room, compaction));
  }

  async mergeNote(room: string): Promise<MergeNote | undefined> {
    const text = await this.#redis.get(this.#key('merge', room));
    return text === null ? undefined : parsedNote(text);
  }

  async noteMerge(room: string, note: MergeNote | undefined): Promise<void> {
    const key = this.#key('merge', room);
    const writing: Promise<unknown> =
      note === undefined ? this.#redis.unlink(key) : this.#redis.set(key, JSON.stringify(note));
    await this.#write(writing);
  }

  async quarantined(room: string): Promise<readonly Quarantined[]> {
    const key = this.#key('quarantine', room);
    const seqs = (await this.#redis.hkeys(key)).map(Number).sort((a, b) => a - b);
    const found: Quarantined[] = [];
    for (const seq of seqs) {
      const value = await this.#redis.hgetBuffer(key, String(seq));
      if (value !== null) found.push(decodeQuarantined(room, seq, value));
    }
    return found;
  }

  async remove(room: string, generation = drawGeneration()): Promise<void> {
    await this.#write(this.#renew(room, 'remove', generation));
  }

  async revive(room: string, generation = drawGeneration()): Promise<boolean> {
    return (await this.#write(this.#renew(room, 'revive', generation))) !== undefined;
  }

  async replace(
    room: string,
    document: Omit<Snapshot, 'seq'>,
    generation = drawGeneration(),
  ): Promise<Replacement | undefined> {
    return await this.#write(this.#renew(room, 'replace', generation, document));
  }

  async #renew(
    room: string,
    what: 'remove' | 'revive' | 'replace',
    generation: number,
    document: Omit<Snapshot, 'seq'> = emptySnapshot(0),
  ): Promise<Replacement | undefined> {
    const update = asBuffer(document.update);
    const { stateVector, deletes } = document;
    const staged = await this.#stage(update);
    const kinds = ['room', 'log', 'quarantine', 'merge'] as const;
    const keys = [...kinds.map((kind) => this.#key(kind, room)), this.#names, staged];
    const args: (string | number | Buffer)[] = [`${this.#prefix}snapshot:`, room, what];
    args.push(update.length, crc32(update));
    args.push(asBuffer(stateVector), asBuffer(deletes), Date.now(), generation);
    const seq = Number(await RENEW.run(this.#redis, keys, args));
    return seq > 0 ? { seq, generation } : undefined;
  }

  /** The bytes of a snapshot on their way in. @returns the key of where they are */
  async #stage(update: Buffer): Promise<string> {
    const staged = `${this.#prefix}staged:${randomUUID()}`;
    await this.#redis.set(staged, update.subarray(0, PART_BYTES), 'EX', STAGED_SECONDS);
    for (let at = PART_BYTES; at < update.length; at += PART_BYTES) {
      await this.#redis.append(staged, update.subarray(at, at + PART_BYTES));
    }
    return staged;
  }

  async heartbeat(own: Heartbeat, ttl: number): Promise<readonly Heartbeat[]> {
    const { instance, count, isRelayed } = own;
    const note = `${count} ${Number(isRelayed)}`;
    const keys = [`${this.#prefix}instances`];
    const answer = (await HEARTBEAT.run(this.#redis, keys, [instance, note, ttl])) as Buffer[];
    const others: Heartbeat[] = [];
    for (let i = 0; i < answer.length; i += 2) {
      const [count, isRelayed] = answer[i + 1]!.toString().split(' ').map(Number);
      others.push({
        instance: answer[i]!.toString(),
        count: count!,
        isRelayed: isRelayed === 1,
      });
    }
    return others;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
    await endConnection(this.#redis);
  }

  async #compact(room: string, compaction: Compaction): Promise<boolean> {
    const { base, snapshot, quarantined, generation = '' } = compaction;
    const { seq, stateVector, deletes } = snapshot;
    const primary = this.#primary;
    const update = asBuffer(snapshot.update);
    const staged = await this.#stage(update);
    const keys = [
      ...[this.#key('room', room), this.#key('log', room), this.#key('quarantine', room)],
      ...[staged, this.#snapshotKey(base, room), this.#snapshotKey(seq, room)],
      this.#names,
    ];
    const args: (string | number | Buffer)[] = [room, base, seq, update.length, crc32(update)];
    args.push(asBuffer(stateVector), asBuffer(deletes), Date.now(), generation);
    for (const entry of quarantined) {
      const about = text.encode(JSON.stringify({ reason: entry.reason, author: entry.author }));
      const key = { kind: KIND.quarantine, room, seq: entry.seq };
      args.push(entry.seq, encodeRecord(key, [about, entry.update]));
    }
    // It is of what another server had: here it might take the place of something else.
    if (primary !== this.#primary) return false;
    return (await COMPACT.run(this.#redis, keys, args)) === 1;
  }

  /**
   * What lies behind a seq, or behind the snapshot, in pages.
   *
   * @returns at least one page; undefined when a snapshot has taken the place of some of it
   */
  async #read(room: string, seq: number | undefined): Promise<readonly Page[] | undefined> {
    const first = await this.#readPage(room, seq ?? 0);
    if (seq !== undefined && seq < first.snapshotSeq) return undefined;
    const pages = [first];
    let page = first;
    // What is appended while it is read is left to the next.
    while (page.hasMore && page.upTo < first.lastSeq) {
      const { upTo } = page;
      page = await this.#readPage(room, upTo, first.lastSeq);
      if (page.snapshotSeq > upTo) return undefined;
      pages.push(page);
    }
    return pages;
  }

  async #readPage(room: string, from: number, to?: number): Promise<Page> {
    const keys = [this.#key('room', room), this.#key('log', room)];
    return decodePage(room, await READ.run(this.#redis, keys, [from, PART_BYTES]), from, to);
  }

  /** The seq, size and CRC of the room's snapshot. */
  async #describe(room: string): Promise<(string | null)[]> {
    return await this.#redis.hmget(this.#key('room', room), 'seq', 'size', 'crc');
  }

  get #names(): string {
    return `${this.#prefix}rooms`;
  }

  async #write<T>(writing: Promise<T>): Promise<T> {
    this.#writing.add(writing);
    try {
      return await writing;
    } finally {
      this.#writing.delete(writing);
    }
  }

  #key(kind: 'room' | 'log' | 'quarantine' | 'merge', room: string): string {
    return `${this.#prefix}${kind}:${room}`;
  }

  #snapshotKey(seq: number, room: string): string {
    return `${this.#prefix}snapshot:${seq}:${room}`;
  }
}

/** A server that speaks TLS closes a connection without it, and says nothing that is readable. */
function tlsHint(url: string, { code, message }: NodeJS.ErrnoException): string {
  const isCut = code === 'ECONNRESET' || code === 'EPIPE' || /closed|protocol/i.test(message);
  return isCut && /^\s*redis:/.test(url) ? '; where it speaks TLS, its address is rediss://…' : '';
}
