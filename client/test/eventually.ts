import { vi } from 'vitest';

/** Looks again and again until nothing is thrown. How long that may take says nothing of how long it takes. */
export function eventually<T>(look: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(look, { timeout: 120_000, interval: 10 });
}
