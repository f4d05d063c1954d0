import { expect, it, onTestFinished } from 'vitest';
import { typed } from '../../test/support.js';
import { Snapshots } from '../snapshots.js';
import { MemoryStorage } from '../storage/memory.js';
import { compactRoom, SnapshotReplaced } from './compaction.js';
import { Workers } from './workers.js';

it('[CMP-10] a compaction of entries that the store has not got all of is not carried out', async () => {
  const storage = new MemoryStorage();
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 512 });
  onTestFinished(() => workers.close());
  const snapshots = new Snapshots({ storage, workers, maxBytes: 1e6 });
  const entries = ['a', 'b'].map((text) => ({ update: typed(text), author: 'ada' }));
  await storage.append({ number: 1, appends: [{ room: 'room', entries }] });
  const input = { storage, workers, snapshots, room: 'room', base: undefined };
  // The room was at 3 when the store went back to 2.
  await expect(compactRoom({ ...input, upTo: 3, unusable: [] })).rejects.toThrow(
    'entry 3 is not in the store',
  );
  expect((await storage.load('room')).snapshot).toBeUndefined();
  // One that is known to be unusable is not waited for.
  const unusable = [{ seq: 3, reason: 'it is missing', author: '', update: new Uint8Array(0) }];
  const { snapshot } = await compactRoom({ ...input, upTo: 3, unusable });
  expect(snapshot.seq).toBe(3);
});

it('[STO-73] a compaction of what another server had is not carried out', async () => {
  const storage = new MemoryStorage();
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 512 });
  onTestFinished(() => workers.close());
  const snapshots = new Snapshots({ storage, workers, maxBytes: 1e6 });
  const entries = [{ update: typed('a'), author: 'ada' }];
  await storage.append({ number: 1, appends: [{ room: 'room', entries }] });
  const input = { storage, workers, snapshots, room: 'room', base: undefined, upTo: 1 };
  const compaction = compactRoom({ ...input, unusable: [], isWanted: () => false });
  await expect(compaction).rejects.toThrow(SnapshotReplaced);
  expect((await storage.load('room')).snapshot).toBeUndefined();
});

it('[CMP-14] of rooms that are due at once none reads its log before a thread is free for it', async () => {
  const events: string[] = [];
  const storage = new (class extends MemoryStorage {
    override since(...args: Parameters<MemoryStorage['since']>) {
      events.push(`read ${args[0]}`);
      return super.since(...args);
    }
    override compact(...args: Parameters<MemoryStorage['compact']>) {
      events.push(`written ${args[0]}`);
      return super.compact(...args);
    }
  })();
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 512 });
  onTestFinished(() => workers.close());
  const snapshots = new Snapshots({ storage, workers, maxBytes: 1e6 });
  const entries = [{ update: typed('x'), author: 'ada' }];
  const rooms = ['a', 'b', 'c'];
  await storage.append({ number: 1, appends: rooms.map((room) => ({ room, entries })) });
  const input = { storage, workers, snapshots, base: undefined, upTo: 1, unusable: [] };
  await Promise.all(rooms.map((room) => compactRoom({ ...input, room })));
  expect(events).toHaveLength(6);
  expect(events.indexOf('read b')).toBeGreaterThan(events.indexOf('read a'));
  expect(events.indexOf('read c')).toBeGreaterThan(events.indexOf('written a'));
});
