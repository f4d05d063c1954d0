import type { Clock, Timer } from './clock.js';

/** @returns what the promise resolves with; undefined when that takes longer than so many milliseconds */
export async function within<T>(
  ms: number,
  clock: Clock,
  promise: Promise<T>,
): Promise<T | undefined> {
  let timer: Timer | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.after(ms, () => resolve(undefined));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer?.cancel();
  }
}
