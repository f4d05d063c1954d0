import { expect, test } from 'vitest';
import { ManualClock } from '../test/manual-clock.js';
import { Alarm } from './alarm.js';

function setUp() {
  const clock = new ManualClock();
  const rings: number[] = [];
  const alarm = new Alarm(clock, () => rings.push(clock.now()));
  return { alarm, clock, rings };
}

test('rings at the deadline', () => {
  const { alarm, clock, rings } = setUp();
  alarm.set(100);
  clock.advance(99);
  expect(rings).toEqual([]);
  clock.advance(1);
  expect(rings).toEqual([100]);
  expect(clock.pending).toBe(0);
});

test('rings at once when the deadline has passed', () => {
  const { alarm, clock, rings } = setUp();
  clock.advance(50);
  alarm.set(20);
  clock.advance(0);
  expect(rings).toEqual([50]);
});

test('a deadline that moves nearer is kept', () => {
  const { alarm, clock, rings } = setUp();
  alarm.set(100);
  alarm.set(30);
  clock.advance(40);
  expect(rings).toEqual([30]);
  expect(clock.pending).toBe(0);
});

test('a deadline that moves away costs no new timer; it rings early instead', () => {
  const { alarm, clock, rings } = setUp();
  alarm.set(100);
  alarm.set(200);
  alarm.set(300);
  expect(clock.pending).toBe(1);
  clock.advance(100);
  expect(rings).toEqual([100]);
});

test('without a deadline there is no timer', () => {
  const { alarm, clock, rings } = setUp();
  alarm.set(100);
  alarm.set(null);
  expect(clock.pending).toBe(0);
  clock.advance(1000);
  expect(rings).toEqual([]);
});
