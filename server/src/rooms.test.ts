import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { gate } from '../test/support.js';
import { ManualClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { DEFAULT_LIMITS } from './limits.js';
import { RoomDeleted } from './load.js';
import { Log } from './log.js';
import { Measures } from './measures.js';
import { Merges } from './merges.js';
import { LoadFailed, Rooms } from './rooms.js';
import { Snapshots } from './snapshots.js';
import { MemoryStorage } from './storage/memory.js';

/** Its first load answers when the test lets it. */
class SlowStorage extends MemoryStorage {
  readonly read = gate();
  readonly held = gate();
  loads = 0;

  override async load(name: string) {
    const stored = await super.load(name);
    if (this.loads++ > 0) return stored;
    this.read.open();
    await this.held.opened;
    return stored;
  }
}

function setUp() {
  const clock = new ManualClock();
  const logger = pino({ level: 'silent' });
  const storage = new SlowStorage();
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 128 });
  onTestFinished(() => workers.close());
  const limits = { ...DEFAULT_LIMITS, commitInterval: 10, random: () => 0 };
  const measures = new Measures();
  const rooms = new Rooms({
    ...{ clock, logger, storage, workers },
    log: new Log({ ...limits, storage, clock, logger, measures: measures.log }),
    merges: new Merges({ storage, workers, logger }),
    snapshots: new Snapshots({ storage, workers, maxBytes: 1_000 }),
    fanout: { clock, highWater: 1_000, patience: 1_000, measures: measures.fanout },
    compactions: measures.compaction,
    awareness: { maxStateBytes: 1_000, maxClients: 10, maxDepth: 10, onLimit: () => undefined },
    maxDocumentBytes: 1_000,
    instances: undefined,
    onQuarantine: () => undefined,
    onSaved: undefined,
    idle: 1_000,
    loadTimeout: 1_000,
  });
  return { storage, rooms };
}

describe('[DEL] names and rooms', () => {
  it('[DEL-4] who waits for a room that is deleted while it loads does not get it, and the next load is another', async () => {
    const { storage, rooms } = setUp();
    const waiting = rooms.open('room');
    const outcome = expect(waiting).rejects.toThrow(RoomDeleted);
    await storage.read.opened;
    await storage.remove('room');
    await storage.revive('room');
    rooms.deleted('room');
    const next = await rooms.open('room');
    storage.held.open();
    await outcome;
    expect(next.life).toBe(2);
    // The end of the old load has not taken the name from it.
    expect(await rooms.open('room')).toBe(next);
  });

  it('[STO-73] what is read while the store fails over is not opened, and the next load is another', async () => {
    const { storage, rooms } = setUp();
    const waiting = rooms.open('room');
    const outcome = expect(waiting).rejects.toThrow(LoadFailed);
    await storage.read.opened;
    rooms.reload();
    const next = await rooms.open('room');
    storage.held.open();
    await outcome;
    expect(await rooms.open('room')).toBe(next);
    rooms.reload();
    expect(rooms.size).toBe(0);
    expect(await rooms.open('room')).not.toBe(next);
  });

  it('[DEL-1] a room that was deleted is not opened, and nothing stays of the attempt', async () => {
    const { storage, rooms } = setUp();
    storage.held.open();
    await storage.remove('room');
    await expect(rooms.open('room')).rejects.toThrow(RoomDeleted);
    expect(rooms.size).toBe(0);
  });
});
