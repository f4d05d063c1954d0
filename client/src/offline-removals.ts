/**
 * How copies are removed, also under pages that have them open.
 *
 * Invariant: what was removed after a document was opened is not begun again by it. The database
 * remembers removals, and pages tell each other.
 */
import { instant } from './clock.js';
import {
  allIn,
  BY_COPY,
  BY_LIFE,
  COPIES,
  type Copy,
  DAMAGED,
  openDatabase,
  RECOVERABLE,
  REMOVALS,
  type Removal,
  result,
  UPDATES,
} from './offline-database.js';
import { forgetRescued } from './offline-rescue.js';
import { Transactions } from './offline-transactions.js';

/** Where pages tell each other what they have removed. */
const CHANNEL = 'cowrite removals';

/** Milliseconds for which a removal is remembered: no page is open for longer. */
const MEMORY = 30 * 24 * 3_600_000;

export const REMOVED = 'somebody has removed the offline copy';

/**
 * Removes the offline copies of this origin: when somebody signs out, or to free the space. What
 * was unsaved in them is lost, and what was preserved of documents that were deleted or replaced.
 * Documents that are open go on without a copy.
 *
 * @param user whose, as the provider's option has it; all if left out
 * @throws when the browser keeps nothing for this page
 */
export async function clearOfflineCopies({ user }: { user?: string } = {}): Promise<void> {
  const whose = user === undefined ? '' : `user ${user}`;
  await removeCopies(whose, (copy) => whose === '' || copy.user === whose);
}

/** @returns null where pages cannot tell each other: they find out when they write */
export function hearRemovals(heard: (removal: Removal) => void): BroadcastChannel | null {
  if (typeof BroadcastChannel === 'undefined') return null;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<Removal>) => heard(data);
  // Node would wait for it.
  (channel as { unref?(): void }).unref?.();
  return channel;
}

/** Other pages that have such a copy open go on without. */
export function tellRemoval(removal: Removal): void {
  if (typeof BroadcastChannel === 'undefined') return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(removal);
  channel.close();
}

/**
 * What was preserved of documents stays, unless all of a user goes.
 *
 * @param isMeant of a copy's `key` and `user`, which are all that is known of one that is damaged
 */
export async function removeCopies(
  what: string,
  isMeant: (copy: Pick<Copy, 'key' | 'user'>) => boolean,
  isOne = false,
  transactions = new Transactions(),
): Promise<void> {
  const isMeantKey = (key: string) => isMeant({ key, user: userIn(key) });
  const database = await openDatabase();
  try {
    const stores = [COPIES, UPDATES, REMOVALS, DAMAGED, RECOVERABLE];
    const removal = await transactions.write(database, stores, (transaction) =>
      removeIn(transaction, what, isMeantKey, isOne ? [DAMAGED] : [DAMAGED, RECOVERABLE]),
    );
    forgetRescued(isMeantKey);
    tellRemoval(removal);
  } finally {
    database.close();
  }
}

async function removeIn(
  transaction: IDBTransaction,
  what: string,
  isMeant: (key: string) => boolean,
  others: readonly string[],
): Promise<Removal> {
  const removals = transaction.objectStore(REMOVALS);
  for (const { what: old, at } of await result<Removal[]>(removals.getAll())) {
    if (at < instant() - MEMORY) removals.delete(old);
  }
  const removal: Removal = { what, at: instant() };
  removals.put(removal);
  const copies = (await result(transaction.objectStore(COPIES).getAllKeys())) as string[];
  for (const key of copies) if (isMeant(key)) await removeCopy(transaction, key);
  for (const name of others) {
    const store = transaction.objectStore(name);
    const [values, ids] = await Promise.all([
      allIn<{ key: string }>(store),
      result(store.getAllKeys()),
    ]);
    for (const [at, id] of ids.entries()) {
      const key = values[at]?.key;
      // Of one that the browser does not give nobody can say whose it is.
      if (typeof key === 'string' ? isMeant(key) : what === '') store.delete(id);
    }
  }
  return removal;
}

/** Whose a copy is, by its key. */
function userIn(key: string): string {
  return (JSON.parse(key) as string[])[2] as string;
}

export async function removeCopy(transaction: IDBTransaction, key: string): Promise<void> {
  transaction.objectStore(COPIES).delete(key);
  await removeUpdates(transaction.objectStore(UPDATES).index(BY_COPY), key);
}

/** Removes the updates that an index has at this place. */
export async function removeUpdates(index: IDBIndex, at: string): Promise<void> {
  for (const number of await result(index.getAllKeys(at))) index.objectStore.delete(number);
}

/** What is left of the life of a copy that was removed. */
export async function removeLife(transaction: IDBTransaction, life: string): Promise<void> {
  await removeUpdates(transaction.objectStore(UPDATES).index(BY_LIFE), life);
}
