/** What is in the database of the offline copies, and how it can fail. */
import { IDBDatabase as FakeDatabase, IDBFactory, IDBObjectStore } from 'fake-indexeddb';
import { vi } from 'vitest';
// Loaded already when a page asks for it, which then takes no time.
import '../src/offline.js';

const TURNS = 40;

/** Whatever was handed to the database is in it. */
export async function written(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await nextTurn();
}

/** The database comes one step further. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Row {
  life: string;
  update: Uint8Array;
  isUnsaved: boolean;
}

/** What is in the database. */
export async function contents() {
  await written();
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('cowrite');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const all = <T>(store: string, get: 'getAll' | 'getAllKeys' = 'getAll') =>
    new Promise<T[]>((resolve, reject) => {
      const request = database.transaction(store).objectStore(store)[get]();
      request.onsuccess = () => resolve(request.result as T[]);
      request.onerror = () => reject(request.error);
    });
  const rows = await all<Row>('updates');
  const numbers = await all<number>('updates', 'getAllKeys');
  const found = await all<{ life: string; room: string; savedUpTo: number }>('copies');
  const removals = await all<{ what: string }>('removals');
  database.close();
  return { rows, numbers, found, removals };
}

/** The copies in it, by room. */
export async function copies(): Promise<
  Record<string, { updates: Uint8Array[]; isUnsaved: boolean }>
> {
  const { rows, numbers, found } = await contents();
  return Object.fromEntries(
    found.map(({ life, room, savedUpTo }) => {
      const isLater = (at: number) => (numbers[at] as number) > savedUpTo;
      const own = rows.filter((row) => row.life === life).map(({ update }) => update);
      const isUnsaved = rows.some((row, at) => row.life === life && row.isUnsaved && isLater(at));
      return [room, { updates: own, isUnsaved }];
    }),
  );
}

/** Nobody gets the database from now on, until the function that is returned is called. */
export function holdDatabase(): () => void {
  const { open } = IDBFactory.prototype;
  const waiting: (() => void)[] = [];
  const spy = vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(function (
    this: IDBFactory,
    ...args
  ) {
    const request: Partial<Record<'result' | 'error' | 'onsuccess', unknown>> = { error: null };
    waiting.push(() => {
      const real = open.apply(this, args) as unknown as IDBOpenDBRequest;
      real.onsuccess = () => {
        request.result = real.result;
        (request.onsuccess as () => void)();
      };
    });
    return request as never;
  });
  return () => {
    spy.mockRestore();
    for (const go of waiting) go();
  };
}

/**
 * Another tab has a transaction of all copies open, and does not run.
 *
 * @returns what ends it
 */
export async function holdCopies(): Promise<() => void> {
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open('cowrite');
    request.onsuccess = () => resolve(request.result);
  });
  const transaction = database.transaction([...database.objectStoreNames], 'readwrite');
  transaction.oncomplete = () => database.close();
  const store = transaction.objectStore('copies');
  let isHeld = true;
  const stay = () => {
    if (isHeld) store.count().onsuccess = stay;
  };
  stay();
  return () => {
    isHeld = false;
  };
}

/** From now on the disk is full, until mocks are restored. */
export function fillDisk(): void {
  const fail = function (this: IDBObjectStore): never {
    this.transaction.abort();
    throw new DOMException('the disk is full', 'QuotaExceededError');
  };
  vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(fail);
  vi.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(fail);
}

/** From now on the browser lets nobody write, until mocks are restored. */
export function forbidWriting(): void {
  const { transaction } = FakeDatabase.prototype;
  vi.spyOn(FakeDatabase.prototype, 'transaction').mockImplementation(function (
    this: IDBDatabase,
    ...args
  ) {
    if (args[1] === 'readwrite') throw new DOMException('read only', 'InvalidStateError');
    return transaction.apply(this, args);
  });
}

/** @returns what the browser does when it takes the database from the page that has used it last */
export function watchDatabase(): () => void {
  const { mock } = vi.spyOn(FakeDatabase.prototype, 'transaction');
  return () => {
    const database = mock.contexts.at(-1) as unknown as IDBDatabase;
    database.close();
    database.onclose?.(new Event('close'));
  };
}

/** @returns a list that grows: the stores of each transaction that may write */
export function watchTransactions(): string[][] {
  const { transaction } = FakeDatabase.prototype;
  const asked: string[][] = [];
  vi.spyOn(FakeDatabase.prototype, 'transaction').mockImplementation(function (
    this: IDBDatabase,
    ...args
  ) {
    if (args[1] === 'readwrite') asked.push([args[0] as string | string[]].flat());
    return transaction.apply(this, args);
  });
  return asked;
}

/** A newer version of the package, in another tab, has the database for itself. */
export async function deleteDatabase(): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const request = indexedDB.deleteDatabase('cowrite');
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
  await written();
}
