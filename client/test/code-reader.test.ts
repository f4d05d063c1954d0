/** How long the demo reads code for its colours, on a clock that the reading itself moves. */
import { expect, test } from 'vitest';
import { CodeReader } from '../demo/src/editor/code-reader.js';

/** @param cost milliseconds to read a text */
function reading(cost: number) {
  let now = 0;
  let begun = 0;
  const turns: (() => void)[] = [];
  const read: string[] = [];
  const reader = new CodeReader<string>({
    isLanguage: (name) => name === 'js',
    plain: () => 'plain',
    read(_, text) {
      read.push(text);
      now += cost;
      return 'coloured';
    },
    now: () => now,
    later: (run) => turns.push(run),
    again: () => {
      begun++;
    },
  });
  return {
    read,
    all: (texts: readonly string[]) => texts.map((text) => reader.read('js', text)),
    as: (language: unknown) => reader.read(language, 'text'),
    /** Ends the turn. @returns whether all blocks are to be asked for again */
    endTurn() {
      const before = begun;
      for (const turn of turns.splice(0)) turn();
      return begun > before;
    },
  };
}

const texts = (count: number) => Array.from({ length: count }, (_, index) => `block ${index}`);

test('[DEMO-15] blocks are read for a moment at a time, each once, until all are', () => {
  const { read, all, endTurn } = reading(20);
  const blocks = texts(10);
  expect(all(blocks).filter((tree) => tree === 'coloured').length).toBe(3);
  let turns = 1;
  while (endTurn()) {
    all(blocks);
    turns++;
  }
  expect(turns).toBe(4);
  expect(all(blocks)).toEqual(blocks.map(() => 'coloured'));
  expect(read).toEqual(blocks);
  // One that is changed is read, and the others are not.
  endTurn();
  all([...blocks.slice(1), 'changed']);
  expect(read.length).toBe(11);
  expect(endTurn()).toBe(false);
});

test('[DEMO-15] what is no longer in the document is not kept', () => {
  const { read, all, endTurn } = reading(0);
  for (let key = 0; key < 3; key++) {
    all([`block ${key}`]);
    endTurn();
  }
  all(['block 0']);
  expect(read.length).toBe(4);
});

test('[DEMO-15] a block that is too long is not read', () => {
  const { read, all } = reading(0);
  expect(all(['x'.repeat(5_000), 'x'.repeat(5_001)])).toEqual(['coloured', 'plain']);
  expect(read.length).toBe(1);
});

test('[DEMO-15] of many blocks the first are read', () => {
  const { all, endTurn } = reading(0);
  const blocks = Array.from({ length: 12 }, (_, index) => `${index}`.padEnd(5_000, 'x'));
  for (let key = 0; key < 3; key++) {
    expect(all(blocks).lastIndexOf('coloured')).toBe(9);
    expect(endTurn()).toBe(false);
  }
});

test('[DEMO-15] a language that is no name of one is none', () => {
  const { as } = reading(0);
  expect([7, {}, ['js'], undefined, null, 'no such'].map(as)).toEqual(
    Array.from({ length: 6 }, () => 'plain'),
  );
  expect(as('js')).toBe('coloured');
});
