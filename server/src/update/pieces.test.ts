import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { item, text, update } from '../../test/crafted.js';
import { content, edits, replay, withSeed } from '../../test/histories.js';
import { typedByTurns } from '../../test/large.js';
import { admit } from './admit.js';
import { Frontier } from './frontier.js';
import { parseUpdate } from './parse.js';
import { cutIntoPieces } from './pieces.js';
import { encodeStateVector } from './state-vector.js';

function admitAll(pieces: readonly Uint8Array[]): Frontier {
  const frontier = new Frontier();
  for (const piece of pieces) {
    const { missing } = admit(frontier, parseUpdate(piece), undefined, 'all or nothing');
    expect(missing).toBeUndefined();
  }
  return frontier;
}

describe('[CMP-18] pieces of an update', () => {
  it('each can be admitted once those before it are, and all together are the update', () => {
    withSeed(
      fc.property(edits, (script) => {
        const { delivered } = replay(script, undefined);
        const doc = new Y.Doc();
        for (const each of delivered) Y.applyUpdate(doc, each);
        const whole = Y.encodeStateAsUpdate(doc);
        const pieces = cutIntoPieces(whole, true) as Uint8Array[];
        admitAll(pieces);
        const read = new Y.Doc();
        for (const piece of pieces) Y.applyUpdate(read, piece);
        expect(content(read)).toEqual(content(doc));
      }),
    );
  });

  it('are small, however the people took turns', () => {
    const whole = typedByTurns({ items: 60_000, isBetween: true });
    const pieces = cutIntoPieces(whole, true) as Uint8Array[];
    expect(pieces.length).toBeGreaterThan(2);
    for (const { length } of pieces) expect(length).toBeLessThan(300 * 1024);
    const frontier = admitAll(pieces);
    const expected = new Frontier();
    admit(expected, parseUpdate(whole));
    expect(encodeStateVector(frontier.vector)).toEqual(encodeStateVector(expected.vector));
  });

  it('of one that is to be whole, what it lacks is told', () => {
    const needs = (origin: [number, number]) =>
      update([{ client: 1, clock: 0, structs: [item({ origin, kind: 4, content: text('a') })] }]);
    expect(cutIntoPieces(needs([2, 7]), true)).toEqual({ client: 2, clock: 7 });
    expect(cutIntoPieces(needs([2, 7]), false)).toHaveLength(1);
    const late = update([
      { client: 1, clock: 4, structs: [item({ parent: 't', kind: 4, content: text('a') })] },
    ]);
    expect(cutIntoPieces(late, true)).toEqual({ client: 1, clock: 0 });
    expect(cutIntoPieces(update([], [[3, 0, 5]]), true)).toEqual({ client: 3, clock: 0 });
  });

  it('of structs that wait for each other in a circle there are none', () => {
    const circle = update([
      { client: 1, clock: 0, structs: [item({ origin: [2, 0], kind: 4, content: text('a') })] },
      { client: 2, clock: 0, structs: [item({ origin: [1, 0], kind: 4, content: text('b') })] },
    ]);
    expect(() => cutIntoPieces(circle, true)).toThrow('circle');
  });
});
