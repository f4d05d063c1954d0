/**
 * What this browser remembers. Storage may be blocked or full, and another version may have written
 * it: reading then gives undefined and writing does nothing, because no feature depends on it.
 */
export type StorageKey = 'cowrite:theme' | 'cowrite:person' | 'cowrite:recent';

export function read(key: StorageKey): unknown {
  try {
    const text = localStorage.getItem(key);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @returns whether it was kept. */
export function write(key: StorageKey, value: unknown): boolean {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
