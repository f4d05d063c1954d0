/** Pieces of an update: each can be integrated when it comes, and together they are the update. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { content, type Edit, edits, replay, withSeed } from '../../test/histories.js';
import { assemble } from './assemble.js';
import { cutUpdate, LARGE_MESSAGE, PIECE } from './cut.js';
import { parseUpdate } from './parse.js';

/** Applies pieces one after the other; none may wait for a later one. */
function apply(pieces: readonly Uint8Array[], doc = new Y.Doc()): Y.Doc {
  for (const piece of pieces) {
    parseUpdate(piece);
    Y.applyUpdate(doc, piece);
    expect(doc.store.pendingStructs).toBeNull();
    expect(doc.store.pendingDs).toBeNull();
  }
  return doc;
}

const vectorOf = (doc: Y.Doc) => Y.decodeStateVector(Y.encodeStateVector(doc));

function expectSame(one: Y.Doc, other: Y.Doc): void {
  expect(content(one)).toEqual(content(other));
  expect(vectorOf(one)).toEqual(vectorOf(other));
  expect(Y.createDeleteSetFromStructStore(one.store)).toEqual(
    Y.createDeleteSetFromStructStore(other.store),
  );
}

const longest = (pieces: readonly Uint8Array[]) => Math.max(...pieces.map(({ length }) => length));

describe('[JOIN-11] pieces of an update', () => {
  const check = (script: readonly (readonly [number, Edit])[], luck: Iterable<number>) => {
    const { docs } = replay(script, luck);
    const oracle = new Y.Doc();
    for (const doc of docs) Y.applyUpdate(oracle, Y.encodeStateAsUpdate(doc));
    // As a snapshot is made: loaded once, so that the losers of a map's entries are deleted in it.
    const whole = new Y.Doc();
    Y.applyUpdate(whole, Y.encodeStateAsUpdate(oracle));
    for (const most of [1, 60]) {
      const pieces = cutUpdate(Y.encodeStateAsUpdate(whole), 0, most);
      expectSame(apply(pieces), whole);
      // Of what is missing from somebody who has a part.
      for (const doc of docs) {
        const had = new Y.Doc();
        Y.applyUpdate(had, Y.encodeStateAsUpdate(doc));
        const rest = Y.encodeStateAsUpdate(whole, Y.encodeStateVector(had));
        apply(cutUpdate(rest, 0, most), had);
        expect(content(had)).toEqual(content(whole));
      }
    }
  };

  it('[JOIN-11] of whatever several clients wrote together, each can be integrated when it comes', () => {
    withSeed(
      fc.property(edits, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), check),
    );
  });

  it('[JOIN-11] two that answer each other thousands of times are cut as often as needed, in linear time', () => {
    const one = new Y.Doc({ gc: false });
    const two = new Y.Doc({ gc: false });
    [one.clientID, two.clientID] = [1, 2];
    let last: Uint8Array = Y.encodeStateAsUpdate(one);
    const listen = (update: Uint8Array) => {
      last = update;
    };
    one.on('update', listen);
    two.on('update', listen);
    for (let i = 0; i < 4_000; i++) {
      const [from, to] = i % 2 === 0 ? [one, two] : [two, one];
      from.getText('t').insert(from.getText('t').length, `${i} says `);
      Y.applyUpdate(to, last);
    }
    const whole = Y.encodeStateAsUpdate(one);
    const pieces = cutUpdate(whole, 0, 2_000);
    expect(longest(pieces)).toBeLessThan(2_100);
    expect(pieces.length).toBeLessThan((whole.length / 2_000) * 1.5);
    expectSame(apply(pieces), one);
    expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(whole.length * 1.05);
  });

  it('[JOIN-11] a long text is cut between characters, a long list between values, a map stays whole', () => {
    const doc = new Y.Doc();
    const text = doc.getText('t');
    text.insert(0, 'begin end');
    text.insert(5, 'ab€😀'.repeat(20_000));
    text.insert(100_003, 'between');
    doc.getArray('a').insert(0, [...Array(20_000).keys(), { deep: ['x', null, 1.5] }]);
    doc.getMap('m').set('key', 'v'.repeat(30_000));
    doc.getXmlFragment('x').insert(0, [new Y.XmlText('z'.repeat(30_000))]);
    const whole = new Y.Doc();
    Y.applyUpdate(whole, Y.encodeStateAsUpdate(doc));
    for (const most of [997, 5_000]) {
      const pieces = cutUpdate(Y.encodeStateAsUpdate(whole), 0, most);
      const large = pieces.filter(({ length }) => length > most + 100);
      // The value of the map's key.
      expect(large.map(({ length }) => length)).toEqual([
        expect.toSatisfy((n) => n > 30_000 && n < 30_100),
      ]);
      expectSame(apply(pieces), whole);
    }
    // What is written at a cut later on lands where it was meant.
    const late = apply(cutUpdate(Y.encodeStateAsUpdate(whole), 0, 997));
    late.getText('t').insert(50_000, '!');
    const before = text.toString();
    Y.applyUpdate(whole, Y.encodeStateAsUpdate(late));
    expect(whole.getText('t').toString()).toBe(
      `${before.slice(0, 50_000)}!${before.slice(50_000)}`,
    );
  });

  it('[JOIN-12] a single value is a piece of its own, however large, and nothing beside it waits', () => {
    const doc = new Y.Doc();
    const map = doc.getMap('m');
    for (let i = 0; i < 5; i++) map.set(`${i}`, new Uint8Array(100 + i * 1_000));
    const pieces = cutUpdate(Y.encodeStateAsUpdate(doc), 0, 500);
    expect(pieces.map(({ length }) => Math.round(length / 1_000))).toEqual([0, 1, 2, 3, 4]);
    expectSame(apply(pieces), doc);
  });

  it('[JOIN-11] many deletions are cut, too', () => {
    const ranges = (from: number) => {
      return Array.from({ length: 200_000 }, (_, i) => from + 3 * (i >> 1) + 2 * (i & 1));
    };
    const deletes = new Map([1, 2, 3].map((client) => [client, ranges(client)]));
    const pieces = cutUpdate(assemble([], deletes));
    expect(pieces.length).toBeGreaterThan(3);
    expect(longest(pieces)).toBeLessThan(PIECE + 100);
    const found = new Map<number, number[]>();
    for (const piece of pieces) {
      for (const [client, some] of parseUpdate(piece).deletes) {
        found.set(client, [...(found.get(client) ?? []), ...some]);
      }
    }
    expect(found).toEqual(deletes);
  });

  it('[JOIN-10] what is not large is the same bytes, and is not looked at', () => {
    const bytes = new Uint8Array(LARGE_MESSAGE);
    expect(cutUpdate(bytes)[0]).toBe(bytes);
    expect(LARGE_MESSAGE).toBe(64_000 * 8);
  });
});
