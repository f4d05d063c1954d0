import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
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
  const workers = new CountingWorkers({ threads: 1, budget: 1_000, memory: 128 });
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

/** @returns a function that tells how many megabytes are in use, when all that can be freed is */
function memory(): () => Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return async () => {
    // What this turn holds is free in the next, and no longer counted once a second collection has begun.
    for (let i = 0; i < 2; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 2 ** 20;
  };
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
});
