import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { item, text, type, update } from '../../test/crafted.js';
import { content, edits, replay, withSeed } from '../../test/histories.js';
import { DEEPEST } from '../update/nesting-limits.js';
import { decodeReach } from '../update/reach.js';
import { compact, diff } from './job.js';

function load(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const each of updates) Y.applyUpdate(doc, each);
  expect(doc.store.pendingStructs).toBeNull();
  return doc;
}

const honest = (words: string) => {
  const doc = new Y.Doc();
  doc.getText('t').insert(0, words);
  return Y.encodeStateAsUpdate(doc);
};

describe('[CMP] compaction', () => {
  it('[CMP-1] merges a snapshot and what is behind it into one that reads the same', () => {
    withSeed(
      fc.property(edits, fc.nat(), (script, cutAt) => {
        const { delivered } = replay(script, undefined);
        const cut = delivered.length === 0 ? 0 : cutAt % (delivered.length + 1);
        const first = compact({ snapshot: undefined, updates: delivered.slice(0, cut) });
        const second = compact({ snapshot: first.update, updates: delivered.slice(cut) });
        expect(second.poisoned).toEqual([]);
        const expected = load(...delivered);
        const got = load(second.update);
        expect(got.getText('t').toDelta()).toEqual(expected.getText('t').toDelta());
        expect(content(got)).toEqual(content(expected));
        expect(decodeReach(second.stateVector).vector).toEqual(
          Y.decodeStateVector(Y.encodeStateVector(expected)),
        );
        expect(Y.decodeUpdate(second.deletes).structs).toEqual([]);
      }),
    );
  });

  it('[CMP-2] a difference brings any earlier state up to date', () => {
    withSeed(
      fc.property(edits, fc.nat(), (script, cutAt) => {
        const { delivered } = replay(script, undefined);
        const cut = delivered.length === 0 ? 0 : cutAt % (delivered.length + 1);
        const { update: snapshot } = compact({ snapshot: undefined, updates: delivered });
        const reader = load(...delivered.slice(0, cut));
        Y.applyUpdate(reader, diff({ snapshot, stateVector: Y.encodeStateVector(reader) }));
        expect(reader.store.pendingStructs).toBeNull();
        expect(content(reader)).toEqual(content(load(snapshot)));
      }),
    );
  });

  it('[CMP-3] an update that leaves something pending is set aside, with everything else kept', () => {
    const gap = update([
      { client: 9, clock: 5, structs: [item({ parent: 't', kind: 4, content: text('x') })] },
    ]);
    const result = compact({ snapshot: undefined, updates: [honest('one'), gap, honest('two')] });
    expect(result.poisoned).toEqual([{ index: 1, reason: 'it leaves structs pending' }]);
    expect(load(result.update).getText('t').length).toBe(6);
  });

  it('[CMP-5] types nested too deep by many updates are set aside', () => {
    const deep: Uint8Array[] = [];
    for (let from = 0; from < 1_000; from += 90) {
      deep.push(
        update([
          {
            client: 9,
            clock: from,
            structs: Array.from({ length: 90 }, (_, i) =>
              from + i === 0
                ? item({ parent: 'deep', kind: 7, content: type(0) })
                : item({ parent: [9, from + i - 1], kind: 7, content: type(0) }),
            ),
          },
        ]),
      );
    }
    const result = compact({ snapshot: undefined, updates: [...deep, honest('kept')] });
    expect(result.poisoned.map(({ reason }) => reason)).toContain('it nests shared types too deep');
    expect(load(result.update).getText('t').toString()).toBe('kept');
  });

  it('[CMP-4] what others wrote beside a set-aside update stays where it is', () => {
    const chain = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) =>
        from + i === 0
          ? item({ parent: 'deep', kind: 7, content: type(0) })
          : item({ parent: [9, from + i - 1], kind: 7, content: type(0) }),
      );
    const under = DEEPEST - 40;
    const first = update([{ client: 9, clock: 0, structs: chain(0, under) }]);
    const tooDeep = update([
      {
        client: 9,
        clock: under,
        structs: [...chain(under, 50), item({ parent: 't', kind: 4, content: text('intro') })],
      },
    ]);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, first);
    Y.applyUpdate(doc, tooDeep);
    const vector = Y.encodeStateVector(doc);
    doc.getText('t').insert(2, ' in the middle ');
    doc.getText('t').insert(doc.getText('t').length, ' and behind');
    const beside = Y.encodeStateAsUpdate(doc, vector);
    const result = compact({ snapshot: undefined, updates: [first, tooDeep, beside] });
    expect(result.poisoned).toEqual([{ index: 1, reason: 'it nests shared types too deep' }]);
    const loaded = load(result.update);
    expect(loaded.getText('t').toString()).toBe('in in the middle tro and behind');
    expect(Y.getState(loaded.store, 9)).toBe(DEEPEST + 15);
  });
});
