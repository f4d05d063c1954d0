/**
 * Leaving in good order: when an instance that ends lets go of whom.
 *
 * Pure decisions on one side, {@link depart} that carries them out on the other.
 * Invariants: nobody goes before the load balancer had time to notice; departures
 * are even over the window, so that no second brings the others more than its
 * share; who is still here a while after its moment is closed, so that time is
 * left to save.
 */
import type { Clock } from './clock.js';

/** When whom is let go, in milliseconds from the start. */
export interface Timetable {
  /** Before this everybody stays: who went now could be led back here. */
  readonly lead: number;
  /** The moments follow each other over this time. */
  readonly window: number;
  /** Who should have gone by itself is closed so long after its moment. */
  readonly patience: number;
}

/** Of all the time that there is; what is left of it is for carets to be handed over, and for saving. */
const PARTS = { lead: 0.1, window: 0.6, patience: 0.1 };
/** What others do not notice: a few clients need no long window. */
const EACH_MS = 250;
/** How exact a moment is. */
const TICK_MS = 50;

export function timetable(total: number, sessions: number): Timetable {
  return {
    lead: total * PARTS.lead,
    window: Math.min(total * PARTS.window, sessions * EACH_MS),
    patience: total * PARTS.patience,
  };
}

/**
 * One moment for each, ascending: each falls at random into a slot of its own, so
 * that any stretch of time has as many as its length says, give or take one.
 *
 * @param random from 0 to below 1
 */
export function moments(
  sessions: number,
  { lead, window }: Timetable,
  random: () => number,
): number[] {
  return Array.from(
    { length: sessions },
    (_, slot) => lead + ((slot + random()) * window) / sessions,
  );
}

/** A session, as far as leaving goes. */
export interface Departing {
  /** Its socket is closed. */
  readonly isGone: boolean;
  /** @returns whether the client will go by itself in so many milliseconds, as it was told */
  askToLeave(delay: number): boolean;
  /** Its socket is closed now; the client comes back, which leads elsewhere. */
  sendAway(): void;
}

export interface DepartOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Milliseconds that all of it may take. */
  readonly total: number;
  /** Whether there is still an instance that takes in who leaves this one. */
  readonly isOtherOpen: () => boolean;
}

/**
 * Tells or shows out everybody, each at its moment; all who are left at once when there
 * is nowhere else to go any more. Resolves once all are gone or have been closed.
 */
export async function depart(
  sessions: readonly Departing[],
  { clock, random, total, isOtherOpen }: DepartOptions,
): Promise<void> {
  const times = timetable(total, sessions.length);
  const start = clock.now();
  let here = moments(sessions.length, times, random).map((moment, i) => {
    const session = sessions[i]!;
    const goesByItself = session.askToLeave(Math.round(moment));
    return { session, closeAt: start + moment + (goesByItself ? times.patience : 0) };
  });
  await until(() => {
    const now = isOtherOpen() ? clock.now() : Number.POSITIVE_INFINITY;
    here = here.filter(({ session, closeAt }) => {
      if (session.isGone) return false;
      if (now < closeAt) return true;
      session.sendAway();
      return false;
    });
    return here.length === 0;
  }, clock);
}

/** Looks again and again. */
export async function until(holds: () => boolean, clock: Clock): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const timer = clock.every(TICK_MS, () => {
      if (!holds()) return;
      timer.cancel();
      resolve();
    });
  });
}
