import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { CutOffs } from './cut-offs.js';

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line)) });
  const cutOffs = new CutOffs(logger);
  const note = (...silences: number[]) => {
    for (const silence of silences) cutOffs.note('10.0.0.5', silence);
  };
  return { note, lines };
}

describe('[OPS-11] connections that are cut off', () => {
  it('[OPS-11] six in a row after the same silence are a timeout on the way, which is told once', () => {
    const { note, lines } = setUp();
    note(5_003, 4_800, 5_120, 5_000, 5_010);
    expect(lines).toEqual([]);
    note(5_001, ...Array<number>(20).fill(5_000));
    expect(lines).toEqual([
      expect.objectContaining({
        level: 40,
        seconds: 5,
        connections: 6,
        address: '10.0.0.5',
        hint: expect.stringContaining('nginx: proxy_read_timeout 60s'),
        msg: expect.stringMatching(/^connections are cut off when nothing was sent for 5 s: /),
      }),
    ]);
    note(...Array<number>(20).fill(10_000), ...Array<number>(20).fill(5_000));
    expect(lines.map(({ seconds }) => seconds)).toEqual([5, 10]);
  });

  it('[OPS-11] those that end at any time, at once, or after longer than signs of life are apart, are not', () => {
    const { note, lines } = setUp();
    note(5_000, 5_000, 5_000, 5_000, 5_000, 7_000, 5_000);
    note(...Array<number>(20).fill(5_500), ...Array<number>(20).fill(40_000));
    note(...Array<number>(20).fill(0), ...Array<number>(20).fill(1_000));
    expect(lines).toEqual([]);
  });
});
