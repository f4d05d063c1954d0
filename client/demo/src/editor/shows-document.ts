/** Whether the editor shows what the document holds. */
import type { Editor } from '@tiptap/core';
import type { Node } from '@tiptap/pm/model';
import { yXmlFragmentToProseMirrorRootNode } from '@tiptap/y-tiptap';
import type { XmlFragment } from 'yjs';

export function showsDocument(editor: Editor, fragment: XmlFragment): boolean {
  const { doc } = editor.state;
  // The editor has an empty line where the document has nothing at all.
  if (fragment.length === 0) return doc.textContent === '';
  if (held(editor, fragment)?.eq(doc) !== true) return false;
  const shown = editor.view.dom.cloneNode(true) as HTMLElement;
  // Carets, and what the editor says beside the text, such as at the box of a task.
  for (const beside of shown.querySelectorAll('.ProseMirror-widget, [contenteditable="false"]')) {
    beside.remove();
  }
  return shown.textContent === doc.textContent;
}

/** @returns undefined where the document holds what this editor cannot show */
function held(editor: Editor, fragment: XmlFragment): Node | undefined {
  try {
    return yXmlFragmentToProseMirrorRootNode(fragment, editor.schema);
  } catch {
    // Of an editor of another kind: who may write removes it, who may only read cannot.
    return undefined;
  }
}
