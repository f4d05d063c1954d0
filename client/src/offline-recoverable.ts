/**
 * What was unsaved in documents that were deleted, or replaced by others of their name, kept in
 * this browser until the application discards it.
 *
 * Invariant: it takes the place of the copy in one transaction, and never that of a copy of
 * another document.
 */
import * as Y from 'yjs';
import type { Change } from './change.js';
import { instant } from './clock.js';
import {
  allIn,
  COPIES,
  type CopyOf,
  done,
  keyOf,
  openDatabase,
  RECOVERABLE,
  REMOVALS,
  type Recoverable,
  result,
  UPDATES,
} from './offline-database.js';
import { type Found, hasUnsaved, ownIn, readCopy } from './offline-records.js';
import { removeCopy, tellRemoval } from './offline-removals.js';
import type { Transactions } from './offline-transactions.js';
import type { RecoverableCopy } from './options.js';
import { shielded } from './uncaught.js';

type Content = Pick<Recoverable, 'update' | 'before'>;

/** Everything that is in a document, with and without what is unsaved. */
export function contentOf(doc: Y.Doc, unsaved: Change): Content {
  const update = Y.encodeStateAsUpdate(doc);
  const before = new Y.Doc({ gc: false });
  Y.applyUpdate(before, update);
  const { insertions, deletions } = unsaved;
  const undoing = new Y.UndoManager(before);
  undoing.undoStack = [{ insertions, deletions, meta: new Map() }];
  undoing.undo();
  return { update, before: Y.encodeStateAsUpdate(before) };
}

/**
 * Removes a copy, under all pages that have it open.
 *
 * @param generation of the document; a copy of another one stays
 * @param content what is kept of it; null for nothing
 * @param isRead whether all that is in the copy is in that
 */
export async function preserve(
  transactions: Transactions,
  key: string,
  generation: number | null,
  now: number,
  content: Content | null,
  isRead: boolean,
): Promise<void> {
  const database = await openDatabase();
  try {
    const stores = [COPIES, UPDATES, REMOVALS, RECOVERABLE];
    const removal = await transactions.write(database, stores, async (transaction) => {
      const found = await readCopy(transaction, key);
      const isOther = ![found.generation, null].includes(generation) && found.generation !== null;
      const removal = { what: key, at: instant() };
      if (!isOther) {
        transaction.objectStore(REMOVALS).put(removal);
        await removeCopy(transaction, key);
      }
      for (const each of [isRead || isOther ? null : unsavedIn(found), content]) {
        if (each === null) continue;
        const kept: Recoverable = { key, generation, at: now, ...each };
        transaction.objectStore(RECOVERABLE).add(kept);
      }
      return isOther ? null : removal;
    });
    if (removal !== null) tellRemoval(removal);
  } finally {
    database.close();
  }
}

/** The same of a copy; null where nothing in it is unsaved. */
export function unsavedIn({ rows, savedUpTo }: Found): Content | null {
  if (!hasUnsaved(rows, savedUpTo)) return null;
  const doc = new Y.Doc({ gc: false });
  for (const { update } of rows) {
    // What is kept is kept as far as it can be read.
    shielded(() => Y.applyUpdate(doc, update));
  }
  return contentOf(doc, ownIn(rows, savedUpTo));
}

/** A document of which something is unsaved, and not kept. */
export interface Unkept {
  readonly doc: Y.Doc;
  readonly generation: number | null;
  readonly unsaved: Change;
}

/**
 * What can be recovered of documents under this name, the oldest first.
 *
 * @param of where it is kept; null where nothing is
 * @param here what goes with the page, unless the same is kept
 */
export async function recoverable(
  of: CopyOf | null,
  here: Unkept | null,
  now: Date,
): Promise<RecoverableCopy[]> {
  const kept = of === null ? [] : await list(of);
  if (here === null || kept.some(({ generation }) => generation === here.generation)) return kept;
  const content = contentOf(here.doc, here.unsaved);
  const discard = () => Promise.resolve();
  return [...kept, { generation: here.generation, at: now, ...content, discard }];
}

async function list(of: CopyOf): Promise<RecoverableCopy[]> {
  const key = keyOf(of);
  const database = await openDatabase();
  try {
    const store = database.transaction(RECOVERABLE).objectStore(RECOVERABLE);
    const [all, ids] = await Promise.all([allIn<Recoverable>(store), result(store.getAllKeys())]);
    return all.flatMap((row, i) => {
      // One that the browser does not give hides no other.
      if (row?.key !== key) return [];
      const { key: _, at, ...kept } = row;
      return [{ ...kept, at: new Date(at), discard: () => discard(ids[i] as number) }];
    });
  } finally {
    database.close();
  }
}

async function discard(id: number): Promise<void> {
  const database = await openDatabase();
  try {
    const transaction = database.transaction(RECOVERABLE, 'readwrite');
    transaction.objectStore(RECOVERABLE).delete(id);
    // A frozen page would not end it.
    transaction.commit?.();
    await done(transaction);
  } finally {
    database.close();
  }
}
