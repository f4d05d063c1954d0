import * as framework from 'vitest';
import { connectTo, type RedisService, redisOfFile, startRedis } from '../../test/redis-service.js';
import { UnusableRedis } from '../redis-signs.js';
import { sharedStorageContract, storageContract } from './contract.js';
import { RedisStorage } from './redis.js';
import { DamagedSnapshot } from './storage.js';

const { describe, expect, it, onTestFinished } = framework;

/** One Redis for the file; a prefix for each test. */
const redis = redisOfFile();
let tests = 0;

const create = async () => {
  const prefix = `test-${++tests}:`;
  return {
    survivesClose: true,
    open: () => RedisStorage.open(redis.service.url, { prefix }),
    dispose: async () => undefined,
  };
};
storageContract(framework, 'redis', create);
sharedStorageContract(framework, 'redis', create);

describe('[STO] redis', () => {
  async function open(options = {}, url = redis.service.url): Promise<RedisStorage> {
    const prefix = `test-${++tests}:`;
    // A call on a slow machine may take its time; a test that wants an end of it says when.
    const storage = await RedisStorage.open(url, { prefix, timeout: 120_000, ...options });
    onTestFinished(() => storage.close());
    return storage;
  }

  /** A Redis that a test may end. */
  async function own(...settings: string[]): Promise<RedisService> {
    return await startRedis({ settings });
  }

  function entry(number: number, size = 20) {
    const update = new Uint8Array(size).fill(number & 0xff);
    new DataView(update.buffer).setUint32(0, number);
    return { update, author: `author ${number}` };
  }
  const numberOf = ({ update }: { update: Uint8Array }) =>
    new DataView(update.buffer, update.byteOffset).getUint32(0);
  const snapshot = (seq: number, update = new Uint8Array(10)) => ({
    seq,
    update,
    stateVector: Uint8Array.of(seq),
    deletes: Uint8Array.of(0),
  });
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);

  /** As the log does it: the same batch until it is taken. */
  async function untilTaken(storage: RedisStorage, number: number, ...values: number[]) {
    const appends = [{ room: 'a', entries: values.map((value) => entry(value)) }];
    for (let failures = 0; ; failures++) {
      try {
        return { seqs: await storage.append({ number, appends }), failures };
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  it('[STO-30] SIGKILL under a stream of appends: nothing acknowledged is lost, nothing is doubled', async () => {
    const server = await own();
    const storage = await open({ timeout: 1_000 }, server.url);
    const batches = 300;
    let acknowledged = 0;
    let failures = 0;
    const writing = (async () => {
      for (let number = 1; number <= batches; number++) {
        const taken = await untilTaken(storage, number, 2 * number - 1, 2 * number);
        expect(taken.seqs).toEqual([2 * number - 1]);
        acknowledged = number;
        failures += taken.failures;
      }
    })();
    for (const kill of [50, 100, 200]) {
      while (acknowledged < kill) await new Promise((resolve) => setImmediate(resolve));
      await server.restart();
    }
    await writing;
    expect(failures).toBeGreaterThan(0);
    const { tail } = await storage.load('a');
    expect(tail.map(numberOf)).toEqual(numbers(1, 2 * batches));
    expect(tail.map(({ seq }) => seq)).toEqual(numbers(1, 2 * batches));
  });

  it('[STO-5] the time of a snapshot is not that of another, which an earlier version put in its place', async () => {
    const server = await own();
    const storage = await open({}, server.url);
    await storage.append({ number: 1, appends: [{ room: 'a', entries: [entry(1), entry(2)] }] });
    const bytes = Uint8Array.of(0, 0);
    const snapshot = { seq: 1, update: bytes, stateVector: bytes, deletes: bytes };
    await storage.compact('a', { base: 0, snapshot, quarantined: [] });
    expect((await storage.snapshot('a'))?.writtenAt).toBeGreaterThan(0);
    const earlier = connectTo(server);
    onTestFinished(() => earlier.disconnect());
    const [key] = await earlier.keys('*:room:a');
    await earlier.hset(key!, 'seq', 2);
    expect((await storage.snapshot('a'))?.writtenAt).toBe(undefined);
  });

  it('[STO-31] a Redis that stops for longer than a call may take: the call rejects, and its retry is written once beside it', async () => {
    const server = await own();
    const storage = await open({ timeout: 300 }, server.url);
    await untilTaken(storage, 1, 1);
    for (const round of numbers(1, 3)) {
      server.pause();
      const appends = [{ room: 'a', entries: [entry(2 * round), entry(2 * round + 1)] }];
      const batch = { number: round + 1, appends };
      await expect(storage.append(batch)).rejects.toThrow();
      await expect(storage.load('a')).rejects.toThrow();
      server.resume();
      expect((await untilTaken(storage, round + 1, 2 * round, 2 * round + 1)).seqs).toEqual([
        2 * round,
      ]);
    }
    // The first attempts lay in Redis's socket, and were carried out too.
    const watcher = connectTo(server);
    onTestFinished(() => watcher.disconnect());
    const stats = await watcher.info('commandstats');
    expect(Number(/cmdstat_hset:calls=(\d+)/.exec(stats)![1])).toBe(2 * 4);
    const calls = [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)];
    expect(calls.reduce((sum, [, count]) => sum + Number(count), 0)).toBeGreaterThan(4 + 2);
    expect((await storage.load('a')).tail.map(numberOf)).toEqual(numbers(1, 7));
  });

  it('[STO-32] an attempt that comes after a later batch writes nothing', async () => {
    const storage = await open();
    await untilTaken(storage, 1, 1);
    await untilTaken(storage, 2, 2);
    const late = { number: 1, appends: [{ room: 'b', entries: [entry(1)] }] };
    await expect(storage.append(late)).rejects.toThrow('OLDBATCH');
    expect((await storage.load('b')).lastSeq).toBe(0);
    expect((await storage.load('a')).tail.map(numberOf)).toEqual([1, 2]);
    // What is remembered for this runs out by itself.
    const [writer] = await redis.admin.keys(`test-${tests}:writer:*`);
    expect(await redis.admin.ttl(writer!)).toBeGreaterThan(7 * 24 * 3600);
  });

  it('[STO-33] settings that may lose what was saved are told in one line', async () => {
    const lines: string[] = [];
    const onWarning = (line: string) => void lines.push(line);
    await open({ onWarning });
    expect(lines).toEqual([]);
    const server = await own(
      ...['--appendfsync', 'everysec', '--maxmemory', '100mb'],
      ...['--maxmemory-policy', 'allkeys-lru'],
    );
    await open({ onWarning }, server.url);
    expect(lines.splice(0)).toEqual([
      'Redis may lose what was reported saved: appendfsync is everysec, not always; ' +
        'maxmemory-policy is allkeys-lru, not noeviction',
    ]);
    // Where CONFIG is forbidden the rest is still known.
    const watcher = connectTo(server);
    onTestFinished(() => watcher.disconnect());
    await watcher.call('CONFIG', 'SET', 'appendonly', 'no');
    await watcher.call('ACL', 'SETUSER', 'guest', 'on', '>word', '~*', '&*', '+@all', '-config');
    await open({ onWarning }, server.url.replace('//', '//guest:word@'));
    expect(lines).toEqual([
      'Redis may lose what was reported saved: appendonly is no, not yes; ' +
        'maxmemory-policy is allkeys-lru, not noeviction; appendfsync cannot be read',
    ]);
  });

  it('[STO-34] a Redis that cannot be a store is refused with what to do', async () => {
    const cluster = await own('--cluster-enabled', 'yes');
    await expect(RedisStorage.open(cluster.url)).rejects.toThrow('Redis Cluster is not supported');
    const replica = await own('--replicaof', '127.0.0.1', '1');
    await expect(RedisStorage.open(replica.url)).rejects.toThrow('replica');
    await replica.kill();
    await expect(RedisStorage.open(replica.url)).rejects.toThrow(UnusableRedis);
    const locked = await own('--requirepass', 'word');
    await expect(RedisStorage.open(locked.url)).rejects.toThrow('NOAUTH');
    await expect(RedisStorage.open(`${redis.service.url}/99`)).rejects.toThrow('out of range');
    await expect(RedisStorage.open('redis:nonsense')).rejects.toThrow(TypeError);
    const unlocked = await open({}, locked.url.replace('//', '//:word@'));
    expect(await unlocked.heads(['a'])).toEqual([
      { lastSeq: 0, snapshotSeq: 0, life: 0, generation: 0 },
    ]);
  });

  it('[STO-81] a Redis that lets nothing be read is refused with what it says, whatever it says of itself', async () => {
    const server = await own();
    const watcher = connectTo(server);
    onTestFinished(() => watcher.disconnect());
    for (const [index, rights] of [
      ['+@all', '-@scripting'],
      ['+@all', '-hmget'],
      ['-@all', '+info'],
    ].entries()) {
      await watcher.call('ACL', 'SETUSER', `guest${index}`, 'on', '>word', '~*', '&*', ...rights);
      const guest = server.url.replace('//', `//guest${index}:word@`);
      await expect(RedisStorage.open(guest)).rejects.toThrow(
        /can be read from this Redis \(.*(NOPERM|ermission|can't run)/,
      );
    }
    await watcher.call('ACL', 'SETUSER', 'elsewhere', 'on', '>word', '~other:*', '&*', '+@all');
    const elsewhere = server.url.replace('//', '//elsewhere:word@');
    await expect(RedisStorage.open(elsewhere)).rejects.toThrow('can be read from this Redis (');
    await open({ prefix: 'other:' }, elsewhere);
  });

  it('[STO-41] a batch of 100,000 entries, as gathers while Redis is away, is written', async () => {
    const storage = await open();
    const entries = Array.from({ length: 100_000 }, () => entry(1));
    expect(await storage.append({ number: 1, appends: [{ room: 'a', entries }] })).toEqual([1]);
    expect((await storage.heads(['a']))[0]?.lastSeq).toBe(100_000);
  });

  it('[STO-40] while Redis is away calls reject at once; they work when it is back', async () => {
    const server = await own();
    const lines: string[] = [];
    const storage = await open({ onWarning: (line: string) => lines.push(line) }, server.url);
    await server.kill();
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const batch = { number: 1, appends: [{ room: 'a', entries: [entry(1)] }] };
    const before = performance.now();
    for (const call of [
      () => storage.append(batch),
      () => storage.load('a'),
      () => storage.heads(['a']),
      () => storage.compact('a', { base: 0, snapshot: snapshot(1), quarantined: [] }),
    ]) {
      await expect(call()).rejects.toThrow();
    }
    expect(performance.now() - before).toBeLessThan(1_000);
    await server.restart();
    await untilTaken(storage, 1, 1);
    expect((await storage.load('a')).tail.map(numberOf)).toEqual([1]);
  });

  it('[STO-40] a Redis that accepts and does not answer is not waited for', async () => {
    const server = await own();
    const storage = await open({ timeout: 300 }, server.url);
    server.pause();
    await expect(RedisStorage.open(server.url, { timeout: 300 })).rejects.toThrow(UnusableRedis);
    const writing = [storage.append({ number: 1, appends: [] }), storage.remove('a')];
    // It waits for what is being written, as long as that may take.
    const results = await Promise.all([Promise.allSettled(writing), storage.close()]);
    expect(results[0].map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('[STO-35] stores with other prefixes do not see each other', async () => {
    const [one, two] = [await open(), await open()];
    await untilTaken(one, 1, 1);
    expect((await two.load('a')).lastSeq).toBe(0);
    await two.remove('a');
    expect((await one.load('a')).lastSeq).toBe(1);
    await expect(RedisStorage.open(redis.service.url, { prefix: 'a:b:' })).rejects.toThrow(
      TypeError,
    );
  });

  it('[STO-36] what is not as it was written is told apart', async () => {
    const storage = await open();
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1, 2, 3, 4);
    // Made again: newer servers take no entry before one that was deleted.
    const log = `${prefix}log:a`;
    const [first] = await redis.admin.xrangeBuffer(log, '1-0', '1-0');
    await redis.admin.del(log);
    await redis.admin.xadd(log, '1-0', ...first![1]);
    await redis.admin.xadd(log, '3-0', 'update', 'xx', 'author', 'ada', 'crc', '1');
    const { tail, damaged, lastSeq } = await storage.load('a');
    expect([tail.map(({ seq }) => seq), lastSeq]).toEqual([[1], 4]);
    expect(damaged.map(({ seq, reason, author }) => [seq, reason, author])).toEqual([
      [3, 'checksum does not match', 'ada'],
      [2, 'it is not in the log', ''],
      [4, 'it is not in the log', ''],
    ]);
    expect((await storage.since('a', 0))!.map(({ seq }) => seq)).toEqual([1]);

    await storage.compact('a', { base: 0, snapshot: snapshot(4), quarantined: [] });
    expect((await storage.readSnapshot('a', 4))?.length).toBe(10);
    await redis.admin.setrange(`${prefix}snapshot:4:a`, 3, 'x');
    await expect(storage.readSnapshot('a', 4)).rejects.toThrow(DamagedSnapshot);
    await redis.admin.del(`${prefix}snapshot:4:a`);
    await expect(storage.readSnapshot('a', 4)).rejects.toThrow(DamagedSnapshot);
  });

  it('[STO-36] a room whose description is lost is not opened, and holds up no other', async () => {
    const storage = await open();
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1, 2, 3);
    await storage.compact('a', { base: 0, snapshot: snapshot(2), quarantined: [] });
    await redis.admin.del(`${prefix}room:a`);
    await expect(storage.load('a')).rejects.toThrow(DamagedSnapshot);
    const appends = ['b', 'a'].map((room) => ({ room, entries: [entry(4)] }));
    expect(await storage.append({ number: 2, appends })).toEqual([1, 4]);
    await expect(storage.load('a')).rejects.toThrow(DamagedSnapshot);
    expect((await storage.load('b')).tail.map(numberOf)).toEqual([4]);
  });

  it('[STO-37] long logs and large snapshots come and go in parts, also while they are compacted', async () => {
    const storage = await open();
    // Small ones, then such that a few are a part, then small ones again.
    const entries = [
      ...numbers(1, 3_000).map((n) => entry(n)),
      ...numbers(3_001, 3_020).map((n) => entry(n, 1_000_000)),
      ...numbers(3_021, 30_000).map((n) => entry(n, 200)),
    ];
    await storage.append({ number: 1, appends: [{ room: 'a', entries }] });
    expect((await storage.load('a')).tail.map(numberOf)).toEqual(numbers(1, 30_000));
    expect((await storage.since('a', 3_010))!.map(numberOf)).toEqual(numbers(3_011, 30_000));

    // Two round trips, in the midst of the many that the others take.
    const compact = (base: number, seq: number) =>
      storage.compact('a', { base, snapshot: snapshot(seq), quarantined: [] });
    const [loaded, since, compacted] = await Promise.all([
      storage.load('a'),
      storage.since('a', 0),
      compact(0, 20_000),
    ]);
    expect(compacted).toBe(true);
    expect(loaded.snapshot?.seq).toBe(20_000);
    expect(loaded.tail.map(numberOf)).toEqual(numbers(20_001, 30_000));
    expect(loaded.damaged).toEqual([]);
    expect(since).toBe(undefined);

    const update = new Uint8Array(13_000_000).map((_, i) => (i * 7) & 0xff);
    const large = { base: 20_000, snapshot: snapshot(25_000, update), quarantined: [] };
    expect(await storage.compact('a', large)).toBe(true);
    expect((await storage.snapshot('a'))?.size).toBe(update.length);
    expect(Buffer.compare((await storage.readSnapshot('a', 25_000))!, update)).toBe(0);
    // Another takes its place while it is read.
    const [read] = await Promise.all([storage.readSnapshot('a', 25_000), compact(25_000, 25_000)]);
    expect(read?.length).toBe(10);
    expect((await redis.admin.keys(`test-${tests}:staged:*`)).length).toBe(0);
  });

  it('[STO-38] seqs go on behind a log that is all snapshot, after a restart and a rewrite too', async () => {
    const server = await own();
    const storage = await open({}, server.url);
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1, 2, 3);
    await storage.compact('a', { base: 0, snapshot: snapshot(3), quarantined: [] });
    const watcher = connectTo(server);
    onTestFinished(() => watcher.disconnect());
    expect(await watcher.xlen(`${prefix}log:a`)).toBe(0);
    await watcher.bgrewriteaof();
    while (/aof_rewrite_(in_progress|scheduled):1/.test(await watcher.info('persistence'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await server.restart();
    expect((await untilTaken(storage, 2, 4)).seqs).toEqual([4]);
    const stream = (await watcher.xinfo('STREAM', `${prefix}log:a`)) as unknown[];
    expect(stream[stream.indexOf('last-generated-id') + 1]).toBe('4-0');
    expect((await storage.load('a')).tail.map(numberOf)).toEqual([4]);
    expect((await storage.readSnapshot('a', 3))?.length).toBe(10);
  });

  it('[STO-38] a snapshot stays for good; of its base, and of one that was refused, nothing does', async () => {
    const storage = await open();
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1, 2, 3);
    const compact = (base: number, seq: number) =>
      storage.compact('a', { base, snapshot: snapshot(seq), quarantined: [] });
    expect([await compact(0, 1), await compact(1, 2), await compact(1, 3)]).toEqual([
      true,
      true,
      false,
    ]);
    expect((await redis.admin.keys(`${prefix}s*`)).sort()).toEqual([`${prefix}snapshot:2:a`]);
    expect(await redis.admin.ttl(`${prefix}snapshot:2:a`)).toBe(-1);
  });

  it('[STO-36] a snapshot whose bytes did not all arrive does not take the place of the log', async () => {
    const storage = await open();
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1);
    // Somebody evicts what is on its way in, between two of its parts.
    const compacting = storage.compact('a', {
      base: 0,
      snapshot: snapshot(1, new Uint8Array(30_000_000)),
      quarantined: [],
    });
    const outcome = compacting.then(
      () => 'written',
      (error: Error) => error.message,
    );
    for (;;) {
      const [staged] = await redis.admin.keys(`${prefix}staged:*`);
      if (staged !== undefined && (await redis.admin.del(staged)) > 0) break;
    }
    expect(await outcome).toContain('NOTSTAGED');
    expect((await storage.load('a')).tail.map(numberOf)).toEqual([1]);
  });

  it('[STO-38] seqs go on behind a snapshot that reaches further than the log', async () => {
    const storage = await open();
    await storage.compact('a', { base: 0, snapshot: snapshot(7), quarantined: [] });
    expect((await untilTaken(storage, 1, 1)).seqs).toEqual([8]);
  });

  it('[STO-36] a room whose description was lost can be read once it is compacted', async () => {
    const storage = await open();
    const prefix = `test-${tests}:`;
    await untilTaken(storage, 1, 1);
    await redis.admin.del(`${prefix}room:a`);
    await untilTaken(storage, 2, 2);
    await expect(storage.load('a')).rejects.toThrow(DamagedSnapshot);
    expect(await storage.compact('a', { base: 0, snapshot: snapshot(2), quarantined: [] })).toBe(
      true,
    );
    expect((await storage.load('a')).lastSeq).toBe(2);
  });

  it('[STO-38] of what a removed room held nothing is left', async () => {
    const storage = await open();
    await untilTaken(storage, 1, 1, 2, 3);
    const aside = { seq: 1, reason: 'it threw', author: 'ada', update: Uint8Array.of(1) };
    await storage.compact('a', { base: 0, snapshot: snapshot(2), quarantined: [aside] });
    await storage.remove('a');
    const prefix = `test-${tests}:`;
    const left = await redis.admin.keys(`${prefix}*`);
    // What says so, its name, and an empty snapshot.
    expect(left.filter((key) => !key.includes(':writer:')).sort()).toEqual([
      `${prefix}room:a`,
      `${prefix}rooms`,
      `${prefix}snapshot:4:a`,
    ]);
    expect(await redis.admin.strlen(`${prefix}snapshot:4:a`)).toBe(2);
  });

  it('[STO-53] a room whose description is lost can be removed', async () => {
    const storage = await open();
    await untilTaken(storage, 1, 1, 2, 3);
    await redis.admin.del(`test-${tests}:room:a`);
    await storage.remove('a');
    expect(await storage.load('a')).toMatchObject({ tail: [], lastSeq: 4, isDeleted: true });
  });

  it('[STO-60] rooms that are not in the index, as an earlier version left them, are listed as well', async () => {
    const storage = await open();
    const names = numbers(1, 2_500).map((n) => `room ${String(n).padStart(4, '0')}`);
    const appends = names.map((room, i) => ({ room, entries: [entry(i)] }));
    await storage.append({ number: 1, appends });
    await storage.remove('room 0007');
    const prefix = `test-${tests}:`;
    await redis.admin.del(`${prefix}rooms`);
    // One whose description is lost, too: it is there, and cannot be opened.
    await redis.admin.del(`${prefix}room:room 0001`);
    // Written to again before anybody lists.
    await storage.append({ number: 2, appends: [{ room: 'room 0002', entries: [entry(9)] }] });
    const found: string[] = [];
    for (let after = ''; ; after = found.at(-1)!) {
      const page = await storage.rooms({ after, limit: 1_000 });
      if (page.length === 0) break;
      found.push(...page.map(({ name }) => name));
    }
    expect(found).toEqual(names.filter((name) => name !== 'room 0007'));
    const [lost] = await storage.rooms({ limit: 1 });
    expect(lost).toMatchObject({ name: 'room 0001', lastSeq: 0 });
    const [removed] = await storage.rooms({ prefix: 'room 0007', limit: 1, withDeleted: true });
    expect(removed?.isDeleted).toBe(true);
  });

  it('[STO-39] a thousand heads are asked for at once', async () => {
    const storage = await open();
    const rooms = numbers(1, 1_000).map((n) => `room ${n}`);
    const appends = rooms.map((room, i) => ({ room, entries: [entry(i)] }));
    await storage.append({ number: 1, appends });
    const heads = await storage.heads(rooms);
    expect(heads).toEqual(
      rooms.map(() => ({ lastSeq: 1, snapshotSeq: 0, life: 0, generation: 0 })),
    );
    expect(await storage.heads([])).toEqual([]);
  });
});
