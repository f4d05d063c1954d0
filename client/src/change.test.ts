import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { type Change, isEmpty, merge, type Ranges, UNKNOWN, without } from './change.js';

const CLIENT = 7;

function rangesOf(clocks: Iterable<number>): Ranges {
  const ranges = Y.createDeleteSet();
  const all = [...clocks].map((clock) => ({ clock, len: 1 }));
  if (all.length > 0) ranges.clients.set(CLIENT, all);
  // Brings them in order, and joins what touches.
  return Y.mergeDeleteSets([ranges]);
}

function clocksOf({ clients }: Ranges): number[] {
  return (clients.get(CLIENT) ?? []).flatMap(({ clock, len }) =>
    Array.from({ length: len }, (_, n) => clock + n),
  );
}

const changeOf = (clocks: Iterable<number>): Change => ({
  insertions: rangesOf(clocks),
  deletions: rangesOf(clocks),
});

const clocks = fc.uniqueArray(fc.nat({ max: 40 }));

test('[CLI-17] without() leaves what is not in the other', () => {
  fc.assert(
    fc.property(clocks, clocks, (one, other) => {
      const expected = one.filter((clock) => !other.includes(clock)).sort((a, b) => a - b);
      const { insertions, deletions } = without(changeOf(one), changeOf(other));
      expect([clocksOf(insertions), clocksOf(deletions)]).toEqual([expected, expected]);
      expect(isEmpty({ insertions, deletions })).toBe(expected.length === 0);
    }),
    { numRuns: 1_000 },
  );
});

test('[CLI-17] what is put together has all of it, and is unknown if anything is', () => {
  const all = merge([changeOf([1, 2]), changeOf([2, 3]), changeOf([9])]);
  expect([clocksOf(all.insertions), all.isUnknown]).toEqual([[1, 2, 3, 9], false]);
  expect(merge([all, UNKNOWN]).isUnknown).toBe(true);
  expect(without(UNKNOWN, all).isUnknown).toBe(true);
});
