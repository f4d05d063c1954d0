/**
 * Which changes lie deeper than a document may go.
 *
 * A server refuses a message as a whole. One may carry many changes, such as all that was
 * written without a network; only those that are at fault are to be reverted.
 */
import * as Y from 'yjs';
import type { Change } from './change.js';

/**
 * Whether a change inserted a type, or a value, that lies too deep, deleted or not.
 *
 * @param deepest level that is allowed; it is handed over, because bundlers make files of their own
 *   of what is imported both here and by what every page loads
 */
export function isTooDeep(doc: Y.Doc, { insertions }: Change, deepest: number): boolean {
  let isDeep = false;
  doc.transact((transaction) => {
    Y.iterateDeletedStructs(transaction, insertions, (item) => {
      if (item instanceof Y.Item) isDeep ||= isDeepItem(item, deepest);
    });
  });
  return isDeep;
}

function isDeepItem(item: Y.Item, deepest: number): boolean {
  const { content } = item;
  if (!(content instanceof Y.ContentType)) {
    return content.getContent().some((value) => isDeepValue(value, deepest));
  }
  let level = 0;
  for (
    let at: Y.Item | null = item;
    at !== null && level <= deepest;
    at = (at.parent as Y.AbstractType<unknown>)._item
  ) {
    level++;
  }
  return level > deepest;
}

function isDeepValue(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return levels === 0 || Object.values(value).some((each) => isDeepValue(each, levels - 1));
}
