/**
 * What the provider needs to know of a Yjs document beyond Yjs's own functions.
 */
import * as Y from 'yjs';
import { reportUncaught } from './uncaught.js';

/**
 * Two copies of Yjs cannot work on one document: each knows the other's classes by nothing, and what
 * throws for that names neither.
 *
 * @returns the document
 * @throws {TypeError} when it is of another copy of Yjs than this package uses, or not of Yjs 13.
 */
export function checkDoc(doc: Y.Doc): Y.Doc {
  // Yjs 14 also where it takes the place of 13 in this package.
  const is14 = 'cleanupFormatting' in doc;
  if (doc instanceof Y.Doc && !is14) return doc;
  throw new TypeError(
    `doc is of ${is14 ? 'Yjs 14' : 'another copy of Yjs'}: have Yjs 13 once (npm ls yjs), by import or by require`,
  );
}

/** Whether anything was ever put in. Pending structs count: they came from somewhere, maybe only to here. */
export function hasContent(doc: Y.Doc): boolean {
  const { clients, pendingStructs, pendingDs } = doc.store;
  return clients.size > 0 || pendingStructs !== null || pendingDs !== null;
}

/** By the origin of a change: who is told that an observer threw while it was applied. */
const watchers = new WeakMap<object, (error: unknown) => void>();

/**
 * @param origin of changes that are applied by {@link applyReceived}
 * @param thrown is told of an observer that threw: what it keeps, such as what an editor shows,
 *   may not be what the document holds any more
 */
export function watchObservers(origin: object, thrown: (error: unknown) => void): void {
  watchers.set(origin, thrown);
}

/**
 * Applies an update of the server. Applying calls the application's observers,
 * and one of them that throws is no reason to drop the connection; so after an
 * exception the bytes are tried once more where nobody listens.
 *
 * @param mayForget whether something that is deleted by it will never have to be brought back
 * @throws when the update is malformed.
 */
export function applyReceived(
  doc: Y.Doc,
  update: Uint8Array,
  origin: unknown,
  mayForget: (item: Y.Item) => boolean = () => true,
): void {
  const { gcFilter } = doc;
  doc.gcFilter = (item) => gcFilter(item) && mayForget(item);
  try {
    Y.applyUpdate(doc, update, origin);
  } catch (error) {
    revive(doc);
    Y.applyUpdate(new Y.Doc(), update);
    reportUncaught(error);
    if (typeof origin === 'object' && origin !== null) watchers.get(origin)?.(error);
  } finally {
    doc.gcFilter = gcFilter;
  }
}

/**
 * There are crafted items on which Yjs throws while it collects garbage, after
 * all is applied. It then takes the transaction for one that is still being
 * cleaned up, and never again reports a change: what is typed would look saved
 * and go nowhere. (`_transactionCleanups` is Yjs's own; its `cleanupTransactions`
 * empties it in the same way.)
 */
function revive(doc: Y.Doc): void {
  if (doc._transaction === null) doc._transactionCleanups = [];
}
