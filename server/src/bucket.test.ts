import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bucket } from './bucket.js';

describe('[LIM] rates', () => {
  it('[LIM-1] a burst at once, then what is earned', () => {
    const bucket = new Bucket({ perSecond: 10, burst: 5 }, 1_000);
    expect(Array.from({ length: 7 }, () => bucket.tryTake(1, 1_000))).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(bucket.tryTake(1, 1_099)).toBe(false);
    expect(bucket.tryTake(1, 1_200)).toBe(true);
    expect(bucket.isFull(1_200)).toBe(false);
    expect(bucket.isFull(60_000)).toBe(true);
  });

  it('[LIM-1] what is larger than a burst is paid for afterwards', () => {
    const bucket = new Bucket({ perSecond: 10, burst: 5 }, 0);
    expect(bucket.take(25, 0)).toBe(2_000);
    expect(bucket.take(1, 2_000)).toBe(100);
  });

  it('[LIM-1] over any time no more passes than the burst and what is earned', () => {
    const asked = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 5 })),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(asked, (steps) => {
        const bucket = new Bucket({ perSecond: 20, burst: 10 }, 0);
        let now = 0;
        let passed = 0;
        for (const [wait, amount] of steps) {
          now += wait;
          if (bucket.tryTake(amount, now)) passed += amount;
          expect(passed).toBeLessThanOrEqual(10 + (now / 1_000) * 20 + 1e-6);
        }
      }),
    );
  });
});
