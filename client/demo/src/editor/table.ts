/** What can be done with the table that the caret is in. */
import type { ChainedCommands, Editor, Extension } from '@tiptap/core';
import { BubbleMenu } from '@tiptap/extension-bubble-menu';
import { TextSelection } from '@tiptap/pm/state';
import { h } from '../dom.js';
import { underBar } from './under-bar.js';

const NAME = 'tableMenu';

const COMMANDS: readonly (readonly [string, (chain: ChainedCommands) => ChainedCommands])[] = [
  ['Add row', (chain) => chain.addRowAfter()],
  ['Add column', (chain) => chain.addColumnAfter()],
  ['Delete row', (chain) => chain.deleteRow()],
  ['Delete column', (chain) => chain.deleteColumn()],
  ['Delete table', (chain) => chain.deleteTable()],
];

export function tableMenu(): Extension {
  let editor: Editor | undefined;
  const element = h(
    'div',
    { class: 'card table-menu', role: 'group', 'aria-label': 'Table' },
    ...COMMANDS.map(([label, apply]) => {
      const button = h('button', { type: 'button', class: 'card-button' }, label);
      button.addEventListener('click', () => {
        if (editor) apply(editor.chain().focus()).run();
      });
      return button;
    }),
  );
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') editor?.commands.focus();
  });
  return BubbleMenu.extend({ name: NAME }).configure({
    element,
    pluginKey: NAME,
    updateDelay: 0,
    options: { placement: 'top-start', offset: 6, flip: underBar, shift: { padding: 8 } },
    getReferencedVirtualElement: () => tableAt(editor) ?? null,
    shouldShow: ({ editor: shown, view, state: { selection } }) => {
      editor = shown;
      // Selected text has a menu of its own, which would lie over this one.
      if (selection instanceof TextSelection && !selection.empty) return false;
      const isHere = view.hasFocus() || element.contains(document.activeElement);
      return shown.isEditable && isHere && shown.isActive('table');
    },
  });
}

function tableAt(editor: Editor | undefined): Element | undefined {
  if (!editor) return undefined;
  const { node } = editor.view.domAtPos(editor.state.selection.from);
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest('.tableWrapper') ?? undefined;
}
