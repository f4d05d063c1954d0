// Before each file of tests: `vi.waitFor` and `vi.waitUntil` give up after a second by themselves,
// which on a machine with other work is no time at all. Vitest has no setting for that.
import { vi } from 'vitest';

/** Less than a test has, so that what was waited for is named. */
const TIMEOUT = 150_000;
const patient = (options: number | { timeout?: number; interval?: number } = {}) => ({
  interval: 20,
  ...(typeof options === 'object' && options),
  timeout: TIMEOUT,
});

const { waitFor, waitUntil } = vi;
vi.waitFor = (callback, options) => waitFor(callback, patient(options));
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options));
