/** The formatting toolbar: one stop of the Tab key, arrows within it, Escape back to the text. */
import type { ChainedCommands, Editor } from '@tiptap/core';
import { h } from '../dom.js';
import { type IconName, icon } from '../icons.js';
import { ariaKeys, keysText } from '../platform.js';

interface Action {
  readonly label: string;
  readonly icon: IconName;
  readonly keys: string;
  readonly apply: (chain: ChainedCommands) => ChainedCommands;
  /** Absent for what has no state. */
  readonly isActive?: (editor: Editor) => boolean;
}

const GROUPS: readonly (readonly Action[])[] = [
  [
    { label: 'Undo', icon: 'undo', keys: 'Mod-z', apply: (chain) => chain.undo() },
    { label: 'Redo', icon: 'redo', keys: 'Mod-Shift-z', apply: (chain) => chain.redo() },
  ],
  [heading(1, 'heading1'), heading(2, 'heading2'), heading(3, 'heading3')],
  [
    toggle('Bold', 'bold', 'Mod-b', 'bold', (chain) => chain.toggleBold()),
    toggle('Italic', 'italic', 'Mod-i', 'italic', (chain) => chain.toggleItalic()),
    toggle('Underline', 'underline', 'Mod-u', 'underline', (chain) => chain.toggleUnderline()),
    toggle('Strikethrough', 'strike', 'Mod-Shift-s', 'strike', (chain) => chain.toggleStrike()),
    toggle('Inline code', 'code', 'Mod-e', 'code', (chain) => chain.toggleCode()),
  ],
  [
    toggle('Bullet list', 'bullets', 'Mod-Shift-8', 'bulletList', (chain) =>
      chain.toggleBulletList(),
    ),
    toggle('Numbered list', 'numbers', 'Mod-Shift-7', 'orderedList', (chain) =>
      chain.toggleOrderedList(),
    ),
    toggle('Quote', 'quote', 'Mod-Shift-b', 'blockquote', (chain) => chain.toggleBlockquote()),
    toggle('Code block', 'codeBlock', 'Mod-Alt-c', 'codeBlock', (chain) => chain.toggleCodeBlock()),
  ],
];

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

export interface Toolbar {
  readonly element: HTMLElement;
  /** Until then all of it is unavailable. */
  attach(editor: Editor, onLink: () => void): void;
  focus(): void;
}

export function toolbar(): Toolbar {
  const buttons: { readonly element: HTMLButtonElement; readonly action?: Action }[] = [];
  const add = (label: string, name: IconName, keys: string, action?: Action) => {
    const element = h(
      'button',
      {
        type: 'button',
        class: 'tool',
        tabindex: buttons.length === 0 ? 0 : -1,
        'aria-label': label,
        'aria-disabled': 'true',
        'aria-keyshortcuts': ariaKeys(keys),
        'data-tip': label,
        'data-keys': keysText(keys),
      },
      icon(name),
    );
    buttons.push(action ? { element, action } : { element });
    return element;
  };
  const groups = GROUPS.map((actions) =>
    h(
      'div',
      { class: 'tool-group', role: 'group' },
      ...actions.map((action) => add(action.label, action.icon, action.keys, action)),
    ),
  );
  const link = add('Link', 'link', 'Mod-k');
  link.setAttribute('aria-haspopup', 'dialog');
  groups.push(h('div', { class: 'tool-group', role: 'group' }, link));

  const element = h(
    'div',
    { class: 'toolbar', role: 'toolbar', 'aria-label': 'Formatting', 'aria-controls': 'editor' },
    ...groups,
  );

  let stop = 0;
  const moveTo = (index: number) => {
    const next = (index + buttons.length) % buttons.length;
    buttons[stop]?.element.setAttribute('tabindex', '-1');
    stop = next;
    const button = buttons[stop]?.element;
    button?.setAttribute('tabindex', '0');
    button?.focus();
    button?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };

  // A press of the mouse must leave the selection and the phone's keyboard where they are.
  element.addEventListener('mousedown', (event) => event.preventDefault());

  const attach = (editor: Editor, onLink: () => void) => {
    element.addEventListener('click', (event) => {
      const index = buttons.findIndex(({ element: button }) =>
        event.composedPath().includes(button),
      );
      const button = buttons[index];
      if (!button || button.element.getAttribute('aria-disabled') === 'true') return;
      if (!button.action) return onLink();
      // A click from the keyboard has no detail; the focus then stays in the toolbar.
      const chain = editor.chain();
      button.action.apply(event.detail === 0 ? chain : chain.focus()).run();
    });
    element.addEventListener('keydown', (event) => {
      const moves: Readonly<Record<string, () => void>> = {
        ArrowRight: () => moveTo(stop + 1),
        ArrowLeft: () => moveTo(stop - 1),
        Home: () => moveTo(0),
        End: () => moveTo(-1),
        Escape: () => editor.commands.focus(),
      };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      move();
    });

    let waiting = false;
    const show = () => {
      waiting = false;
      for (const { element: button, action } of buttons) {
        const possible = editor.isEditable && (!action || action.apply(editor.can().chain()).run());
        button.setAttribute('aria-disabled', String(!possible));
        const active = action ? action.isActive?.(editor) : editor.isActive('link');
        if (active !== undefined) button.setAttribute('aria-pressed', String(active));
      }
    };
    const showSoon = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(show);
    };
    editor.on('transaction', showSoon);
    editor.on('update', showSoon);
    show();
  };

  return { element, attach, focus: () => moveTo(stop) };
}
