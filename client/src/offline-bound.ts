/**
 * How much all copies of an origin have together, and which of them go.
 *
 * Invariant: none goes that may hold something unsaved.
 */
import { allIn, BY_LIFE, COPIES, type Copy, result, UPDATES } from './offline-database.js';
import { hasUnsaved, isAsWritten, isCopy, readCopy } from './offline-records.js';
import { removeCopy } from './offline-removals.js';
import type { Transactions } from './offline-transactions.js';

/**
 * Removes copies that hold nothing unsaved, the longest unused first, until all are within the
 * bound; and what is left of copies that were removed while a page had them open.
 *
 * @param own the copy that is open: used last, also where the page's clock was set back since
 * @throws when it had to go as well
 */
export async function makeRoom(
  transactions: Transactions,
  database: IDBDatabase,
  own: string,
  most: number,
): Promise<void> {
  const isOwnGone = await transactions.write(database, [COPIES, UPDATES], (transaction) =>
    removeUnused(transaction, own, most),
  );
  if (isOwnGone) throw new Error(`offline copies may have ${most} bytes together`);
}

/** @returns whether the own copy is among them */
async function removeUnused(
  transaction: IDBTransaction,
  own: string,
  most: number,
): Promise<boolean> {
  const updates = transaction.objectStore(UPDATES);
  const all = await allIn<Copy>(transaction.objectStore(COPIES));
  // Of one whose entry is damaged nothing is known before it is opened.
  const copies = all.filter((copy): copy is Copy => isCopy(copy) === undefined);
  let total = copies.reduce((sum, { bytes }) => sum + bytes, 0);
  let isOwnGone = false;
  const lastUse = ({ key, usedAt }: Copy) => (key === own ? Number.POSITIVE_INFINITY : usedAt);
  for (const copy of copies.sort((a, b) => lastUse(a) - lastUse(b))) {
    if (total <= most) break;
    const { rows, bad } = await readCopy(transaction, copy.key);
    if (bad.length > 0 || hasUnsaved(rows, copy.savedUpTo)) continue;
    await removeCopy(transaction, copy.key);
    total -= copy.bytes;
    isOwnGone ||= copy.key === own;
  }
  // Of a copy whose entry is damaged nobody knows which records are its own.
  if (all.length === copies.length) await removeLeftOvers(updates, copies);
  return isOwnGone;
}

/** What is damaged may be of any copy: it is for that one to find. */
async function removeLeftOvers(updates: IDBObjectStore, copies: readonly Copy[]): Promise<void> {
  const index = updates.index(BY_LIFE);
  const lives = new Set(copies.map(({ life }) => life));
  for (const life of await keysIn(index)) {
    if (lives.has(life)) continue;
    for (const number of await result(index.getAllKeys(life))) {
      if (isAsWritten(await result(updates.get(number)))) updates.delete(number);
    }
  }
}

/** What an index has its records by. */
function keysIn(index: IDBIndex): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const keys: string[] = [];
    const request = index.openKeyCursor(null, 'nextunique');
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) return resolve(keys);
      keys.push(cursor.key as string);
      cursor.continue();
    };
    request.onerror = () => reject(request.error);
  });
}
