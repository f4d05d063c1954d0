/** Waiting for something to become true: never for time to pass, and not for ever. */
import { expect } from 'vitest';

/** Milliseconds until a click, a locator or a text is given up: not how long one may take. */
export const PATIENCE = 120_000;

/** Looks again and again until `read` returns something that passes the matcher. */
export const eventually = <T>(read: () => T | Promise<T>) =>
  expect.poll(read, { timeout: PATIENCE, interval: 250 });
