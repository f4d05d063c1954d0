/** Connections to one address, when another server takes the place of the one that they lead to. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectionsTo, cutOff, PATIENT, type RedisPair, startPair } from '../test/redis-pair.js';
import { startRedis } from '../test/redis-service.js';
import { RedisPresence } from './presence/redis.js';
import { connectRedis, endConnection, firstAttempt } from './redis.js';
import { isDemotion, parseInfo, whyUnusable } from './redis-signs.js';
import { RedisRelay } from './relay/redis.js';
import { RedisStorage } from './storage/redis.js';

const ALL = ['presence', 'publisher', 'storage', 'subscriber'];
/** Only errors and new connections tell of a failover. */
const NEVER = 3_600_000;

describe('[RLY-17] a Redis that is demoted with its connections open', () => {
  async function openAll({ url }: RedisPair, lookMs: number) {
    const lines: string[] = [];
    const options = { lookMs, onWarning: (line: string) => void lines.push(line) };
    const [storage, relay, presence] = await Promise.all([
      RedisStorage.open(url, options),
      RedisRelay.open(url, options),
      RedisPresence.open(url, options),
    ]);
    onTestFinished(async () => {
      await Promise.all([storage.close(), relay.close(), presence.close()]);
    });
    return { storage, relay, presence, lines };
  }

  async function untilAllAt(pair: RedisPair): Promise<void> {
    await vi.waitFor(async () => {
      expect(await connectionsTo(pair.second)).toEqual(ALL);
      expect(await connectionsTo(pair.first)).toEqual([]);
    }, PATIENT);
  }

  const entries = [{ update: Uint8Array.of(0, 0), author: 'ada' }];

  it('[RLY-17] is left by all connections, though nobody writes', async () => {
    const pair = await startPair();
    const { relay, lines } = await openAll(pair, 20);
    expect(await connectionsTo(pair.first)).toEqual(ALL);
    let gaps = 0;
    relay.onGap(() => gaps++);
    await pair.promote();
    pair.lead();
    await pair.demote();
    await untilAllAt(pair);
    await vi.waitFor(() => expect([relay.isConnected, gaps > 0]).toEqual([true, true]), PATIENT);
    // Each is told once, and why.
    const away = lines.filter((line) => line.includes('is away'));
    expect(away.map((line) => /\((\w+)\)/.exec(line)![1]).sort()).toEqual(ALL);
    for (const line of away) expect(line).toMatch(/replica|another server/);
  });

  it('[RLY-17] is left by all connections as soon as one of them is refused a write', async () => {
    const pair = await startPair();
    const { presence } = await openAll(pair, NEVER);
    await pair.promote();
    pair.lead();
    await pair.demote();
    const person = { room: 'a', client: 1, clock: 1, since: 1, state: Uint8Array.of(1) };
    await expect(presence.put('i', [person], 60_000)).rejects.toThrow('READONLY');
    await untilAllAt(pair);
  });

  it('[RLY-17] so it is where the words of Redis 6.2 say it', async () => {
    const pair = await startPair();
    await openAll(pair, NEVER);
    await pair.promote();
    pair.lead();
    const redis = connectRedis(pair.url, 'other', { lookMs: NEVER });
    onTestFinished(() => endConnection(redis));
    // Connected to the second: its words are heard by all.
    await firstAttempt(redis);
    const words =
      "ERR Error running script (call to f_0a): @user_script:1: -READONLY You can't write against a read only replica.";
    await expect(redis.eval(`return redis.error_reply("${words}")`, 0)).rejects.toThrow(words);
    await vi.waitFor(async () => {
      expect(await connectionsTo(pair.second)).toEqual([...ALL, 'other'].sort());
    }, PATIENT);
  });

  it('[RLY-17] while the address leads to a replica nothing is connected; then all are', async () => {
    const pair = await startPair();
    const { storage, relay, lines } = await openAll(pair, 20);
    await pair.promote();
    await pair.demote();
    await vi.waitFor(() => {
      expect(relay.isConnected).toBe(false);
      expect(lines.filter((line) => line.includes('is away'))).toHaveLength(4);
    }, PATIENT);
    await expect(storage.load('a')).rejects.toThrow();
    pair.lead();
    await untilAllAt(pair);
    await vi.waitFor(async () => expect((await storage.load('a')).lastSeq).toBe(0), PATIENT);
    expect(lines.filter((line) => line.includes('is back after'))).toHaveLength(4);
  });

  it('[RLY-18] one connection that reaches another server takes the others along', async () => {
    const pair = await startPair();
    await openAll(pair, NEVER);
    // Both take writes; only new connections are led elsewhere.
    await pair.promote();
    pair.lead();
    await cutOff(pair.first, 'publisher');
    await untilAllAt(pair);
  });

  it('[RLY-18] an old primary that was neither cut off nor demoted is left, too', async () => {
    const pair = await startPair();
    await openAll(pair, 20);
    await pair.promote();
    pair.lead();
    await untilAllAt(pair);
  });

  it('[RLY-18] where somebody else is at another server, it is looked at once where the address leads', async () => {
    const pair = await startPair();
    const { storage } = await openAll(pair, NEVER);
    await pair.promote();
    pair.lead();
    storage.checkPrimary();
    await untilAllAt(pair);
  });

  it('[STO-70] what is written while it fails over is written once, by the server that takes over', async () => {
    const pair = await startPair();
    const { storage } = await openAll(pair, NEVER);
    let failovers = 0;
    storage.onFailover(() => failovers++);
    const batch = { number: 1, appends: [{ room: 'a', entries }] };
    await storage.append(batch);
    await pair.inStep();
    await cutOff(pair.first, 'storage');
    await vi.waitFor(async () => expect(await storage.append(batch)).toEqual([1]), PATIENT);
    // The same server with the same history.
    expect(failovers).toBe(0);
    const { primary } = storage;
    const other = await RedisStorage.open(pair.url, { prefix: 'other:' });
    onTestFinished(() => other.close());
    expect(other.primary).toEqual(primary);
    await pair.promote();
    pair.lead();
    await pair.demote();
    const next = { ...batch, number: 2 };
    await expect(storage.append(next)).rejects.toThrow('READONLY');
    await vi.waitFor(async () => expect(await storage.append(next)).toEqual([2]), PATIENT);
    expect(failovers).toBe(1);
    expect(storage.primary).not.toEqual(primary);
    await vi.waitFor(() => expect(other.primary).toEqual(storage.primary), PATIENT);
    expect((await storage.load('a')).tail).toHaveLength(2);
  });
});

describe('[STO-71] signs of a demotion', () => {
  it.each([
    "READONLY You can't write against a read only replica.",
    "READONLY You can't write against a read only replica. script: 1993f1, on @user_script:40.",
    "ERR Error running script (call to f_1993f1): @user_script:40: -READONLY You can't write against a read only replica.",
    '-READONLY You can’t write against a read only replica.',
    'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'LOADING Redis is loading the dataset in memory',
    'REDIRECT 127.0.0.1:6380',
    'READONLY',
  ])('[STO-71] %s', (message) => expect(isDemotion(message)).toBe(true));

  it.each([
    'NOSCRIPT No matching script. Please use EVAL.',
    'OLDBATCH batch 1 comes after batch 2',
    'ERR unknown command `readonly`, with args beginning with: ',
    'OOM command not allowed when used memory > maxmemory.',
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
    'Command timed out',
    "Stream isn't writeable and enableOfflineQueue options is false",
    'ERR NOTREADONLY x',
  ])('[STO-71] is none: %s', (message) => expect(isDemotion(message)).toBe(false));

  it('[STO-71] servers that keep nothing, or not all, are not used', async () => {
    const said = (info: string) => whyUnusable(parseInfo(info.replaceAll(' ', '\r\n')))?.message;
    expect(said('redis_mode:standalone role:master cluster_enabled:0')).toBe(undefined);
    expect(said('')).toBe(undefined);
    expect(said('role:slave')).toContain('replica');
    expect(said('redis_mode:sentinel')).toContain('Sentinel');
    // Valkey's.
    expect(said('redis_version:7.2.4 server_mode:sentinel')).toContain('Sentinel');
    expect(said('server_mode:standalone role:master cluster_enabled:0')).toBe(undefined);
    expect(said('redis_mode:cluster cluster_enabled:1 role:master')).toContain('Cluster');
  });

  it('[STO-71] a replica, a cluster and a Sentinel are none for the relay and presence either', async () => {
    const cluster = await startRedis({ settings: ['--cluster-enabled', 'yes'] });
    await expect(RedisRelay.open(cluster.url)).rejects.toThrow('Cluster');
    await expect(RedisPresence.open(cluster.url)).rejects.toThrow('Cluster');
    const lines: string[] = [];
    const pair = await startPair();
    pair.lead();
    const relay = await RedisRelay.open(pair.url, { onWarning: (line) => void lines.push(line) });
    onTestFinished(() => relay.close());
    expect(relay.isConnected).toBe(false);
    expect(lines.join('\n')).toContain('replica');
    await pair.promote();
    await vi.waitFor(() => expect(relay.isConnected).toBe(true), PATIENT);
  });
});
