import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { type Rejection, RejectionLog } from './rejection-log.js';

const MINUTE = 60_000;

function setUp() {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line)) });
  const log = new RejectionLog(clock, logger);
  const add = (about: Partial<Rejection> = {}) =>
    log.add({ room: 'r', address: 'a', status: 403, reason: 'why', ...about }, { connection: 1 });
  return { clock, lines, log, add };
}

describe('[LIM] the log of refused upgrades', () => {
  it('[LIM-18] has the first of a kind at once, and a line a minute with how often it came again', () => {
    const { clock, lines, add } = setUp();
    for (let i = 0; i < 500; i++) add();
    add({ address: 'b' });
    expect(lines.map(({ msg, address }) => [msg, address])).toEqual([
      ['not let in', 'a'],
      ['not let in', 'b'],
    ]);
    expect(lines[0]).toMatchObject({ connection: 1, room: 'r', status: 403, reason: 'why' });
    for (let minute = 0; minute < 3; minute++) {
      clock.advance(MINUTE);
      expect(lines).toHaveLength(3 + minute);
      expect(lines.at(-1)).toMatchObject({
        msg: 'not let in, again and again',
        room: 'r',
        address: 'a',
        count: minute === 0 ? 499 : 500,
        seconds: 60,
      });
      for (let i = 0; i < 500; i++) add();
    }
    clock.advance(MINUTE);
    // Who has not come for a minute has a line at once.
    clock.advance(MINUTE);
    add();
    expect(lines.at(-1)).toMatchObject({ msg: 'not let in' });
  });

  it('[LIM-18] has a bounded number of lines a minute, whoever comes', () => {
    const { clock, lines, log, add } = setUp();
    for (let i = 0; i < 10_000; i++) add({ room: `room ${i}` });
    expect(lines).toHaveLength(100);
    clock.advance(MINUTE);
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toMatchObject({ msg: 'others were not let in', count: 9_900 });
    add();
    add();
    log.close();
    expect(lines.at(-1)).toMatchObject({ msg: 'not let in, again and again', count: 1 });
    const { length } = lines;
    clock.advance(10 * MINUTE);
    expect(lines).toHaveLength(length);
  });
});
