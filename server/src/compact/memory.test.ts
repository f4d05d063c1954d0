import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { item, text, update } from '../../test/crafted.js';
import { KINDS_OF_DOCUMENTS, typedByTurns } from '../../test/large.js';
import { workerMemory } from '../memory.js';
import { compact, diff } from './job.js';
import { TooLargeToMerge } from './over-budget.js';
import { priceBySize, priceOf, weigh } from './weight.js';
import { whole } from './whole.js';
import { Workers } from './workers.js';

const MB = 1024 * 1024;

function workersWith(memory: number): Workers {
  const workers = new Workers({ threads: 1, budget: 600_000, memory });
  onTestFinished(() => workers.close());
  return workers;
}

const task = (...updates: Uint8Array[]) => ({
  snapshot: undefined,
  updates: updates.map((update) => update.slice()),
});

// Workers are polite, and on a machine with other work that takes its time.
describe('[CMP] memory', { timeout: 600_000 }, () => {
  for (const [kind, make] of Object.entries(KINDS_OF_DOCUMENTS)) {
    it(`[CMP-15] [CMP-16] what a merge is said to need is enough: ${kind}`, async () => {
      const update = make();
      const { heap, outside } = priceOf(weigh([update]));
      const workers = workersWith((heap + outside) / MB + 1);
      expect(workers.isLarge(update.length)).toBe(true);
      expect(workers.memory).toBeLessThan(160 * MB);
      const made = await workers.compact(async () => task(update));
      expect(made).toMatchObject({ isFaithful: true, passes: 1, poisoned: [] });
      // Of a document of this size no honest one needs much more.
      expect(heap).toBeLessThan(1.5 * priceBySize(update.length).heap);
    });
  }

  const pasted = update([
    {
      client: 7,
      clock: 0,
      structs: [item({ parent: 'text', kind: 4, content: text('ab'.repeat(100_000)) })],
    },
  ]);
  const deletions = update(
    [],
    Array.from({ length: 50_000 }, (_, i) => [7, 4 * i + 1, 1] as const),
  );
  const insertions = update([
    {
      client: 8,
      clock: 0,
      structs: Array.from({ length: 50_000 }, (_, i) =>
        item({ origin: [7, 4 * i + 1], right: [7, 4 * i + 2], kind: 4, content: text('c') }),
      ),
    },
  ]);
  for (const [kind, behind] of [
    ['deletions', deletions],
    ['insertions', insertions],
  ] as const) {
    it(`[CMP-15] so it is where small ${kind} take a large struct apart`, async () => {
      const { heap, outside } = priceOf(weigh([pasted, behind]));
      const workers = workersWith((heap + outside) / MB + 1);
      const made = await workers.compact(async () => task(pasted, behind));
      expect(made).toMatchObject({ isFaithful: true, passes: 1 });
      // Of the same in one it is known that it is in pieces.
      const whole = priceOf(weigh([made.update]));
      expect(whole.heap).toBeLessThan(1.3 * heap);
      expect(whole.heap).toBeGreaterThan(0.7 * heap);
    });
  }

  it('[CMP-15] one that its size let pass for small gets a worker of its own where there is the memory for it', async () => {
    const count = 90_000;
    const words = text('ab'.repeat(count));
    const parts = [
      update([
        { client: 7, clock: 0, structs: [item({ parent: 'text', kind: 4, content: words })] },
      ]),
      update(
        [],
        Array.from({ length: count }, (_, i) => [7, 2 * i, 1] as const),
      ),
    ];
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    const { heap, outside } = priceOf(weigh(parts));
    const workers = workersWith((4 * priceBySize(bytes).heap) / MB + 1);
    expect(workers.isLarge(bytes)).toBe(false);
    expect([heap > workers.memory / 2, heap + outside < workers.memory]).toEqual([true, true]);
    const made = await workers.compact(async () => task(...parts));
    expect(made).toMatchObject({ isFaithful: true, passes: 1 });
  });

  it('[CMP-16] a merge lets go of what it was given, and workers are handed bytes that nobody else has', async () => {
    const given = task(typedByTurns({ items: 1_000 }));
    compact(given);
    expect(given).toEqual({ snapshot: undefined, updates: [] });
    const [snapshot, update] = [typedByTurns({ items: 1_000 }), typedByTurns({ items: 100 })];
    const workers = workersWith(200);
    await workers.compact(async () => ({ snapshot, updates: [update] }));
    expect([snapshot.length, update.length > 0]).toEqual([0, true]);
  });

  for (const [container, items, typed] of [
    [1, 984_200, 'a'.repeat(45)],
    [2, 3_000_000, 'a'],
  ] as const) {
    it(`[CMP-16] what a container of ${container} GB leaves is enough for ${items} pieces`, async ({
      skip,
    }) => {
      skip(process.env.LONG !== '1', 'it takes a minute: LONG=1 npm test runs it');
      const update = typedByTurns({ items, people: 200, typed });
      const workers = workersWith(workerMemory({ bytes: container * 1024 * MB, isOwn: true }) / MB);
      const made = await workers.compact(async () => task(update));
      expect(made).toMatchObject({ isFaithful: true, passes: 1, poisoned: [] });
    });
  }

  it('[CMP-15] no document is made once the workers are closed', async () => {
    const workers = workersWith(100);
    const late = workers.compact(async () => {
      await workers.close();
      return task(typedByTurns({ items: 40_000 }));
    });
    await expect(late).rejects.toThrow('closed');
  });

  it('[CMP-15] a document that needs more than there is is weighed, and not made', async () => {
    const update = typedByTurns({ items: 100_000 });
    const { heap, outside } = priceOf(weigh([update]));
    const workers = workersWith((heap + outside) / MB - 1);
    const attempt = workers.compact(async () => task(update));
    await expect(attempt).rejects.toThrow(TooLargeToMerge);
    await expect(attempt).rejects.toThrow(
      `it needs about ${Math.ceil((heap + outside) / MB)} MB of memory`,
    );
    const shown = workers.view(async () => ({ ...task(update), form: 'text' }));
    await expect(shown).rejects.toThrow(TooLargeToMerge);
    // The next one is as if nothing had been.
    const small = typedByTurns({ items: 1_000 });
    const made = await workers.compact(async () => task(small));
    expect(made.isFaithful).toBe(true);
  });

  it('[CMP-15] one that was taken for smaller than it is ends its worker, and counts as too large', async () => {
    const doc = new Y.Doc();
    // Empty lists in lists take twenty times their bytes.
    const nested = Array.from({ length: 4_000 }, () => Array.from({ length: 500 }, () => []));
    doc.getArray('list').insert(0, nested);
    const update = Y.encodeStateAsUpdate(doc);
    const workers = workersWith(115);
    const attempt = workers.compact(async () => task(update));
    await expect(attempt).rejects.toThrow(TooLargeToMerge);
  });

  it('[CMP-19] a document that is too large to be made is read as an update all the same', async () => {
    const typed = typedByTurns({ items: 60_000 });
    const doc = new Y.Doc();
    Y.applyUpdate(doc, typed);
    const vector = Y.encodeStateVector(doc);
    doc.getText('text').insert(0, 'more ');
    doc.getText('text').delete(100, 50);
    const behind = Y.encodeStateAsUpdate(doc, vector);
    const { update: snapshot } = compact(task(typed));
    const workers = workersWith(66);
    const update = await workers.view(async () => ({
      snapshot: snapshot.slice(),
      updates: [behind],
      form: 'update',
    }));
    const read = new Y.Doc();
    Y.applyUpdate(read, update!);
    expect(read.store.pendingStructs).toBeNull();
    expect(read.getText('text').toString()).toBe(doc.getText('text').toString());
    const text = workers.view(async () => ({
      snapshot: snapshot.slice(),
      updates: [behind],
      form: 'text',
    }));
    await expect(text).rejects.toThrow('too large');
  });

  it('[CMP-18] what was merged may have more than a million references: it is merged on, cut for those who join, and read', () => {
    const update = typedByTurns({ items: 510_000, isBetween: true });
    const { update: snapshot, isFaithful } = compact(task(update));
    expect(isFaithful).toBe(true);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, whole({ snapshot, updates: [] }));
    expect(doc.getText('text').length).toBe(510_000);
    const [client] = [...doc.store.clients.keys()];
    const vector = Y.decodeStateVector(Y.encodeStateVector(doc));
    vector.set(client!, vector.get(client!)! - 1);
    const lacked = diff({ snapshot, stateVector: Y.encodeStateVector(vector) });
    expect(Y.decodeUpdate(lacked).structs).toHaveLength(1);
  });
});
