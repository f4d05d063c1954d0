/**
 * From where on a figure needs attention: the same numbers as the alerts in `deploy/prometheus`, where
 * there is one for it. `near` is before that, while there is time to do something.
 */
export type Level = 'fine' | 'near' | 'bad';

export interface Bounds {
  readonly near: number;
  readonly bad: number;
}

/** Seconds that an edit may wait for the store, before people see it. */
export const LATE_S = 5;

/** Of a limit: parts of it. */
export const SHARE: Bounds = { near: 0.8, bad: 0.95 };
/** Milliseconds, on average since the last look. */
export const APPEND_MS: Bounds = { near: 500, bad: 1_000 };
export const DELIVERY_MS: Bounds = { near: 100, bad: 250 };
export const LOOP_MS: Bounds = { near: 100, bad: 200 };
/** Clients that do not keep up: one is its own network's, many are this server's. */
export const SLOW = { atLeast: 20, part: 0.1 };
/** Times a second. */
export const LIMITS_A_SECOND = 1;
export const REFUSED_A_SECOND = 1;

/** @returns `bad` only beyond the second bound */
export function levelOf(value: number, { near, bad }: Bounds): Level {
  if (value > bad) return 'bad';
  return value > near ? 'near' : 'fine';
}
