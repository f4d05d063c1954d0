/** Real `Y.Doc`s are the oracle: whatever they write is admitted, and the log is what they hold. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { content, type Edit, edits, replay, withSeed } from '../../test/histories.js';
import { admit, type Change } from './admit.js';
import { Frontier } from './frontier.js';
import { parseUpdate } from './parse.js';
import type { Ranges } from './ranges.js';
import { Tail } from './tail.js';

describe('[ADM] admission against real documents', () => {
  const check = (script: readonly (readonly [number, Edit])[], luck: Iterable<number>) => {
    const world = replay(script, luck);
    const frontier = new Frontier();
    const tail = new Tail(0);
    let seq = 0;
    const log: Uint8Array[] = [];
    const take = (update: Uint8Array) => {
      const { change, missing } = admit(frontier, parseUpdate(update));
      if (change !== undefined) {
        tail.append(++seq, change);
        log.push(change.update);
      }
      return missing;
    };
    for (const update of world.delivered) take(update);
    for (const doc of world.docs) {
      const step2 = Y.encodeStateAsUpdate(doc, frontier.encodedVector());
      expect(take(step2)).toBeUndefined();
      // Said twice, it is known.
      expect(admit(frontier, parseUpdate(step2))).toEqual({
        change: undefined,
        missing: undefined,
      });
    }
    const oracle = new Y.Doc();
    for (const doc of world.docs) Y.applyUpdate(oracle, Y.encodeStateAsUpdate(doc));
    // What the merge itself deletes (losers of a map entry) arrives with the next full delete set.
    take(Y.encodeStateAsUpdate(oracle));

    expect(sorted(frontier.vector)).toEqual(
      sorted(Y.decodeStateVector(Y.encodeStateVector(oracle))),
    );
    expect(flat(frontier)).toEqual(flatOracle(oracle));

    const loaded = new Y.Doc();
    for (const update of log) {
      Y.applyUpdate(loaded, update);
      expect(loaded.store.pendingStructs).toBeNull();
      expect(loaded.store.pendingDs).toBeNull();
    }
    expect(content(loaded)).toEqual(content(oracle));

    const merged = new Y.Doc();
    Y.applyUpdate(merged, tail.since(0));
    expect(merged.store.pendingStructs).toBeNull();
    expect(content(merged)).toEqual(content(oracle));
    expect(flatOracle(merged)).toEqual(flatOracle(oracle));
  };

  it('[ADM-1] takes updates that are dropped, doubled and reordered, and ends at the oracle after a resync', () => {
    withSeed(
      fc.property(edits, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), check),
    );
  });

  it('[ADM-1] takes a surrogate pair that was split where it was written', () => {
    check(
      [
        [0, { kind: 'insert', at: 0, text: '\u{10000}' }],
        [0, { kind: 'format', at: 3, length: 1, bold: false }],
        [0, { kind: 'subdocument', key: 'a' }],
      ],
      [1, 1],
    );
  });

  it('[JOIN-3] a stretch of the tail brings a client of any earlier state up to date', () => {
    withSeed(
      fc.property(edits, fc.nat(), fc.nat(), (script, cutAt, trimAt) => {
        const world = replay(script, undefined);
        const frontier = new Frontier();
        const tail = new Tail(0);
        const changes: Change[] = [];
        for (const update of world.delivered) {
          const { change } = admit(frontier, parseUpdate(update));
          if (change === undefined) continue;
          changes.push(change);
          tail.append(changes.length, change);
        }
        const cut = changes.length === 0 ? 0 : cutAt % (changes.length + 1);
        const reader = new Y.Doc();
        for (const change of changes.slice(0, cut)) Y.applyUpdate(reader, change.update);
        tail.trim(cut === 0 ? 0 : trimAt % (cut + 1));
        const whole = new Y.Doc();
        for (const change of changes) Y.applyUpdate(whole, change.update);
        const vector = Y.decodeStateVector(Y.encodeStateVector(reader));
        for (const catchUp of [
          tail.since(cut),
          tail.since(tail.base, vector),
          tail.since(tail.base),
        ]) {
          const copy = new Y.Doc();
          Y.applyUpdate(copy, Y.encodeStateAsUpdate(reader));
          Y.applyUpdate(copy, catchUp);
          expect(copy.store.pendingStructs).toBeNull();
          expect(content(copy)).toEqual(content(whole));
        }
      }),
    );
  });
});

function sorted(map: ReadonlyMap<number, number>): [number, number][] {
  return [...map].filter(([, clock]) => clock > 0).sort(([a], [b]) => a - b);
}

function flat(frontier: Frontier): [number, Ranges][] {
  return [...frontier.deletes.clients].sort(([a], [b]) => a - b);
}

function flatOracle(doc: Y.Doc): [number, Ranges][] {
  const set = Y.createDeleteSetFromStructStore(doc.store);
  return [...set.clients]
    .map(([client, items]): [number, Ranges] => [
      client,
      items.flatMap(({ clock, len }) => [clock, clock + len]),
    ])
    .sort(([a], [b]) => a - b);
}
