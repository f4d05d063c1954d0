/**
 * The first line of an empty document: the editor shows one that the document does not hold.
 *
 * The first to write puts it into the document, and that is no step of theirs to undo: an undo
 * that removed it would leave the editor to add another one, and redo would bring the first back
 * beside it.
 */
import type { Editor } from '@tiptap/core';
import { ySyncPluginKey } from '@tiptap/y-tiptap';
import { XmlElement, type XmlFragment } from 'yjs';

/** The undo manager follows changes of the editor's origin only. */
const ORIGIN = 'first line';

export function firstLine(editor: Editor, fragment: XmlFragment): void {
  editor.on('beforeTransaction', ({ transaction }) => {
    if (fragment.length > 0 || !transaction.docChanged) return;
    if (transaction.getMeta(ySyncPluginKey)) return;
    // The editor shows that line already, so its binding must not take it for a change of others.
    ySyncPluginKey.getState(editor.state)?.binding.mux(() => {
      fragment.doc?.transact(() => fragment.insert(0, [new XmlElement('paragraph')]), ORIGIN);
    });
  });
}
