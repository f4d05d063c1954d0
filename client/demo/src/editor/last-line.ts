/**
 * A table or an image at the end of the document leaves no place to go on writing. So a line
 * below it comes with it, in the same step.
 *
 * Only the editor in which it happens adds the line: others would each add one of their own.
 */
import { Extension } from '@tiptap/core';
import { Plugin } from '@tiptap/pm/state';
import { ySyncPluginKey } from '@tiptap/y-tiptap';

const CLOSED = new Set(['table', 'image']);

export const LastLine = Extension.create({
  name: 'lastLine',
  addProseMirrorPlugins: () => [
    new Plugin({
      appendTransaction(transactions, _before, { doc, schema, tr }) {
        const isOwn = transactions.some(
          (transaction) => transaction.docChanged && !transaction.getMeta(ySyncPluginKey),
        );
        if (!isOwn || !CLOSED.has(doc.lastChild?.type.name ?? '')) return null;
        const line = schema.nodes.paragraph?.create();
        return line ? tr.insert(doc.content.size, line) : null;
      },
    }),
  ],
});
