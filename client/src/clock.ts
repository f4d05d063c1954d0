/**
 * Time, as the provider sees it; passed in, so that a test moves it by hand.
 *
 * `now` and `date` are two because a wall clock is set back now and then, and a
 * deadline must not move with it.
 */

/** What {@link Clock.setTimeout} returns. */
export type TimerHandle = unknown;

/** Time and timers. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** The date and time to show to people. */
  date(): Date;
  /** Calls `callback` once, `delay` milliseconds from now. */
  setTimeout(callback: () => void, delay: number): TimerHandle;
  /** A timer that has rung, or was cleared before, does no harm. */
  clearTimeout(handle: TimerHandle): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/** Milliseconds since 1970 and parts of them, the same for all pages, which have no other clock in common. */
export function instant(): number {
  return performance.timeOrigin + performance.now();
}
