import * as framework from 'vitest';
import { redisOfFile } from '../../test/redis-service.js';
import { presenceContract } from './contract.js';
import { RedisPresence } from './redis.js';

const { describe, expect, it, onTestFinished } = framework;

/** One Redis for the file; empty before each test. */
const redis = redisOfFile();

presenceContract(framework, 'redis', async () => {
  await redis.admin.flushall();
  return {
    open: () => RedisPresence.open(redis.service.url),
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    flush: async () => void (await redis.admin.flushall()),
    goAway: () => redis.service.kill(),
    comeBack: () => redis.service.restart(),
    dispose: async () => undefined,
  };
});

describe('[PRS] redis', () => {
  const state = new Uint8Array(10);

  async function open(options = {}): Promise<RedisPresence> {
    const presence = await RedisPresence.open(redis.service.url, options);
    onTestFinished(() => presence.close());
    return presence;
  }

  it('[PRS-8] when an instance dies nothing of it is left', async () => {
    await redis.admin.flushall();
    const presence = await open();
    const people = ['a', 'b'].map((room) => ({ room, client: 1, clock: 0, since: 0, state }));
    await presence.put('i1', people, 100);
    expect(await redis.admin.dbsize()).toBe(4);
    while ((await redis.admin.dbsize()) > 0)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await presence.list('a')).toEqual([]);
  });

  it('[PRS-8] nor of who ran out beside others who stay', async () => {
    await redis.admin.flushall();
    const presence = await open();
    await presence.put('i1', [{ room: 'a', client: 1, clock: 0, since: 0, state }], 50);
    await presence.put('i1', [{ room: 'a', client: 2, clock: 0, since: 0, state }], 60_000);
    while ((await presence.list('a')).length > 1) await new Promise((r) => setTimeout(r, 10));
    expect(await redis.admin.smembers('cowrite:people:a')).toEqual(['2']);
  });

  it('[PRS-8] nor of who was removed', async () => {
    await redis.admin.flushall();
    const presence = await open();
    const people = ['a', 'b'].map((room, client) => ({ room, client, clock: 0, since: 0, state }));
    await presence.put('i1', people, 60_000);
    await presence.remove('i1', people);
    expect(await redis.admin.dbsize()).toBe(0);
  });

  it('[PRS-9] each call is one round trip', async () => {
    const presence = await open();
    const people = Array.from({ length: 50 }, (_, i) => ({
      room: `r${i % 5}`,
      client: i,
      clock: 0,
      since: 0,
      state,
    }));
    const calls = [
      () => presence.put('i1', people, 60_000),
      () => presence.list('r1'),
      () => presence.remove('i1', people),
    ];
    // The scripts are known from here on.
    for (const call of calls) await call();
    const commands = async () => {
      const stats = await redis.admin.info('commandstats');
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)![1]);
    };
    const before = await commands();
    for (const call of calls) await call();
    expect((await commands()) - before).toBe(3);
  });

  it('[PRS-10] a Redis that stops answering makes calls reject in their time', async () => {
    const presence = await open({ timeout: 300 });
    redis.service.pause();
    onTestFinished(() => redis.service.resume());
    await expect(presence.list('a')).rejects.toThrow();
    redis.service.resume();
    // Until it has connected again it rejects, and says why.
    for (let isBack = false; !isBack; ) {
      isBack = await presence.list('a').then(
        () => true,
        (error: unknown) => {
          expect(error).toBeInstanceOf(Error);
          return false;
        },
      );
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  it('[PRS-10] scripts that Redis has forgotten are sent again', async () => {
    const presence = await open();
    await presence.put('i1', [{ room: 'a', client: 1, clock: 0, since: 0, state }], 60_000);
    await redis.admin.script('FLUSH');
    await presence.put('i1', [{ room: 'a', client: 2, clock: 0, since: 0, state }], 60_000);
    expect((await presence.list('a')).length).toBe(2);
  });
});
