/**
 * Records that a page has handed to the database, and that are not in it when the page ends.
 *
 * Browsers abort the transactions of a page that ends, also those that are committed and only wait
 * for others: seen in Chromium, where a busy machine lost the last five keystrokes before a reload.
 * `localStorage` is written before a call returns. So what still waits goes there, and moves into
 * the database when the copy is opened next. Invariant: it holds nothing while no page is ending.
 */
import type { Stored } from './offline-database.js';

const PREFIX = 'cowrite offline ';

/** What one page left behind of one copy. */
interface Rescue {
  /** Of the copy. */
  readonly key: string;
  /** When the document was opened, by `instant`: a removal after that counts for this, too. */
  readonly since: number;
  readonly rows: readonly Stored[];
}

/**
 * Watches for the end of the page.
 *
 * @param waiting what is not in the database yet
 * @returns a function that stops it
 */
export function rescueAtEnd(
  { key, since }: Omit<Rescue, 'rows'>,
  waiting: () => readonly Stored[],
): () => void {
  const scope = globalThis as Partial<
    Pick<EventTarget, 'addEventListener' | 'removeEventListener'>
  >;
  const rescue = () => {
    const rows = waiting();
    if (rows.length === 0) return;
    try {
      const text = JSON.stringify({ key, since, rows } satisfies Rescue, written);
      storage()?.setItem(PREFIX + crypto.randomUUID(), text);
    } catch {
      // It is full, and the page is at its end: there is nobody left to be told.
    }
  };
  scope.addEventListener?.('pagehide', rescue);
  return () => scope.removeEventListener?.('pagehide', rescue);
}

/** What pages left behind of a copy, and a function that forgets it, once it is in the database. */
export function rescued(key: string): { found: readonly Rescue[]; forget: () => void } {
  const found = new Map<string, Rescue>();
  for (const name of names()) {
    const rescue = read(name);
    if (rescue?.key === key) found.set(name, rescue);
  }
  return { found: [...found.values()], forget: () => remove(found.keys()) };
}

/** Forgets what was left behind of copies that are removed. */
export function forgetRescued(isMeant: (key: string) => boolean): void {
  remove(
    names().filter((name) => {
      const key = read(name)?.key;
      return key === undefined || isMeant(key);
    }),
  );
}

function names(): string[] {
  return Object.keys(storage() ?? {}).filter((name) => name.startsWith(PREFIX));
}

function remove(removed: Iterable<string>): void {
  for (const name of removed) storage()?.removeItem(name);
}

/** @returns undefined for what is damaged: like a record that the database has lost, it is nowhere else */
function read(name: string): Rescue | undefined {
  try {
    const rescue = JSON.parse(storage()?.getItem(name) ?? '', asWritten) as Rescue;
    return typeof rescue?.key === 'string' && Array.isArray(rescue.rows) ? rescue : undefined;
  } catch {
    return undefined;
  }
}

/** None in workers and in Node, and where somebody forbids it even looking is an error. */
function storage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

function written(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return { bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join('')) };
  }
  return value instanceof Map ? { entries: [...value] } : value;
}

function asWritten(_: string, value: unknown): unknown {
  const { bytes, entries } = (value ?? {}) as { bytes?: unknown; entries?: unknown };
  if (typeof bytes === 'string') return Uint8Array.from(atob(bytes), (text) => text.charCodeAt(0));
  return Array.isArray(entries) ? new Map(entries as [unknown, unknown][]) : value;
}
