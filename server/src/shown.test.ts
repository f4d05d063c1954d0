import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapedJson, inJson, shownName, visible } from './shown.js';

/** What a terminal obeys, or a line of text is turned around by. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

describe('[CMD] text of others', () => {
  it.each([
    ['minutes', 'minutes'],
    ['team-7/плани', 'team-7/плани'],
    ['a "quoted" name', 'a "quoted" name'],
    ['می‌خواهم 👩‍🚀', 'می‌خواهم 👩‍🚀'],
    ['gnp.\u202etxt', '"gnp.\\u202etxt"'],
    ['\x1b[2J', '"\\u001b[2J"'],
    ['\u009b31m', '"\\u009b31m"'],
    ['two\nlines', '"two\\nlines"'],
    ['two\u2028lines', '"two\\u2028lines"'],
    ['\ud800', '"\\ud800"'],
    [' spaces', '" spaces"'],
    ['spaces ', '"spaces "'],
    ['minutes  (deleted)', '"minutes  (deleted)"'],
    ['minutes (deleted)', '"minutes (deleted)"'],
    ['no\u00a0break', '"no\u00a0break"'],
    ['"minutes"', '"\\"minutes\\""'],
    ['back\\slash', '"back\\\\slash"'],
    ['\u{e0001}', '"\\udb40\\udc01"'],
  ])(
    '[CMD-20] a name is told as it is where that is clear, otherwise as JSON: %j',
    (name, told) => {
      expect(shownName(name)).toBe(told);
    },
  );

  it('[CMD-20] no two names are told in the same way, and none is obeyed', () => {
    const names = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(names, (name) => {
        const told = shownName(name);
        expect(told).not.toMatch(OBEYED);
        expect(told.startsWith('"') ? JSON.parse(told) : told).toBe(name);
      }),
      { seed: 19, numRuns: 2_000 },
    );
  });

  it('[CMD-21] JSON means the same, and lines for people name what would be obeyed', () => {
    const value = { room: 'a\u202eb\u009b', reason: '\ud83d\ude00 \u{e0001}\n', n: 1 };
    expect(JSON.parse(inJson(value))).toEqual(value);
    expect(inJson(value)).not.toMatch(OBEYED);
    expect(escapedJson('{"a":"\u0085"}\n')).toBe('{"a":"\\u0085"}\n');
    expect(visible('one\ntwo\t\x1b[31m\u202e\u{e0001}')).toBe(
      'one\ntwo\t<U+001B>[31m<U+202E><U+E0001>',
    );
  });
});
