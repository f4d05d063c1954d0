/** Damages what is in the database of the offline copies, record by record. */
import { written } from './copies.js';

export type Row = Record<string, unknown> & {
  readonly key: string;
  readonly life: string;
  readonly update: Uint8Array;
};

/** Makes another record of one; undefined for none. */
export type Damage = (row: Row) => unknown;

export async function database(): Promise<IDBDatabase> {
  await written();
  return await new Promise((resolve, reject) => {
    const request = indexedDB.open('cowrite');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export const answer = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Changes a record; of the updates one by its place, of the copies the only one. */
export async function damage(change: Damage, at: number, store = 'updates'): Promise<void> {
  const opened = await database();
  const records = opened.transaction(store, 'readwrite').objectStore(store);
  const keys = await answer(records.getAllKeys());
  const rows = await answer(records.getAll());
  const changed = change(rows[at] as Row);
  if (changed === undefined) await answer(records.delete(keys[at] as IDBValidKey));
  else if (records.keyPath === null) await answer(records.put(changed, keys[at]));
  else await answer(records.put(changed));
  opened.close();
}

export async function all(store: string): Promise<unknown[]> {
  const opened = await database();
  const values = await answer(opened.transaction(store).objectStore(store).getAll());
  opened.close();
  return values;
}
