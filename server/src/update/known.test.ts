import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import * as Y from 'yjs';
import { update as crafted, item, text } from '../../test/crafted.js';
import { edits, replay, withSeed } from '../../test/histories.js';
import { compare as compareApart } from '../compact/compare.js';
import { compact } from '../compact/job.js';
import { admit } from './admit.js';
import { Reader } from './bytes.js';
import { Frontier } from './frontier.js';
import { comparisonOf, contradictionWith, findContradiction, hasKnown } from './known.js';
import { parseUpdate } from './parse.js';
import { Tail } from './tail.js';

/** What a room holds of these updates. */
function roomOf(updates: readonly Uint8Array[]) {
  const frontier = new Frontier();
  const tail = new Tail(0);
  const log: Uint8Array[] = [];
  for (const update of updates) {
    const { change } = admit(frontier, parseUpdate(update));
    if (change === undefined) continue;
    tail.append(log.length + 1, change);
    log.push(change.update);
  }
  return { frontier, tail, log };
}

/** Compares as a room whose snapshot reaches so far. */
function compare(
  update: Uint8Array,
  { frontier, tail, log }: ReturnType<typeof roomOf>,
  at: number,
) {
  const parsed = parseUpdate(update);
  if (!hasKnown(parsed, frontier)) return;
  const snapshot = compact({ snapshot: undefined, updates: log.slice(0, at) }).update;
  tail.trim(at);
  expect(findContradiction(parsed, frontier, tail)).toBeUndefined();
  if (at === 0) expect(comparisonOf(parsed, frontier, tail)).toBeUndefined();
  expect(compareApart({ update, stored: [tail.since(at), snapshot] })).toBeUndefined();
}

function typing(client: number, ...words: string[]): { doc: Y.Doc; updates: Uint8Array[] } {
  const doc = new Y.Doc();
  doc.clientID = client;
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  for (const word of words) doc.getText('t').insert(doc.getText('t').length, word);
  return { doc, updates };
}

describe('[THR] known clocks', () => {
  it('[THR-11] what honest clients repeat, cut, joined and deleted in any way, contradicts nothing', () => {
    withSeed(
      fc.property(edits, fc.nat(), fc.nat(), (script, cutAt, known) => {
        const { docs, delivered } = replay(script, undefined);
        const repeated = [
          ...delivered.filter((_, i) => i % 8 === known % 8),
          ...docs.map((doc) => Y.encodeStateAsUpdate(doc)),
          Y.mergeUpdates([...delivered]),
        ];
        for (const doc of docs) {
          const some = new Y.Doc();
          for (const each of delivered.slice(0, known % (delivered.length + 1))) {
            Y.applyUpdate(some, each);
          }
          repeated.push(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(some)));
        }
        for (const update of repeated) {
          const room = roomOf(delivered);
          compare(update, room, cutAt % (room.log.length + 1));
        }
      }),
    );
  });

  it('[THR-11] other content, in another place or of another kind, does', () => {
    const others: ((doc: Y.Doc) => void)[] = [
      (doc) => doc.getText('t').insert(3, 'DEF'),
      (doc) => doc.getText('t').insert(0, 'ggg'),
      (doc) => doc.getText('t').insert(0, 'DEFG'),
      (doc) => doc.getText('u').insert(0, 'ggg'),
      (doc) => doc.getArray('a').push([1, 2, 3]),
      (doc) => doc.getArray('a').push([1, 2, { three: 3 }]),
      (doc) => doc.getMap('m').set('k', 1),
      (doc) => doc.getMap('m').set('other', 1),
      (doc) => doc.getText('t').insertEmbed(0, { image: 'one' }),
      (doc) => doc.getText('t').insertEmbed(0, { image: 'other' }),
      (doc) => doc.getMap('m').set('k', new Y.Map()),
      (doc) => doc.getMap('m').set('k', new Y.Array()),
    ];
    for (const [i, one] of others.entries()) {
      for (const [j, other] of others.entries()) {
        const { doc, updates } = typing(7, 'abc');
        one(doc);
        const twin = new Y.Doc();
        Y.applyUpdate(twin, updates[0]!);
        twin.clientID = 7;
        const before = Y.encodeStateVector(twin);
        other(twin);
        const { frontier, tail } = roomOf(updates);
        const parsed = parseUpdate(Y.encodeStateAsUpdate(twin, before));
        expect(hasKnown(parsed, frontier)).toBe(true);
        const found = findContradiction(parsed, frontier, tail);
        // Whoever wrote more has said the same as far as the other goes.
        const isSame = i === j;
        expect(found === undefined, `${i} ${j}`).toBe(isSame);
        const all = parseUpdate(tail.since(0));
        expect(contradictionWith(all, parsed) === undefined, `${i} ${j}`).toBe(isSame);
      }
    }
  });

  it('[THR-11] [THR-4] many small pieces are compared with a large one in linear time', () => {
    const { updates } = typing(7, 'a'.repeat(5_000));
    const { tail } = roomOf(updates);
    const pieces = Array.from({ length: 5_000 }, (_, i) =>
      item({
        ...(i === 0 ? { parent: 't' } : { origin: [7, i - 1] as [number, number] }),
        kind: 4,
        content: text('a'),
      }),
    );
    const update = crafted([{ client: 7, clock: 0, structs: pieces }]);
    const read = vi.spyOn(Reader.prototype, 'string');
    onTestFinished(() => read.mockRestore());
    expect(compareApart({ update, stored: [tail.since(0)] })).toBeUndefined();
    // Each piece once, and the large one once.
    expect(read.mock.calls.length).toBeLessThanOrEqual(5_000 + 10);
  });

  it('[THR-11] what takes long is left to a worker, on either side', () => {
    const { updates } = typing(7, 'abc');
    const long = typing(7, 'x'.repeat(20_000));
    for (const [brought, stored, isLong] of [
      [updates, updates, false],
      [long.updates, updates, true],
      [updates, long.updates, true],
    ] as const) {
      const { frontier, tail } = roomOf(stored);
      const parsed = parseUpdate(brought[0]!);
      expect(findContradiction(parsed, frontier, tail) !== undefined).toBe(false);
      const comparison = isLong ? { withTail: true, withSnapshot: false } : undefined;
      expect(comparisonOf(parsed, frontier, tail)).toEqual(comparison);
    }
  });

  it('[THR-11] deleted content says where it was, and who brings nothing contradicts nothing', () => {
    const { doc, updates } = typing(7, 'abc');
    doc.transact(() => {
      doc.getText('t').insert(0, 'xyz');
      doc.getText('t').delete(0, 3);
    });
    const { frontier, tail } = roomOf(updates);
    const twin = new Y.Doc();
    Y.applyUpdate(twin, updates[0]!);
    twin.clientID = 7;
    const before = Y.encodeStateVector(twin);
    twin.getText('t').insert(3, 'DEF');
    const elsewhere = parseUpdate(Y.encodeStateAsUpdate(twin, before));
    expect(findContradiction(elsewhere, frontier, tail)).toEqual({ client: 7, clock: 3 });
    twin.getText('t').delete(3, 3);
    const nothing = parseUpdate(Y.encodeStateAsUpdate(twin, before));
    expect(findContradiction(nothing, frontier, tail)).toBeUndefined();
  });

  it('[THR-11] new clocks are not compared', () => {
    const { updates } = typing(7, 'abc', 'def');
    const { frontier } = roomOf(updates.slice(0, 1));
    expect(hasKnown(parseUpdate(updates[1]!), frontier)).toBe(false);
  });
});
