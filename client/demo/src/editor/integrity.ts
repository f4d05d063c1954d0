/**
 * Notices when the editor shows something else than the document holds. A binding that throws
 * while it takes a change over, in either direction, leaves the two apart, and nothing of what is
 * typed from then on may reach the document: the provider sees no change, and nothing is unsaved.
 */
import type { CowriteProvider } from '@cowrite/client';
import type { Editor } from '@tiptap/core';
import type { Node } from '@tiptap/pm/model';
import { yXmlFragmentToProseMirrorRootNode } from '@tiptap/y-tiptap';
import type { XmlFragment } from 'yjs';

/** Milliseconds after a change; what is typed, and what is composed, is on its way for a moment. */
const SETTLED = 1_000;
/** Times in a row that they have to differ. */
const TIMES = 2;

export class Integrity {
  #isApart = false;
  readonly #listeners: (() => void)[] = [];

  get isApart(): boolean {
    return this.#isApart;
  }

  /** Called once, if ever. */
  onApart(listener: () => void): void {
    this.#listeners.push(listener);
  }

  watch(editor: Editor, fragment: XmlFragment, provider: CowriteProvider): void {
    let timer: number | undefined;
    let differences = 0;
    const check = () => {
      timer = undefined;
      if (editor.isDestroyed || this.#isApart) return;
      if (editor.view.composing) return soon();
      differences = isSame(editor, fragment) ? 0 : differences + 1;
      if (differences >= TIMES) this.#comeApart();
      else if (differences > 0) soon();
    };
    const soon = () => {
      if (timer === undefined) timer = window.setTimeout(check, SETTLED);
    };
    provider.doc.on('update', soon);
    provider.on('observer-error', soon);
    // Of a handler of the editor's that threw, nobody else hears.
    window.addEventListener('error', soon);
    editor.on('transaction', soon);
  }

  #comeApart(): void {
    this.#isApart = true;
    for (const listener of this.#listeners) listener();
  }
}

/** @returns undefined where the document holds what this editor cannot show */
function held(editor: Editor, fragment: XmlFragment): Node | undefined {
  try {
    return yXmlFragmentToProseMirrorRootNode(fragment, editor.schema);
  } catch {
    // Of an editor of another kind: whoever may write removes it, whoever may only read cannot.
    return undefined;
  }
}

function isSame(editor: Editor, fragment: XmlFragment): boolean {
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
