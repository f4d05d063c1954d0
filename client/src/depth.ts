/**
 * Which changes lie deeper than a document may go.
 *
 * A server refuses a message as a whole. One may carry many changes, such as all that was
 * written without a network; only those that are at fault are to be reverted.
 */
import * as Y from 'yjs';
import type { Change } from './change.js';
import { MAX_NESTING } from './protocol/index.js';

/** Whether a change inserted a type, or a value, that lies too deep, deleted or not. */
export function isTooDeep(doc: Y.Doc, { insertions }: Change): boolean {
  let isDeep = false;
  doc.transact((transaction) => {
    Y.iterateDeletedStructs(transaction, insertions, (item) => {
      if (item instanceof Y.Item) isDeep ||= isDeepItem(item);
    });
  });
  return isDeep;
}

function isDeepItem(item: Y.Item): boolean {
  const { content } = item;
  if (!(content instanceof Y.ContentType)) {
    return content.getContent().some((value) => isDeepValue(value, MAX_NESTING));
  }
  let level = 0;
  for (
    let at: Y.Item | null = item;
    at !== null && level <= MAX_NESTING;
    at = (at.parent as Y.AbstractType<unknown>)._item
  ) {
    level++;
  }
  return level > MAX_NESTING;
}

function isDeepValue(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return levels === 0 || Object.values(value).some((each) => isDeepValue(each, levels - 1));
}
