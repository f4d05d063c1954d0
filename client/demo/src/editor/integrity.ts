/**
 * Notices when the editor shows something else than the document holds. A binding that throws
 * while it takes a change over, in either direction, leaves the two apart, and nothing of what is
 * typed from then on may reach the document: the provider sees no change, and nothing is unsaved.
 */
import type { CowriteProvider } from '@cowrite/client';
import type { Editor } from '@tiptap/core';

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

  /** @param isSame whether the editor shows what the document holds */
  watch(editor: Editor, provider: CowriteProvider, isSame: () => boolean): void {
    let timer: number | undefined;
    let differences = 0;
    const check = () => {
      timer = undefined;
      if (editor.isDestroyed || this.#isApart) return;
      if (editor.view.composing) return soon();
      differences = isSame() ? 0 : differences + 1;
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
