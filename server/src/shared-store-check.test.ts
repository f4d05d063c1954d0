import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from './clock.js';
import { SharedStoreCheck } from './shared-store-check.js';
import { MemoryStorage } from './storage/memory.js';
import type { Storage } from './storage/storage.js';

/** Servers on one store, none of which meets the others. */
function setUp() {
  const store = new MemoryStorage();
  const clock = new ManualClock();
  const start = () => {
    const lines: { level: number; msg: string; servers?: number }[] = [];
    const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line)) });
    const storage = new MemoryStorage(store);
    const check = SharedStoreCheck.of({ storage, clock, logger, ttl: 60_000 })!;
    onTestFinished(() => check.close());
    return { check, lines, storage };
  };
  return { start };
}

describe('[RLY-20] servers on one store that have no Redis', () => {
  it('[RLY-20] each says once that people do not see each other, and when that is over', async () => {
    const { start } = setUp();
    const [one, two] = [start(), start()];
    for (let look = 0; look < 20; look++) {
      await one.check.look();
      await two.check.look();
    }
    for (const { lines } of [one, two]) {
      expect(lines).toMatchObject([{ level: 40, servers: 1 }]);
      expect(lines[0]!.msg).toContain('REDIS_URL');
    }
    // What it noted ends with its time to live.
    one.storage.heartbeat = async () => [];
    await one.check.look();
    expect(one.lines.slice(1)).toMatchObject([{ level: 30 }]);
    await one.check.look();
    expect(one.lines.length).toBe(2);
  });

  it('[RLY-20] one that has died, or is there for as long as a deploy takes, is not told of', async () => {
    const { start } = setUp();
    const [one, two, dead] = [start(), start(), start()];
    await dead.check.look();
    for (let look = 0; look < 4; look++) {
      await one.check.look();
      await two.check.look();
    }
    for (let look = 0; look < 20; look++) await one.check.look();
    expect(one.lines).toEqual([]);
  });

  it('[RLY-20] a store that does not answer ends nothing', async () => {
    const { start } = setUp();
    const one = start();
    one.storage.heartbeat = async () => {
      throw new Error('away');
    };
    await one.check.look();
    expect(one.lines).toEqual([]);
  });

  it('[RLY-20] a store that belongs to one process is not looked at, and has no timer', () => {
    const clock = new ManualClock();
    const logger = pino({ level: 'silent' });
    const storage: Storage = new MemoryStorage();
    const own = Object.create(storage, { heartbeat: { value: undefined } }) as Storage;
    expect(SharedStoreCheck.of({ storage: own, clock, logger, ttl: 60_000 })).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
