import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withSeed } from '../test/histories.js';
import { Places } from './places.js';

const bytes = (seq: number) => Uint8Array.of(seq);

/** Applies whatever has its turn. @returns the seqs */
function drain(places: Places): number[] {
  const seqs: number[] = [];
  for (let next = places.next(); next !== undefined; next = places.next()) {
    expect([...next.update]).toEqual([next.seq & 0xff]);
    places.applied(next.seq);
    seqs.push(next.seq);
  }
  return seqs;
}

describe('[SEQ] positions and seqs', () => {
  it('[SEQ-1] are equal for an instance that is alone', () => {
    const places = new Places(3, 5);
    expect([places.head, places.last, places.durable]).toEqual([5, 5, 5]);
    expect([places.admitted(), places.admitted()]).toEqual([6, 7]);
    expect([places.head, places.last, places.durable]).toEqual([5, 7, 5]);
    places.committed(6, 1);
    expect([places.head, places.durable]).toEqual([6, 6]);
    expect(places.within(6)).toBe(6);
  });

  it('[SEQ-2] an entry of another instance has its turn after all before it', () => {
    const places = new Places(0, 0);
    places.arrived(3, bytes(3));
    expect(drain(places)).toEqual([]);
    expect(places.hasHole).toBe(true);
    places.arrived(1, bytes(1));
    expect(drain(places)).toEqual([1]);
    // Seq 2 is an own one that the store has just named.
    expect(places.admitted()).toBe(2);
    places.committed(2, 1);
    expect(drain(places)).toEqual([3]);
    expect([places.head, places.hasHole, places.durable]).toEqual([3, false, 3]);
  });

  it('[SEQ-3] what a snapshot holds can be forgotten up to the first position that it does not', () => {
    const places = new Places(0, 0);
    places.admitted();
    places.arrived(1, bytes(1));
    drain(places);
    // Position 1 has no seq yet, position 2 has seq 1.
    expect(places.within(1)).toBe(0);
    places.committed(2, 1);
    expect([places.within(1), places.within(2)]).toEqual([0, 2]);
    places.trim(2);
    expect([places.trimmed, places.last]).toEqual([2, 2]);
  });

  it('[SEQ-3] others behind an own update that is not committed do not make it durable', () => {
    const places = new Places(0, 0);
    places.admitted();
    places.arrived(1, bytes(1));
    drain(places);
    expect([places.last, places.durable]).toEqual([2, 0]);
    places.admitted();
    places.committed(2, 1);
    expect(places.durable).toBe(2);
  });

  it('[SEQ-4] an own entry that the store shows before its commit has ended leaves no hole', () => {
    const places = new Places(0, 0);
    places.admitted();
    places.arrived(1, bytes(1));
    // It is in the tail, so that it gets no other position.
    expect(places.next()?.seq).toBe(1);
    places.committed(1, 1);
    expect([places.head, places.last, places.durable, places.hasHole]).toEqual([1, 1, 1, false]);
  });

  it('[SEQ-4] an own entry behind a hole is not taken once more from the store', () => {
    const places = new Places(0, 0);
    places.admitted();
    places.committed(2, 1);
    places.arrived(2, bytes(2));
    places.arrived(1, bytes(1));
    expect(drain(places)).toEqual([1]);
    expect([places.head, places.last]).toEqual([2, 2]);
  });

  it('[SEQ-4] whatever order entries arrive in, each is applied once and in the order of seqs', () => {
    withSeed(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 80 }),
        (isOwn, luck) => {
          const places = new Places(0, 0);
          const own = isOwn.filter(Boolean).length;
          for (let i = 0; i < own; i++) places.admitted();
          // Own commits end in the order of their seqs; everything else comes in any order, twice or late.
          const commits = isOwn.flatMap((mine, i) => (mine ? [i + 1] : []));
          const foreign = isOwn.flatMap((mine, i) => (mine ? [] : [i + 1]));
          const applied: number[] = [];
          for (const roll of luck) {
            if (roll % 3 === 0 && commits.length > 0) places.committed(commits.shift()!, 1);
            else if (foreign.length > 0) {
              const seq = foreign[roll % foreign.length]!;
              places.arrived(seq, bytes(seq));
            }
            applied.push(...drain(places));
          }
          for (const seq of commits) places.committed(seq, 1);
          for (const seq of foreign) places.arrived(seq, bytes(seq));
          applied.push(...drain(places));
          expect(applied).toEqual(foreign);
          expect([places.head, places.hasHole]).toEqual([isOwn.length, false]);
          expect(places.durable).toBe(places.last);
          expect(places.within(isOwn.length)).toBe(isOwn.length);
        },
      ),
    );
  });

  it('[SEQ-7] a seq that the log had reached before an update was admitted says that the store went back', () => {
    const places = new Places(0, 5);
    places.admitted();
    places.admitted();
    expect(places.committed(6, 1)).toBe(true);
    expect(places.committed(5, 1)).toBe(false);
  });

  it('[SEQ-5] what is missing for good is passed over', () => {
    const places = new Places(0, 0);
    places.arrived(5, bytes(5));
    places.arrived(2, bytes(2));
    places.skipTo(4);
    expect([places.head, drain(places)]).toEqual([4, [5]]);
    places.skipTo(2);
    expect(places.head).toBe(5);
    // An own one that the store has named has its turn at once.
    places.admitted();
    places.committed(7, 1);
    places.skipTo(6);
    expect([places.head, places.hasHole]).toEqual([7, false]);
  });

  it('[SEQ-6] what waits for its turn is bounded', () => {
    const places = new Places(0, 0);
    for (let seq = 2; seq < 100; seq++) places.arrived(seq, new Uint8Array(1024 * 1024));
    places.arrived(1, bytes(1));
    const seqs: number[] = [];
    for (let next = places.next(); next !== undefined; next = places.next()) seqs.push(next.seq);
    expect(seqs).toEqual([1, 2, 3, 4, 5]);
  });

  it('[SEQ-6] what has had its turn, or was passed over, waits no more', () => {
    const places = new Places(0, 0);
    for (let round = 0; round < 4; round++) {
      const first = 10 * round + 1;
      places.arrived(first + 1, new Uint8Array(3 * 1024 * 1024));
      places.arrived(first, bytes(first));
      expect([places.next()?.seq, places.next()?.seq]).toEqual([first, first + 1]);
      places.arrived(first + 3, new Uint8Array(3 * 1024 * 1024));
      places.skipTo(first + 9);
    }
  });
});
