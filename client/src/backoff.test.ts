import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BACKOFF_BASE, BACKOFF_CAP, delay } from './backoff.js';

test('the first retry comes within the base', () => {
  expect(delay(0, 0)).toBe(0);
  expect(delay(0, 0.5)).toBe(BACKOFF_BASE / 2);
});

test('the range doubles with each attempt, up to the cap', () => {
  const ranges = Array.from({ length: 9 }, (_, attempt) => 2 * delay(attempt, 0.5));
  expect(ranges).toEqual([300, 600, 1200, 2400, 4800, 9600, 19_200, 30_000, 30_000]);
});

test('no attempt waits the cap or longer, however many came before', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.nat(), random, (attempt, value) => {
      const wait = delay(attempt, value);
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(BACKOFF_CAP);
    }),
  );
});
