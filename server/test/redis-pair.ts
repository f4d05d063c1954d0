/**
 * Two Redis servers, the second a replica of the first, behind an address that leads new
 * connections to the first until it is told otherwise: as a failover looks to those connected.
 */
import type { Redis } from 'ioredis';
import { expect, onTestFinished, vi } from 'vitest';
import { proxyTo, type RedisProxy } from './redis-proxy.js';
import { connectTo, type RedisService, startRedis } from './redis-service.js';

export interface RedisPair {
  readonly url: string;
  readonly proxy: RedisProxy;
  /** Connections past the proxy. */
  readonly first: Redis;
  readonly second: Redis;
  /** The second is a primary from now on. Connections stay, and so does what the first is. */
  promote(): Promise<void>;
  /** The address leads to the second. */
  lead(): void;
  /** The first follows the second. Connections to it stay open. */
  demote(): Promise<void>;
  /** Resolves once all of what the first acknowledged is in the second as well. */
  inStep(): Promise<void>;
}

/** Longer than anything takes, on the slowest machine. */
export const PATIENT = { timeout: 30_000, interval: 20 };

export async function startPair(): Promise<RedisPair> {
  // Otherwise a replica waits for five seconds for others that may want the same.
  const settings = ['--repl-diskless-sync-delay', '0'];
  const services = await Promise.all([startRedis({ settings }), startRedis({ settings })]);
  const [first, second] = services.map(watching) as [Redis, Redis];
  const proxy = await proxyTo(services[0]!.port);
  const follow = async (replica: Redis, { port }: RedisService) => {
    await replica.replicaof('127.0.0.1', port);
    await vi.waitFor(async () => {
      expect(await replica.info('replication')).toContain('master_link_status:up');
    }, PATIENT);
  };
  await follow(second, services[0]!);
  return {
    url: proxy.url,
    proxy,
    first,
    second,
    promote: async () => void (await second.replicaof('NO', 'ONE')),
    lead: () => proxy.lead(services[1]!.port),
    demote: async () => await follow(first, services[1]!),
    inStep: async () => {
      const { length } = services;
      await vi.waitFor(async () => {
        const offsets = await Promise.all([first, second].map(offsetOf));
        expect(new Set(offsets).size, `offsets of ${length}`).toBe(1);
      }, PATIENT);
    },
  };
}

function watching(service: RedisService): Redis {
  const redis = connectTo(service);
  onTestFinished(() => redis.disconnect());
  return redis;
}

async function offsetOf(redis: Redis): Promise<string> {
  return /master_repl_offset:(\d+)/.exec(await redis.info('replication'))![1]!;
}

/** The purposes of Cowrite's connections to it, sorted. */
export async function connectionsTo(redis: Redis): Promise<string[]> {
  const list = (await redis.client('LIST')) as string;
  return [...list.matchAll(/ name=cowrite-(\S+)/g)].map(([, name]) => name!).sort();
}

export async function cutOff(redis: Redis, purpose: string): Promise<void> {
  const list = (await redis.client('LIST')) as string;
  for (const [, id, name] of list.matchAll(/^id=(\d+) .* name=(\S*) /gm)) {
    if (name === `cowrite-${purpose}`) await redis.client('KILL', 'ID', id!);
  }
}
