/** Who leaves when: the plan, and how it is carried out, on a clock of the test's own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settled } from '../test/support.js';
import { ManualClock } from './clock.js';
import { type Departing, depart, moments, timetable } from './drain.js';

const TOTAL = 30_000;

/** A session that does what a client of its kind does, and writes down when. */
class Guest implements Departing {
  isGone = false;
  toldAt: number | undefined;
  leaveIn: number | undefined;
  sentAwayAt: number | undefined;
  readonly #clock: ManualClock;
  readonly #kind: 'goes' | 'cannot be told' | 'does not go';

  constructor(clock: ManualClock, kind: 'goes' | 'cannot be told' | 'does not go' = 'goes') {
    this.#clock = clock;
    this.#kind = kind;
  }

  askToLeave(delay: number): boolean {
    if (this.#kind === 'cannot be told') return false;
    this.toldAt = this.#clock.now();
    this.leaveIn = delay;
    if (this.#kind === 'goes') this.#clock.after(delay, () => this.leave());
    return true;
  }

  sendAway(): void {
    this.sentAwayAt = this.#clock.now();
    this.leave();
  }

  leave(): void {
    this.isGone = true;
  }
}

function departed(sessions: readonly Guest[], clock: ManualClock) {
  const state = { isOver: false, isOtherOpen: true };
  const isOtherOpen = () => state.isOtherOpen;
  const over = depart(sessions, { clock, random: () => 0.5, total: TOTAL, isOtherOpen }).then(
    () => {
      state.isOver = true;
    },
  );
  return { state, over };
}

describe('[DRN] who leaves when', () => {
  it('[DRN-3] any second has no more departures than its share of the window, give or take one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (sessions, stream) => {
          const times = timetable(TOTAL, sessions);
          const all = moments(sessions, times, () => stream.next().value);
          expect(all).toHaveLength(sessions);
          expect(Math.min(...all)).toBeGreaterThanOrEqual(times.lead);
          expect(Math.max(...all)).toBeLessThanOrEqual(times.lead + times.window);
          const share = (sessions * 1_000) / times.window;
          for (const from of all) {
            const within = all.filter((at) => at >= from && at < from + 1_000).length;
            expect(within).toBeLessThanOrEqual(share + 2);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('[DRN-3] the longer there are people, the longer it takes, up to six tenths of the time', () => {
    expect(timetable(TOTAL, 5)).toEqual({ lead: 3_000, window: 1_250, patience: 3_000 });
    expect(timetable(TOTAL, 90)).toMatchObject({ window: 18_000 });
    expect(timetable(TOTAL, 100_000)).toMatchObject({ window: 18_000 });
  });

  it('[DRN-2] who can be told is told once, at the beginning; it is over when the last has gone', async () => {
    const clock = new ManualClock();
    const guests = Array.from({ length: 10 }, () => new Guest(clock));
    const { state, over } = departed(guests, clock);
    expect(guests.map(({ toldAt }) => toldAt)).toEqual(guests.map(() => 0));
    expect(guests.map(({ leaveIn }) => leaveIn)).toEqual(
      [125, 375, 625, 875, 1_125, 1_375, 1_625, 1_875, 2_125, 2_375].map((at) => 3_000 + at),
    );
    clock.advance(5_350);
    await settled();
    expect(state.isOver).toBe(false);
    clock.advance(100);
    await over;
    expect(guests.map(({ sentAwayAt }) => sentAwayAt)).toEqual(guests.map(() => undefined));
    expect(clock.pending).toBe(0);
  });

  it('[DRN-4] who cannot be told is closed at its own moment', async () => {
    const clock = new ManualClock();
    const guests = Array.from({ length: 4 }, (_, i) => {
      return new Guest(clock, i % 2 === 0 ? 'goes' : 'cannot be told');
    });
    const { over } = departed(guests, clock);
    clock.advance(3_899);
    expect(guests.map(({ isGone }) => isGone)).toEqual([true, true, true, false]);
    clock.advance(1);
    await over;
    expect(guests.map(({ sentAwayAt }) => sentAwayAt)).toEqual([
      undefined,
      3_400,
      undefined,
      3_900,
    ]);
  });

  it('[DRN-4] who was told and does not go is closed a while after its moment', async () => {
    const clock = new ManualClock();
    const guest = new Guest(clock, 'does not go');
    const { over } = departed([guest], clock);
    clock.advance(guest.leaveIn! + 2_950);
    expect(guest.sentAwayAt).toBeUndefined();
    clock.advance(100);
    await over;
    expect(guest.sentAwayAt).toBeGreaterThanOrEqual(guest.leaveIn! + 3_000);
  });

  it('[DRN-7] when the last other instance ends as well, whoever is still here is closed', async () => {
    const clock = new ManualClock();
    const guests = [new Guest(clock), new Guest(clock), new Guest(clock, 'cannot be told')];
    const { state, over } = departed(guests, clock);
    clock.advance(3_200);
    state.isOtherOpen = false;
    clock.advance(50);
    await over;
    expect(guests.map(({ sentAwayAt }) => sentAwayAt)).toEqual([undefined, 3_250, 3_250]);
  });

  it('[DRN-5] with nobody here there is nothing to wait for', async () => {
    const clock = new ManualClock();
    await departed([], clock).over;
    expect([clock.now(), clock.pending]).toEqual([0, 0]);
  });

  it('[DRN-4] all moments, and the patience behind the last, leave a fifth of the time to save', () => {
    for (const sessions of [1, 1_000]) {
      const { lead, window, patience } = timetable(TOTAL, sessions);
      expect(lead + window + patience).toBeLessThanOrEqual(TOTAL * 0.8);
    }
  });
});
