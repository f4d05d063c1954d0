/**
 * How long to wait before a lost connection is tried again.
 *
 * Pure. Full jitter: the whole interval is random, because clients that lost
 * the same server at the same moment must not come back at the same moment.
 */

/** Milliseconds within which the first retry happens. */
export const BACKOFF_BASE = 300;

/** Milliseconds that no wait reaches. */
export const BACKOFF_CAP = 30_000;

/**
 * @param attempt how many waits came before this one since the last success; 0 or more.
 * @param random a number from 0 up to, not including, 1.
 * @returns milliseconds, from 0 up to, not including, `BACKOFF_BASE * 2 ** attempt` or
 *   `BACKOFF_CAP`, whichever is smaller.
 */
export function delay(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** attempt);
}
