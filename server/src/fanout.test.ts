import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { chooseDialect } from './dialect.js';
import { Fanout, type Receiver } from './fanout.js';
import { Measures } from './measures.js';
import type { Tail } from './update/tail.js';

const HIGH_WATER = 1_000;

class Reader implements Receiver {
  buffered = 0;
  isArriving = false;
  frames = 0;
  closedWith: number | undefined;
  readonly dialect = chooseDialect(new Set()).dialect;
  readonly connection = this;

  send(): void {
    this.frames++;
  }

  close(code: number): void {
    this.closedWith = code;
  }
}

function setUp() {
  const clock = new ManualClock();
  const measures = new Measures().fanout;
  const tail = { last: 0, since: () => Uint8Array.of(0, 0) };
  const awareness = { hasChanges: false, takeChanges: () => [], presentAndGone: () => [] };
  const options = { clock, highWater: HIGH_WATER, patience: 10_000, measures };
  const pieces = { behind: () => [Uint8Array.of(0, 0)], ready: async () => undefined };
  const fanout = new Fanout<Reader>(options, tail as unknown as Tail, pieces, awareness);
  const author = new Reader();
  fanout.add(author);
  const type = (times = 1, arrivedAt = clock.now()) => {
    for (let i = 0; i < times; i++) {
      tail.last++;
      fanout.updated(author, Uint8Array.of(0, 0), arrivedAt);
    }
    clock.advance(100);
  };
  return { clock, measures, fanout, author, type };
}

const count = (counts: readonly number[]) => counts.reduce((sum, each) => sum + each, 0);

describe('[MET] what fan-out counts', () => {
  it('[MET-4] who is behind, what they were left out of, and who was closed for it', () => {
    const { clock, measures, fanout, type } = setUp();
    const [quick, slow, gone] = [new Reader(), new Reader(), new Reader()];
    for (const reader of [quick, slow, gone]) fanout.add(reader);
    slow.buffered = HIGH_WATER + 1;
    gone.buffered = HIGH_WATER + 1;
    type();
    expect([measures.behind, measures.skipped]).toEqual([2, 2]);
    type();
    expect([measures.behind, measures.skipped]).toEqual([2, 4]);
    expect([quick.frames, slow.frames]).toEqual([2, 0]);

    slow.buffered = 0;
    fanout.drained(slow);
    expect([measures.behind, slow.frames]).toEqual([1, 1]);
    // A second time it is not behind any more.
    fanout.drained(slow);
    expect(measures.behind).toBe(1);

    clock.advance(60_000);
    for (const reader of [quick, slow, gone]) fanout.checkPatience(reader);
    expect([measures.evicted, gone.closedWith]).toEqual([1, 1013]);
    fanout.remove(gone);
    expect(measures.behind).toBe(0);
  });

  it('[MET-4] a room that is closed leaves nobody behind', () => {
    const { measures, fanout } = setUp();
    const late = new Reader();
    late.buffered = HIGH_WATER + 1;
    fanout.add(late);
    expect(measures.behind).toBe(1);
    fanout.close();
    expect(measures.behind).toBe(0);
  });

  it('[MET-5] how many updates leave together, and how long the oldest took from its arrival', () => {
    const { measures, fanout, type } = setUp();
    type(3);
    expect(measures.batches.sum).toBe(3);
    // Nobody but their author is there: nothing was delivered.
    expect(count(measures.lag.counts)).toBe(0);
    fanout.add(new Reader());
    type(1);
    expect(count(measures.lag.counts)).toBe(1);
    const before = measures.lag.sum;
    type(2, -500);
    expect(count(measures.lag.counts)).toBe(2);
    expect(measures.lag.sum - before).toBeGreaterThanOrEqual(500);
  });
});

describe('[FAN] who is behind', () => {
  it('[FAN-6] and sends meanwhile has as long as the largest message takes, for what it has read it can say only behind that', () => {
    const { clock, fanout, type } = setUp();
    const [sending, idle, endless] = [new Reader(), new Reader(), new Reader()];
    for (const reader of [sending, idle, endless]) {
      fanout.add(reader);
      reader.buffered = HIGH_WATER + 1;
    }
    sending.isArriving = true;
    endless.isArriving = true;
    type();
    const check = (): (number | undefined)[] => {
      for (const reader of [sending, idle, endless]) fanout.checkPatience(reader);
      return [sending, idle, endless].map(({ closedWith }) => closedWith);
    };
    clock.advance(60_000);
    expect(check()).toEqual([undefined, 1013, undefined]);
    clock.advance(400_000);
    // All of it has arrived, and still it does not say that it reads.
    sending.isArriving = false;
    expect(check()).toEqual([1013, 1013, undefined]);
    clock.advance(200_000);
    expect(check()).toEqual([1013, 1013, 1013]);
  });
});
