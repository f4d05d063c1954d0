/**
 * What one undo takes back: a word that was typed or deleted, what was written before a pause, or
 * one thing alone that is no typing, such as a paste, a new block or a change of format.
 *
 * The undo manager puts changes together that come shortly after each other, however many they
 * are. So it is told where a step begins, before the change reaches the document.
 */
import type { Editor } from '@tiptap/core';
import type { Transaction } from '@tiptap/pm/state';
import { ReplaceStep } from '@tiptap/pm/transform';
import { ySyncPluginKey, yUndoPluginKey } from '@tiptap/y-tiptap';
import type { UndoManager } from 'yjs';

/** Letters that were typed or deleted one after the other. */
interface Typing {
  readonly kind: 'insert' | 'delete';
  readonly text: string;
  /** The place in the text before the change. */
  readonly from: number;
  readonly to: number;
  /** The same for all of what an input method composes together. */
  readonly composition: unknown;
}

export function undoSteps(editor: Editor): void {
  const manager: UndoManager = yUndoPluginKey.getState(editor.state).undoManager;
  const endStep = manager.stopCapturing.bind(manager);
  // The binding ends a step with each change of others; while they write, each letter would be one.
  manager.stopCapturing = () => {
    if (manager.undoing || manager.redoing) endStep();
  };
  let last: Typing | undefined;
  editor.on('beforeTransaction', ({ transaction, nextState }) => {
    if (!transaction.docChanged) return;
    const change = transaction.getMeta(ySyncPluginKey);
    if (change?.isUndoRedoOperation) {
      last = undefined;
      return;
    }
    if (change || transaction.getMeta('addToHistory') === false) {
      // Others' changes move what was typed last, and do not end it. The binding puts the whole
      // document in its place again, so only the caret says where that is now.
      const { selection } = editor.state;
      last = selection.from === endOf(last) ? movedTo(last, nextState.selection.from) : undefined;
      return;
    }
    const typing = typingOf(transaction);
    if (!typing || !last || !goesOn(last, typing)) endStep();
    last = typing;
  });
}

/** @returns undefined for everything but letters within one block. */
function typingOf(transaction: Transaction): Typing | undefined {
  const [step] = transaction.steps;
  if (transaction.steps.length !== 1 || !(step instanceof ReplaceStep)) return undefined;
  if (transaction.getMeta('paste') || transaction.getMeta('uiEvent')) return undefined;
  const { from, to, slice } = step;
  const before = transaction.docs[0];
  if (!before) return undefined;
  const place = before.resolve(from);
  if (!place.parent.isTextblock || !place.sameParent(before.resolve(to))) return undefined;
  const composition = transaction.getMeta('composition');
  if (slice.size === 0) {
    return {
      kind: 'delete',
      text: before.textBetween(from, to, '\n', '\n'),
      from,
      to,
      composition,
    };
  }
  const isText = slice.openStart === 0 && slice.openEnd === 0 && slice.content.firstChild?.isText;
  if (!isText) return undefined;
  const text = slice.content.textBetween(0, slice.size, '\n', '\n');
  return { kind: 'insert', text, from, to, composition };
}

function goesOn(last: Typing, next: Typing): boolean {
  if (next.composition !== undefined && next.composition === last.composition) return true;
  if (next.kind !== last.kind) return false;
  // What is typed over a selection begins a step, and so does what is typed somewhere else.
  const isNear =
    next.kind === 'insert'
      ? next.from === next.to && next.from === endOf(last)
      : next.to === last.from || next.from === last.from;
  return isNear && !(/\s$/.test(last.text) && /^\S/.test(next.text));
}

function endOf(typing: Typing | undefined): number | undefined {
  if (!typing) return undefined;
  return typing.kind === 'insert' ? typing.from + typing.text.length : typing.from;
}

function movedTo(typing: Typing | undefined, end: number): Typing | undefined {
  if (!typing) return undefined;
  return { ...typing, from: typing.kind === 'insert' ? end - typing.text.length : end };
}
