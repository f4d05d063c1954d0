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
import { type Change, outside, type Ranges } from './change.js';

export type Decoded = ReturnType<typeof Y.decodeUpdate>;

export interface Following {
  /** What is deleted here, and not at the server. */
  readonly originals: Ranges;
  /** What of it is to be seen. */
  readonly visible: Ranges;
}

/**
 * Prepares for copies that are made anew.
 *
 * @param traces what was refused, and the copies; and what was deleted here and not at the server
 * @param structs what others have inserted; null if that is not known
 * @param known what the server has deleted, or is to delete and has not refused
 * @returns null where the copies may stay
 */
export function follow(
  doc: Y.Doc,
  traces: Change,
  structs: Decoded['structs'] | null,
  known: Ranges,
): Following | null {
  const deleted = Y.createDeleteSetFromStructStore(doc.store);
  const originals = outside(outside(deleted, known), traces.insertions);
  const isOriginal = (id: Y.ID | null) => id !== null && Y.isDeleted(originals, id);
  const isNear = (struct: Decoded['structs'][number]) =>
    struct instanceof Y.Item && (isOriginal(struct.origin) || isOriginal(struct.rightOrigin));
  const isSame = Y.equalDeleteSets(originals, traces.deletions);
  if (structs !== null && isSame && !structs.some(isNear)) return null;
  const visible = Y.createDeleteSet();
  doc.transact((transaction) => {
    Y.iterateDeletedStructs(transaction, originals, (item) => {
      if (!(item instanceof Y.Item) || isReplaced(item, traces.insertions)) return;
      // By this Yjs knows that there is a copy.
      item.redone = null;
      const { client, clock } = item.id;
      const ranges = visible.clients.get(client) ?? [];
      visible.clients.set(client, ranges);
      ranges.push({ clock, len: item.length });
    });
  });
  return { originals, visible };
}

/** Whether others have set the same key after it, as Yjs orders what they did. */
function isReplaced({ parentSub, right }: Y.Item, traces: Ranges): boolean {
  if (parentSub === null) return false;
  for (let item = right; item !== null; item = item.right) {
    if (!Y.isDeleted(traces, item.id)) return true;
  }
  return false;
}
