/**
 * Storage in Redis 6.2 or newer, shared by any number of processes.
 *
 * Durable here means what Redis's settings make of it. With `appendonly yes` and
 * `appendfsync always` a write is synced to Redis's disk before it is answered,
 * and `append` resolves on that answer. With `appendfsync everysec` the last
 * second may be lost with the machine, with `appendonly no` all since the last
 * dump; a replica that takes over lacks what had not reached it. Redis must not
 * evict (`maxmemory-policy noeviction`). `open` looks at these settings and warns.
 * Everything lies in Redis's memory. Redis Cluster is not supported: a batch
 * writes the keys of many rooms at once.
 *
 *   room:<room>            hash: last seq; of the snapshot its seq, size, CRC-32,
 *                          state vector and deletes
 *   log:<room>             stream: <seq>-0 → update, author, CRC-32 over both
 *   snapshot:<seq>:<room>  the snapshot's bytes
 *   quarantine:<room>      hash: seq → record (record.ts)
 *   writer:<id>            hash: this storage object's last batch and its seqs
 *   staged:<id>            a snapshot on its way in, in parts; runs out by itself
 *
 * Invariants: whatever changes a room is one script, which checks before its first
 * write; Redis carries out one at a time, so the order of seqs is that of commits.
 * A batch's number and seqs are kept by the script that writes it: a batch that is
 * tried again, and an earlier attempt that Redis comes to late, write nothing more.
 * A room's name comes last in a key, so no room reaches another's keys. No command
 * moves much more than {@link PART_BYTES}, beside what a batch or one entry brings
 * with it, so that none holds up the others for long.
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
  type RedisOptions,
  reasonOf,
  Script,
} from '../redis.js';
import { decodeRecord, encodeRecord, KIND } from './record.js';
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

const PART_BYTES = 4 * 1024 * 1024;
/** How long a batch may be tried again: longer than any outage that somebody waits for. */
const WRITER_SECONDS = 30 * 24 * 3600;
const STAGED_SECONDS = 3600;
const DAMAGED = 'checksum does not match';
const MISSING = 'it is not in the log';

/**
 * Keys: the writer's, then each room's hash and log. Arguments: the batch's number,
 * seconds to remember it, then for each room how many entries, and of each entry
 * update, author and CRC. Answers the first seq of each room. A room that lost its
 * hash to eviction is marked, and goes on: the batch's other rooms must not wait.
 */
const APPEND = new Script(`
local number = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'number', 'seqs')
if known[1] then
  if tonumber(known[1]) == number then return known[2] end
  if tonumber(known[1]) > number then
    return redis.error_reply('OLDBATCH batch ' .. ARGV[1] .. ' comes after batch ' .. known[1])
  end
end

local firsts = {}
for i = 2, #KEYS, 2 do
  local last = redis.call('HGET', KEYS[i], 'last')
  if not last and redis.call('EXISTS', KEYS[i + 1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[i + 1])
    for n = 1, #info, 2 do
      if info[n] == 'last-generated-id' then last = string.match(info[n + 1], '^%d+') end
    end
    redis.call('HSET', KEYS[i], 'lost', 1)
  end
  firsts[#firsts + 1] = string.format('%.0f', (last or 0) + 1)
end

local at = 3
for room = 1, #firsts do
  local hash, log = KEYS[2 * room], KEYS[2 * room + 1]
  local seq = tonumber(firsts[room])
  for entry = 1, tonumber(ARGV[at]) do
    redis.call('XADD', log, string.format('%.0f-0', seq),
      'update', ARGV[at + 1], 'author', ARGV[at + 2], 'crc', ARGV[at + 3])
    at = at + 3
    seq = seq + 1
  end
  at = at + 1
  redis.call('HSET', hash, 'last', string.format('%.0f', seq - 1))
end

local seqs = table.concat(firsts, ',')
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'seqs', seqs)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return seqs
`);

/**
 * Keys: the room's hash and log. Arguments: the seq behind which to read, and how
 * many bytes are enough. Answers what the room's hash holds, whether there may be
 * more, and the entries.
 */
const READ = new Script(`
local head = redis.call('HMGET', KEYS[1], 'last', 'lost', 'seq', 'size', 'vector', 'deletes')
if not head[1] and redis.call('EXISTS', KEYS[2]) == 1 then head[2] = '1' end
for i = 1, 6 do head[i] = head[i] or '' end
local from = tonumber(ARGV[1])
local enough = tonumber(ARGV[2])
local rows, bytes, count = {}, 0, 4
while true do
  local start = string.format('%.0f-0', from + 1)
  local page = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', count)
  for _, row in ipairs(page) do
    rows[#rows + 1] = row
    bytes = bytes + #row[2][2] + 100
  end
  if #page < count then return {head, 0, rows} end
  if bytes >= enough then return {head, 1, rows} end
  from = tonumber(string.match(page[#page][1], '^%d+'))
  count = math.max(1, math.min(2 * count, math.floor((enough - bytes) / (bytes / #rows))))
end
`);

/**
 * Keys: the room's hash, log and quarantine, the staged bytes, and where the bytes
 * of base and snapshot lie. Arguments: base, then the snapshot's seq, size, CRC,
 * state vector and deletes, then seq and record of each that is set aside.
 */
const COMPACT = new Script(`
local hash, log, quarantine, staged, old, new = unpack(KEYS)
local head = redis.call('HMGET', hash, 'last', 'seq')
if tonumber(head[2] or 0) ~= tonumber(ARGV[1]) then
  redis.call('UNLINK', staged)
  return 0
end
if redis.call('STRLEN', staged) ~= tonumber(ARGV[3]) then
  return redis.error_reply('NOTSTAGED the bytes of the snapshot are not there')
end
redis.call('UNLINK', old)
redis.call('RENAME', staged, new)
redis.call('PERSIST', new)
redis.call('HSET', hash, 'seq', ARGV[2], 'size', ARGV[3], 'crc', ARGV[4],
  'vector', ARGV[5], 'deletes', ARGV[6])
redis.call('HDEL', hash, 'lost')
local seq = tonumber(ARGV[2])
if tonumber(head[1] or 0) < seq then redis.call('HSET', hash, 'last', ARGV[2]) end
redis.call('XTRIM', log, 'MINID', string.format('%.0f-0', seq + 1))
for i = 7, #ARGV, 2 do redis.call('HSET', quarantine, ARGV[i], ARGV[i + 1]) end
return 1
`);

/** Keys: the room's hash, log and quarantine. Arguments: what stands before and behind the seq in the key of its snapshot. */
const REMOVE = new Script(`
local seq = redis.call('HGET', KEYS[1], 'seq')
if seq then redis.call('UNLINK', ARGV[1] .. seq .. ARGV[2]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
`);

type Row = readonly [id: Buffer, fields: readonly Buffer[]];

/** One answer of READ. */
interface Page {
  readonly lastSeq: number;
  readonly snapshotSeq: number;
  readonly snapshot: SnapshotMeta | undefined;
  readonly hasMore: boolean;
  readonly entries: readonly LogEntry[];
  readonly damaged: readonly Quarantined[];
  /** The seq of the last row, readable or not; that of the question when there is none. */
  readonly upTo: number;
}

export class RedisStorage implements Storage {
  readonly name = 'redis';
  readonly isShared = true;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #writer: string;
  /** What was begun and changes something: it may be under way when the storage is closed. */
  readonly #writing = new Set<Promise<unknown>>();

  private constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#writer = `${prefix}writer:${randomUUID()}`;
  }

  /**
   * @param url as {@link connectRedis} takes it
   * @throws {TypeError} when the address or an option cannot be right
   * @throws {UnusableRedis} when it is no Redis that can be written to, or none of those supported
   */
  static async open(url: string, options: RedisOptions = {}): Promise<RedisStorage> {
    const prefix = checkPrefix(options.prefix);
    const redis = connectRedis(url, 'storage', options);
    try {
      const failure = await firstAttempt(redis, options.timeout ?? DEFAULT_TIMEOUT_MS);
      if (failure !== undefined) {
        throw new UnusableRedis(`no connection to Redis: ${reasonOf(failure)}`, { cause: failure });
      }
      const weakness = await examine(redis);
      if (weakness !== undefined) options.onWarning?.(weakness);
    } catch (error) {
      await endConnection(redis);
      throw error;
    }
    return new RedisStorage(redis, prefix);
  }

  async load(room: string): Promise<StoredRoom> {
    for (;;) {
      const pages = await this.#read(room, undefined);
      // What was read so far may have been compacted away between two pages: then from the start.
      if (pages === undefined) continue;
      const { snapshot, snapshotSeq, lastSeq } = pages[0]!;
      const tail = pages.flatMap(({ entries }) => entries);
      const damaged = pages.flatMap((page) => page.damaged);
      const found = new Set([...tail, ...damaged].map(({ seq }) => seq));
      for (let seq = snapshotSeq + 1; seq <= lastSeq; seq++) {
        if (found.has(seq)) continue;
        damaged.push({ seq, reason: MISSING, author: '', update: new Uint8Array() });
      }
      return { snapshot, tail, damaged, lastSeq };
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
    const keys = [this.#writer];
    const args: (string | number | Buffer)[] = [number, WRITER_SECONDS];
    for (const { room, entries } of appends) {
      keys.push(this.#key('room', room), this.#key('log', room));
      args.push(entries.length);
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
    for (const room of rooms) pipeline.hmget(this.#key('room', room), 'last', 'seq');
    const answers = (await pipeline.exec()) ?? [];
    return answers.map(([error, answer]) => {
      if (error !== null) throw error;
      const [last, seq] = answer as (string | null)[];
      return { lastSeq: Number(last ?? 0), snapshotSeq: Number(seq ?? 0) };
    });
  }

  async snapshot(room: string): Promise<SnapshotMeta | undefined> {
    const fields = ['seq', 'size', 'vector', 'deletes'];
    const head = await this.#redis.hmgetBuffer(this.#key('room', room), ...fields);
    return decodeMeta(head.map((field) => field ?? Buffer.alloc(0)));
  }

  async compact(room: string, compaction: Compaction): Promise<boolean> {
    return await this.#write(this.#compact(room, compaction));
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

  async remove(room: string): Promise<void> {
    const keys = [this.#key('room', room), this.#key('log', room), this.#key('quarantine', room)];
    const around = [`${this.#prefix}snapshot:`, `:${room}`];
    await this.#write(REMOVE.run(this.#redis, keys, around));
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
    await endConnection(this.#redis);
  }

  async #compact(room: string, { base, snapshot, quarantined }: Compaction): Promise<boolean> {
    const { seq, stateVector, deletes } = snapshot;
    const update = asBuffer(snapshot.update);
    const staged = `${this.#prefix}staged:${randomUUID()}`;
    await this.#redis.set(staged, update.subarray(0, PART_BYTES), 'EX', STAGED_SECONDS);
    for (let at = PART_BYTES; at < update.length; at += PART_BYTES) {
      await this.#redis.append(staged, update.subarray(at, at + PART_BYTES));
    }
    const keys = [
      ...[this.#key('room', room), this.#key('log', room), this.#key('quarantine', room)],
      ...[staged, this.#snapshotKey(base, room), this.#snapshotKey(seq, room)],
    ];
    const args: (string | number | Buffer)[] = [base, seq, update.length, crc32(update)];
    args.push(asBuffer(stateVector), asBuffer(deletes));
    for (const entry of quarantined) {
      const about = text.encode(JSON.stringify({ reason: entry.reason, author: entry.author }));
      const key = { kind: KIND.quarantine, room, seq: entry.seq };
      args.push(entry.seq, encodeRecord(key, [about, entry.update]));
    }
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

  async #readPage(room: string, from: number, to = Number.MAX_SAFE_INTEGER): Promise<Page> {
    const keys = [this.#key('room', room), this.#key('log', room)];
    const answer = await READ.run(this.#redis, keys, [from, PART_BYTES]);
    const [head, more, rows] = answer as [Buffer[], number, Row[]];
    const [last, lost, ...meta] = head;
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
      // Copies: what is read is a view into what the socket read.
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
      hasMore: more === 1,
      entries,
      damaged,
      upTo,
    };
  }

  /** The seq, size and CRC of the room's snapshot. */
  async #describe(room: string): Promise<(string | null)[]> {
    return await this.#redis.hmget(this.#key('room', room), 'seq', 'size', 'crc');
  }

  async #write<T>(writing: Promise<T>): Promise<T> {
    this.#writing.add(writing);
    try {
      return await writing;
    } finally {
      this.#writing.delete(writing);
    }
  }

  #key(kind: 'room' | 'log' | 'quarantine', room: string): string {
    return `${this.#prefix}${kind}:${room}`;
  }

  #snapshotKey(seq: number, room: string): string {
    return `${this.#prefix}snapshot:${seq}:${room}`;
  }
}

/** Redis cannot be used as it is; the message says what to do. */
export class UnusableRedis extends Error {
  override readonly name = 'UnusableRedis';
}

/**
 * @returns in one line what makes it less than durable, if anything does
 * @throws {UnusableRedis}
 */
async function examine(redis: Redis): Promise<string | undefined> {
  const facts = parseInfo(await redis.info());
  const [major = 0, minor = 0] = (facts.get('redis_version') ?? '').split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) {
    throw new UnusableRedis(`Redis ${facts.get('redis_version')} is too old: 6.2 or newer`);
  }
  if (facts.get('cluster_enabled') === '1') {
    throw new UnusableRedis(
      'Redis Cluster is not supported as a store: use a Redis that is not a cluster, or Postgres',
    );
  }
  if (facts.get('role') === 'slave') {
    throw new UnusableRedis(
      'this Redis is a replica and takes no writes: give the address of its master',
    );
  }
  const settings = await readSettings(redis, facts);
  const weak = [...WANTED].flatMap(([name, wanted]) => {
    const value = settings.get(name);
    return value === undefined || value === wanted ? [] : [`${name} is ${value}, not ${wanted}`];
  });
  // Where these two are hidden nothing is known about the disk.
  if (!settings.has('appendfsync')) weak.push('appendfsync cannot be read');
  if (weak.length === 0) return undefined;
  return `Redis may lose what was reported saved: ${weak.join('; ')}`;
}

const WANTED = new Map([
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['no-appendfsync-on-rewrite', 'no'],
  ['maxmemory-policy', 'noeviction'],
]);

/** As far as they can be known: a hosted Redis often forbids CONFIG. */
async function readSettings(
  redis: Redis,
  facts: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>();
  try {
    for (const name of WANTED.keys()) {
      const [, value] = (await redis.config('GET', name)) as string[];
      if (value !== undefined) settings.set(name, value);
    }
  } catch (error) {
    if (redis.status !== 'ready') throw error;
    settings.set('appendonly', facts.get('aof_enabled') === '1' ? 'yes' : 'no');
    const policy = facts.get('maxmemory_policy');
    if (policy !== undefined) settings.set('maxmemory-policy', policy);
  }
  return settings;
}

function parseInfo(info: string): Map<string, string> {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

function checksum(update: Uint8Array, author: string): number {
  return crc32(author, crc32(update));
}

/** @param head seq, size, state vector and deletes, empty where there is no snapshot */
function decodeMeta(head: readonly Buffer[]): SnapshotMeta | undefined {
  const [seq, size, stateVector, deletes] = head as [Buffer, Buffer, Buffer, Buffer];
  if (seq.length === 0) return undefined;
  return {
    seq: Number(seq.toString()),
    size: Number(size.toString()),
    stateVector: new Uint8Array(stateVector),
    deletes: new Uint8Array(deletes),
  };
}

function decodeQuarantined(room: string, seq: number, value: Buffer): Quarantined {
  const record = decodeRecord(value);
  if (record?.room !== room || record.seq !== seq) {
    return { seq, reason: DAMAGED, author: '', update: new Uint8Array(value) };
  }
  const about = JSON.parse(untext.decode(record.fields[0]));
  return { seq, ...about, update: new Uint8Array(record.fields[1]!) };
}
