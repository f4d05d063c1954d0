/**
 * What is most often done with selected text, beside it. The Tab key leads into it, arrows move
 * within it, Escape leads back to the text and puts it away until something else is selected.
 */
import type { Editor, Extension } from '@tiptap/core';
import { BubbleMenu } from '@tiptap/extension-bubble-menu';
import { type EditorState, TextSelection } from '@tiptap/pm/state';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { ariaKeys, keysText } from '../platform.js';
import { type Action, MARKS } from './actions.js';
import { underBar } from './under-bar.js';

const NAME = 'selectionMenu';

export function selectionMenu(onLink: () => void): Extension {
  let editor: Editor | undefined;
  /** What was selected when the menu was put away. */
  let awayFrom: string | undefined;
  const items: HTMLElement[] = [];
  const element = h('div', {
    class: 'card selection-menu',
    role: 'menu',
    'aria-label': 'Selected text',
    'aria-orientation': 'horizontal',
  });
  const add = (action: Omit<Action, 'apply'>, role: string, run: (editor: Editor) => void) => {
    const item = h(
      'button',
      {
        type: 'button',
        class: 'tool',
        role,
        tabindex: items.length === 0 ? 0 : -1,
        'aria-label': action.label,
        'aria-keyshortcuts': ariaKeys(action.keys),
        'data-tip': action.label,
        'data-keys': keysText(action.keys),
      },
      icon(action.icon),
    );
    item.addEventListener('click', () => {
      if (editor) run(editor);
    });
    items.push(item);
    element.append(item);
    return item;
  };
  for (const action of MARKS) {
    add(action, 'menuitemcheckbox', (target) => action.apply(target.chain()).run());
  }
  const link = add({ label: 'Link', icon: 'link', keys: 'Mod-k' }, 'menuitem', onLink);
  link.setAttribute('aria-haspopup', 'dialog');

  const putAway = () => {
    if (!editor || !element.isConnected) return false;
    awayFrom = selectionKey(editor.state);
    hide();
    return true;
  };
  const hide = () => {
    if (editor && !editor.isDestroyed) editor.view.dispatch(editor.state.tr.setMeta(NAME, 'hide'));
  };
  const moveTo = (index: number) => {
    const next = items[(index + items.length) % items.length];
    for (const item of items) item.tabIndex = item === next ? 0 : -1;
    next?.focus();
  };
  // A press of the mouse leaves the focus, and so the selection, in the text.
  element.addEventListener('mousedown', (event) => event.preventDefault());
  element.addEventListener('keydown', (event) => {
    const at = items.indexOf(document.activeElement as HTMLElement);
    const moves: Readonly<Record<string, () => void>> = {
      ArrowRight: () => moveTo(at + 1),
      ArrowLeft: () => moveTo(at - 1),
      Home: () => moveTo(0),
      End: () => moveTo(-1),
      Escape: () => {
        putAway();
        editor?.commands.focus();
      },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  });
  element.addEventListener('focusout', ({ relatedTarget }) => {
    const isBeside = relatedTarget instanceof Node && element.contains(relatedTarget);
    if (!isBeside && relatedTarget !== editor?.view.dom) queueMicrotask(hide);
  });

  const show = () => {
    MARKS.forEach((action, index) => {
      const isActive = editor !== undefined && (action.isActive?.(editor) ?? false);
      items[index]?.setAttribute('aria-checked', String(isActive));
    });
  };

  return BubbleMenu.extend({
    name: NAME,
    addKeyboardShortcuts: () => ({ Escape: putAway }),
    onTransaction: () => {
      if (element.isConnected) show();
    },
  }).configure({
    element,
    pluginKey: NAME,
    options: {
      // Above the text, a phone shows what it offers itself.
      placement: matchMedia('(pointer: coarse)').matches ? 'bottom' : 'top',
      offset: 8,
      flip: underBar,
      shift: { padding: 8 },
      // The items are what the Tab key stops at, not what is around them.
      onShow: () => {
        element.removeAttribute('tabindex');
        show();
      },
    },
    shouldShow: ({ editor: shown, view, state }) => {
      editor = shown;
      const isHere = view.hasFocus() || element.contains(document.activeElement);
      if (!shown.isEditable || !isHere || !hasText(state)) return false;
      if (selectionKey(state) === awayFrom) return false;
      awayFrom = undefined;
      return true;
    },
  });
}

/** In code nothing is bold; selected cells have a menu of their own. */
function hasText({ doc, selection }: EditorState): boolean {
  const { from, to, $from } = selection;
  if (!(selection instanceof TextSelection) || selection.empty || $from.parent.type.spec.code) {
    return false;
  }
  return doc.textBetween(from, to).trim() !== '';
}

function selectionKey({ selection }: EditorState): string {
  return `${selection.from}-${selection.to}`;
}
