import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { memoryUsed } from '../test/memory-used.js';
import { gate } from '../test/support.js';
import { compact, type DiffTask, diff } from './compact/job.js';
import { Workers } from './compact/workers.js';
import { chooseDialect } from './dialect.js';
import type { Frame } from './frame.js';
import type { MessagePieces } from './message-pieces.js';
import { Snapshots } from './snapshots.js';
import { MemoryStorage } from './storage/memory.js';
import { cutUpdate } from './update/cut.js';

const { codec } = chooseDialect(new Set()).dialect;
const CLIENT = 7;

/** The job itself, without a thread; counts. */
class CountingWorkers extends Workers {
  diffs = 0;
  cuts = 0;

  override async diffInPieces(task: DiffTask): Promise<readonly Uint8Array[]> {
    this.diffs++;
    return cutUpdate(diff(task));
  }

  override async divide(update: Uint8Array): Promise<readonly Uint8Array[]> {
    this.cuts++;
    return cutUpdate(update);
  }
}

function setUp() {
  const storage = new MemoryStorage();
  const workers = new CountingWorkers({ threads: 1, budget: 600_000, memory: 128 });
  onTestFinished(() => workers.close());
  const snapshots = new Snapshots({ storage, workers, maxBytes: 1_000_000 });
  /** A room with a snapshot of this text. */
  const room = async (name: string, seq: number, text: string) => {
    const doc = new Y.Doc();
    doc.clientID = CLIENT;
    doc.getText('t').insert(0, text);
    const snapshot = compact({ snapshot: undefined, updates: [Y.encodeStateAsUpdate(doc)] });
    const { update } = snapshot;
    await storage.compact(name, { base: 0, snapshot: { seq, ...snapshot }, quarantined: [] });
    const meta = { seq, size: update.length, life: 0, generation: 0, writtenAt: 0, ...snapshot };
    return {
      update,
      whole: async () => bytesOf(await snapshots.whole(name, meta)),
      difference: async (vector: Uint8Array) =>
        bytesOf(await snapshots.difference(name, meta, vector)),
    };
  };
  return { room, workers, snapshots, storage };
}

function bytesOf(pieces: MessagePieces | undefined): Buffer {
  return bytesOfFrames(pieces!.frames(codec, 'step2'));
}

function bytesOfFrames(frames: readonly Frame[]): Buffer {
  return Buffer.concat(frames.flatMap(({ chunks }) => chunks.flat()));
}

function step2(update: Uint8Array): Buffer {
  return bytesOfFrames([codec.encode({ type: 'step2', update })]);
}

/** The state vector of somebody who has so many characters; its own array every time. */
function has(clock: number): Uint8Array {
  return Uint8Array.of(1, CLIENT, clock);
}

/** @returns a function that tells how many megabytes are in use */
function memory(): () => Promise<number> {
  const used = memoryUsed();
  return async () => (await used()) / 2 ** 20;
}

describe('[JOIN] snapshots', () => {
  it('[JOIN-8] equal state vectors cost one difference; different ones get each its own', async () => {
    const { room, workers } = setUp();
    const { update, difference } = await room('room', 1, 'abcdef');
    const expected = (clock: number) => step2(diff({ snapshot: update, stateVector: has(clock) }));
    expect(expected(1)).not.toEqual(expected(3));
    const answers = await Promise.all([1, 3, 1, 3].map((clock) => difference(has(clock))));
    expect(answers).toEqual([expected(1), expected(3), expected(1), expected(3)]);
    expect(await difference(has(3))).toEqual(expected(3));
    expect(workers.diffs).toBe(2);
  });

  it('[STO-73] what was read before a failover is read again', async () => {
    const { room, snapshots, storage } = setUp();
    const one = await room('a', 1, 'one');
    expect(await one.whole()).toEqual(step2(one.update));
    storage.forget('a');
    const other = await room('a', 1, 'other');
    expect(await one.whole()).toEqual(step2(one.update));
    snapshots.clear();
    expect(await one.whole()).toEqual(step2(other.update));
  });

  it('[JOIN-8] rooms and seqs that read the same in a row are not taken for each other', async () => {
    const { room } = setUp();
    const one = await room('1a', 1, 'one');
    const other = await room('a', 11, 'other');
    expect(await one.whole()).toEqual(step2(one.update));
    expect(await other.whole()).toEqual(step2(other.update));
    const differences = await Promise.all([one.difference(has(1)), other.difference(has(1))]);
    expect(differences).toEqual(
      [one, other].map(({ update }) => step2(diff({ snapshot: update, stateVector: has(1) }))),
    );
  });

  it('[JOIN-8] of a question no more is kept than its answer, however long its state vector', async () => {
    const used = memory();
    const { room, workers } = setUp();
    const { difference } = await room('room', 1, 'abcdef');
    let diffs = 0;
    workers.diffInPieces = async () => [Uint8Array.of(0, diffs++)];
    const before = await used();
    for (let i = 0; i < 50; i++) await difference(new Uint8Array(2 ** 20).fill(i));
    expect(diffs).toBe(50);
    expect((await used()) - before).toBeLessThan(10);
  });

  it('[JOIN-10] a large snapshot is cut once for all who come, a small one is sent as its bytes are', async () => {
    const { room, workers } = setUp();
    const small = await room('small', 1, 'abcdef');
    const large = await room('large', 1, 'x'.repeat(700_000));
    await Promise.all(
      Array.from({ length: 50 }, async () => [await small.whole(), await large.whole()]),
    );
    expect([workers.cuts, workers.diffs]).toEqual([1, 0]);
    expect(await small.whole()).toEqual(step2(small.update));
    expect((await large.whole()).equals(step2(large.update))).toBe(false);
  });

  it('[JOIN-10] where it cannot be cut, it is sent whole, and the next who comes tries again', async () => {
    const { room, workers } = setUp();
    const large = await room('large', 1, 'x'.repeat(700_000));
    const { divide } = CountingWorkers.prototype;
    workers.divide = () => Promise.reject(new Error('over its budget'));
    expect((await large.whole()).equals(step2(large.update))).toBe(true);
    workers.divide = divide.bind(workers);
    expect((await large.whole()).length).toBeGreaterThan(700_000);
    expect(workers.cuts).toBe(1);
  });

  it('[LIM-13] what small entries cost counts, not their bytes alone', async () => {
    const megabytes = 8;
    const { storage, workers } = setUp();
    storage.readSnapshot = async () => Uint8Array.of(0, 0);
    workers.diffInPieces = async () => [Uint8Array.of(0, 0)];
    const snapshots = new Snapshots({ storage, workers, maxBytes: megabytes * 2 ** 20 });
    const used = memory();
    const before = await used();
    const meta = {
      seq: 1,
      size: 2,
      life: 0,
      generation: 0,
      writtenAt: 0,
      stateVector: has(9),
      deletes: has(0),
    };
    for (let i = 0; i < 10_000; i++) {
      await snapshots.whole(`room ${i}`, meta);
      await snapshots.difference(`room ${i}`, meta, has(3));
    }
    const kept = (await used()) - before;
    expect(kept).toBeLessThan(megabytes);
    expect(kept).toBeGreaterThan(megabytes / 8);
    // So that it is kept until now.
    expect(await snapshots.bytes('room 0', meta)).toEqual(Uint8Array.of(0, 0));
  });

  it('[LIM-13] differences go with their snapshot', async () => {
    const { storage, workers } = setUp();
    let reads = 0;
    storage.readSnapshot = async () => {
      reads++;
      return Uint8Array.of(0, 0);
    };
    const snapshots = new Snapshots({ storage, workers, maxBytes: 2 ** 20 });
    workers.diffInPieces = async () => {
      workers.diffs++;
      return [Uint8Array.of(0, 0)];
    };
    const meta = {
      seq: 1,
      size: 2,
      life: 0,
      generation: 0,
      writtenAt: 0,
      stateVector: has(9),
      deletes: has(0),
    };
    const ask = async () => {
      await snapshots.difference('room', meta, has(3));
      await snapshots.difference('room', meta, has(4));
      return [reads, workers.diffs];
    };
    expect(await ask()).toEqual([1, 2]);
    expect(await ask()).toEqual([1, 2]);
    snapshots.drop('room', meta);
    expect(await ask()).toEqual([2, 4]);
    // One that is still being computed when its snapshot goes is not kept either.
    const { opened, open } = gate();
    workers.diffInPieces = async () => {
      await opened;
      return [Uint8Array.of(0, 0)];
    };
    const late = snapshots.difference('room', meta, has(5));
    snapshots.drop('room', meta);
    open();
    await late;
    snapshots.put('room', meta, Uint8Array.of(0, 0));
    let diffs = 0;
    workers.diffInPieces = async () => {
      diffs++;
      return [Uint8Array.of(0, 0)];
    };
    await snapshots.difference('room', meta, has(5));
    expect(diffs).toBe(1);
  });
});
