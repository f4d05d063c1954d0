/**
 * How a document in which something was refused stays as the others see it.
 *
 * What was taken back has left traces that no other document has: it is there, though deleted,
 * and what it had deleted has come back as a copy. What others do next to these, or to the
 * originals, does not show by itself: whoever deletes a text deletes the original, and a value of
 * a key may come to stand behind a refused one. So when they do, all copies are made anew, each
 * where its original is.
 *
 * Most pages never need it, and load it when they do.
 */
import * as Y from 'yjs';
import { addRange, type Change, outside, type Ranges } from './change.js';

export type Decoded = ReturnType<typeof Y.decodeUpdate>;

export interface Following {
  /** With what is deleted here now, and not at the server. */
  readonly traces: Change;
  /** What of that is to be seen. */
  readonly visible: Ranges;
}

/**
 * Prepares for copies that are made anew.
 *
 * @param traces what was refused, with the copies; and what it had deleted
 * @param heard of others: what was inserted and had to give way to it; and what was deleted
 * @param structs what others have inserted; null if that is not known
 * @returns null where the copies may stay
 */
export function follow(
  doc: Y.Doc,
  traces: Change,
  heard: Change,
  structs: Decoded['structs'] | null,
): Following | null {
  const { insertions } = traces;
  const all = Y.mergeDeleteSets([traces.deletions, heard.insertions]);
  const deletions = outside(all, heard.deletions);
  // Between a copy and its original nothing is seen but what has come there just now.
  const isBetween = ({ id }: Decoded['structs'][number]) => {
    // It may wait for something that is not here.
    if (id.clock >= Y.getState(doc.store, id.client)) return false;
    const item = Y.getItem(doc.store, id);
    let next = item instanceof Y.Item ? item.right : null;
    while (next?.deleted === true && !Y.isDeleted(deletions, next.id)) next = next.right;
    return next?.deleted === true;
  };
  const isSame = Y.equalDeleteSets(traces.deletions, deletions);
  if (structs !== null && isSame && !structs.some(isBetween)) return null;
  const visible = Y.createDeleteSet();
  doc.transact((transaction) => {
    Y.iterateDeletedStructs(transaction, deletions, (item) => {
      if (!(item instanceof Y.Item) || isReplaced(item, insertions)) return;
      // By this Yjs knows that there is a copy.
      item.redone = null;
      addRange(visible, item.id, item.length);
    });
  });
  return { traces: { insertions, deletions }, visible };
}

/** Whether others have set the same key after it, as Yjs orders what they did. */
function isReplaced({ parentSub, right }: Y.Item, traces: Ranges): boolean {
  if (parentSub === null) return false;
  for (let item = right; item !== null; item = item.right) {
    if (!Y.isDeleted(traces, item.id)) return true;
  }
  return false;
}
