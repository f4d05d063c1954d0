import { describe, expect, it } from 'vitest';
import { Hearing } from './relay-check.js';

const note = (instance: string, count: number, isRelayed = true) => ({
  instance,
  count,
  isRelayed,
});

describe('[RLY-19] whether others are heard', () => {
  function setUp() {
    const hearing = new Hearing();
    const heard = (instance: string) => hearing.heard(instance);
    const forgive = () => hearing.forgive();
    const noted = (...notes: ReturnType<typeof note>[]) => {
      hearing.noted(notes);
      return hearing.unheard;
    };
    return { heard, forgive, noted };
  }

  it('[RLY-19] one that is there three times and is not heard is out of reach, until it is heard', () => {
    const { heard, forgive, noted } = setUp();
    expect(noted(note('a', 7), note('b', 1))).toEqual([]);
    for (const count of [8, 9]) expect(noted(note('a', count), note('b', 1))).toEqual([]);
    expect(noted(note('a', 10), note('b', 1))).toEqual(['a']);
    // A new connection of its own is no proof.
    forgive();
    expect(noted(note('a', 11), note('b', 1))).toEqual(['a']);
    heard('a');
    expect(noted(note('a', 12), note('b', 1))).toEqual([]);
  });

  it('[RLY-19] how often somebody was there while the store was away, or an old one answered, says nothing', () => {
    const { heard, noted } = setUp();
    noted(note('a', 1));
    // Looked at three times, however far it has come, and heard in between.
    expect(noted(note('a', 9))).toEqual([]);
    expect(noted(note('a', 90))).toEqual([]);
    heard('a');
    expect(noted(note('a', 900))).toEqual([]);
    // The store that has taken over knows less, and is told again.
    for (const count of [400, 400, 901]) expect(noted(note('a', count))).toEqual([]);
    expect(noted(note('a', 902))).toEqual(['a']);
    expect(noted(note('a', 9_000))).toEqual(['a']);
  });

  it('[RLY-19] nothing is known of one that is dead, new, gone, or cut off itself', () => {
    const { heard, forgive, noted } = setUp();
    // Dead: it is remembered for a while, and stands still.
    for (let i = 0; i < 9; i++) expect(noted(note('dead', 5))).toEqual([]);
    // Cut off, and then back for less than three times.
    for (let i = 0; i < 9; i++) expect(noted(note('cut', i, false))).toEqual([]);
    expect(noted(note('cut', 10), note('new', 1_000))).toEqual([]);
    expect(noted()).toEqual([]);
    expect(noted(note('cut', 90), note('new', 2_000))).toEqual([]);
    // What was heard between two looks counts.
    heard('new');
    expect(noted(note('cut', 91), note('new', 2_002))).toEqual([]);
    forgive();
    expect(noted(note('cut', 93), note('new', 2_004))).toEqual([]);
    // Out of reach, and then it is known why.
    for (const count of [94, 95]) noted(note('cut', count), note('new', 2_004));
    expect(noted(note('cut', 96), note('new', 2_004))).toEqual(['cut']);
    expect(noted(note('cut', 100, false), note('new', 2_004))).toEqual([]);
  });
});
