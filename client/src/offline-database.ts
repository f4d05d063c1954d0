/**
 * The database of the offline copies: one for an origin, with what is known of each copy, the
 * records that it is made of, and what was removed.
 *
 * Owns the layout, and how requests and transactions are waited for. A record says itself which
 * copy it belongs to, so that a damaged entry in `copies` costs nothing else.
 */
import type { Change, Source } from './change.js';

const DATABASE = 'cowrite';
const VERSION = 2;
export const COPIES = 'copies';
export const UPDATES = 'updates';
/** When copies were removed, by what was removed. */
export const REMOVALS = 'removals';
/** Records that could not be read, as they were found. */
export const DAMAGED = 'damaged';
/** What was unsaved in documents that were deleted or replaced, until the application discards it. */
export const RECOVERABLE = 'recoverable';
/** The indexes of updates: by the copy that they belong to, and by its life. */
export const BY_COPY = 'key';
export const BY_LIFE = 'life';

/** Whose copy of what. */
export interface CopyOf {
  readonly url: string;
  readonly room: string;
  /** Another text for another user. */
  readonly user: string;
}

export interface Copy extends CopyOf {
  readonly key: string;
  /** Another one for each time that it is begun; its updates are known by it. */
  readonly life: string;
  readonly bytes: number;
  /** The number of an update: what that one and those before it hold is on a server's disk. */
  readonly savedUpTo: number;
  /** Milliseconds since 1970, by this browser's clock. */
  readonly usedAt: number;
  /** Whether there was a document to show. */
  readonly isReady: boolean;
  /** Which document of the room's name it is; null if no server has said. */
  readonly generation: number | null;
  /** Of all the rest: a damaged entry may be one of something else. */
  readonly sum: number;
}

/** Numbered by the database, from 1. */
export interface Stored {
  /** Of the copy. */
  readonly key: string;
  readonly life: string;
  readonly update: Uint8Array;
  /** Of these three: bytes that a disk or a browser has damaged may be an update of something else. */
  readonly sum: number;
  /** Of what follows. */
  readonly sumOfRest: number;
  /** Whether it may hold something that was on no server's disk when it was written. */
  readonly isUnsaved: boolean;
  /** Of the document, as far as was known. */
  readonly generation: number | null;
  /**
   * Where it comes from, or all that was made in this browser and unsaved when it was written;
   * `filled` is made up, in the place of what is damaged.
   */
  readonly from: Source | 'filled' | Change;
}

/** A record that cannot be read, as it is kept. */
export interface Damaged {
  /** Of the copy that found it. */
  readonly key: string;
  readonly store: typeof COPIES | typeof UPDATES;
  readonly reason: string;
  /** When it was found, in milliseconds since 1970. */
  readonly at: number;
  readonly value: unknown;
}

/** What was unsaved in a document, with the document. */
export interface Recoverable {
  /** Of the copy. */
  readonly key: string;
  readonly generation: number | null;
  /** When it was preserved, in milliseconds since 1970. */
  readonly at: number;
  readonly update: Uint8Array;
  /** Without what was unsaved. */
  readonly before: Uint8Array;
}

/** That all copies, those of a user, or one, were removed. */
export interface Removal {
  /** Empty for all; the user; or the copy's key. */
  readonly what: string;
  readonly at: number;
}

export function keyOf({ url, room, user }: CopyOf): string {
  return JSON.stringify([url, room, user]);
}

export function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    if (typeof indexedDB === 'undefined') throw new Error('there is no IndexedDB here');
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => layOut(request.result);
    request.onsuccess = () => {
      // A newer version of this package, in another tab, needs the database for itself.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}

function layOut(database: IDBDatabase): void {
  for (const store of database.objectStoreNames) database.deleteObjectStore(store);
  database.createObjectStore(COPIES, { keyPath: 'key' });
  database.createObjectStore(REMOVALS, { keyPath: 'what' });
  database.createObjectStore(DAMAGED, { autoIncrement: true });
  database.createObjectStore(RECOVERABLE, { autoIncrement: true });
  const updates = database.createObjectStore(UPDATES, { autoIncrement: true });
  updates.createIndex(BY_COPY, 'key');
  updates.createIndex(BY_LIFE, 'life');
}

export function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The same for one that may fail without an end of its transaction. */
export function attempt<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      event.preventDefault();
      reject(request.error);
    };
  });
}

/** All of a store, null in the place of what the browser does not give. */
export async function allIn<T>(store: IDBObjectStore): Promise<(T | null)[]> {
  const all = await attempt<T[]>(store.getAll()).catch(() => null);
  if (all !== null) return all;
  const ids = await attempt(store.getAllKeys());
  return await Promise.all(ids.map((id) => attempt<T>(store.get(id)).catch(() => null)));
}

export function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () =>
      reject(transaction.error ?? new Error('the transaction was aborted'));
  });
}
