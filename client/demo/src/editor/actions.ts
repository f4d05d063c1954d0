/** What can be done with the text, as the toolbar, the bubble menu and the slash menu offer it. */
import type { ChainedCommands, Editor } from '@tiptap/core';
import type { IconName } from '../icons.js';

export interface Action {
  readonly label: string;
  readonly icon: IconName;
  readonly keys: string;
  readonly apply: (chain: ChainedCommands) => ChainedCommands;
  /** Of what can be done where the caret is, and makes no sense there. */
  readonly isPointless?: (editor: Editor) => boolean;
  /** Absent for what has no state. */
  readonly isActive?: (editor: Editor) => boolean;
}

export const HISTORY: readonly Action[] = [
  { label: 'Undo', icon: 'undo', keys: 'Mod-z', apply: (chain) => chain.undo() },
  { label: 'Redo', icon: 'redo', keys: 'Mod-Shift-z', apply: (chain) => chain.redo() },
];

export const HEADINGS: readonly Action[] = [
  heading(1, 'heading1'),
  heading(2, 'heading2'),
  heading(3, 'heading3'),
];

export const MARKS: readonly Action[] = [
  toggle('Bold', 'bold', 'Mod-b', 'bold', (chain) => chain.toggleBold()),
  toggle('Italic', 'italic', 'Mod-i', 'italic', (chain) => chain.toggleItalic()),
  toggle('Underline', 'underline', 'Mod-u', 'underline', (chain) => chain.toggleUnderline()),
  toggle('Strikethrough', 'strike', 'Mod-Shift-s', 'strike', (chain) => chain.toggleStrike()),
  toggle('Inline code', 'code', 'Mod-e', 'code', (chain) => chain.toggleCode()),
];

export const BLOCKS: readonly Action[] = [
  toggle('Bullet list', 'bullets', 'Mod-Shift-8', 'bulletList', (chain) =>
    chain.toggleBulletList(),
  ),
  toggle('Numbered list', 'numbers', 'Mod-Shift-7', 'orderedList', (chain) =>
    chain.toggleOrderedList(),
  ),
  toggle('Task list', 'tasks', 'Mod-Shift-9', 'taskList', (chain) => chain.toggleTaskList()),
  toggle('Quote', 'quote', 'Mod-Shift-b', 'blockquote', (chain) => chain.toggleBlockquote()),
  toggle('Code block', 'codeBlock', 'Mod-Alt-c', 'codeBlock', (chain) => chain.toggleCodeBlock()),
];

export const TABLE: Action = {
  label: 'Table',
  icon: 'table',
  keys: '',
  apply: (chain) => chain.insertTable({ rows: 3, cols: 3, withHeaderRow: true }),
  isPointless: (editor) => editor.isActive('table'),
};

export const DIVIDER: Action = {
  label: 'Divider',
  icon: 'divider',
  keys: '',
  apply: (chain) => chain.setHorizontalRule(),
};

function toggle(
  label: string,
  iconName: IconName,
  keys: string,
  node: string,
  apply: Action['apply'],
): Action {
  return { label, icon: iconName, keys, apply, isActive: (editor) => editor.isActive(node) };
}

function heading(level: 1 | 2 | 3, iconName: IconName): Action {
  return {
    label: `Heading ${level}`,
    icon: iconName,
    keys: `Mod-Alt-${level}`,
    apply: (chain) => chain.toggleHeading({ level }),
    isActive: (editor) => editor.isActive('heading', { level }),
  };
}
