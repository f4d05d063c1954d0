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
  /** Of what can be done where the caret is, and makes no sense there. */
  readonly isPointless?: (editor: Editor) => boolean;
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
    toggle('Task list', 'tasks', 'Mod-Shift-9', 'taskList', (chain) => chain.toggleTaskList()),
    toggle('Quote', 'quote', 'Mod-Shift-b', 'blockquote', (chain) => chain.toggleBlockquote()),
    toggle('Code block', 'codeBlock', 'Mod-Alt-c', 'codeBlock', (chain) => chain.toggleCodeBlock()),
  ],
];

const TABLE: Action = {
  label: 'Table',
  icon: 'table',
  keys: '',
  apply: (chain) => chain.insertTable({ rows: 3, cols: 3, withHeaderRow: true }),
  isPointless: (editor) => editor.isActive('table'),
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

export interface Toolbar {
  readonly element: HTMLElement;
  /** Until then all of it is unavailable. */
  attach(editor: Editor, dialogs: { onImage: () => void; onLink: () => void }): void;
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
        'aria-keyshortcuts': keys ? ariaKeys(keys) : undefined,
        'data-tip': label,
        'data-keys': keys ? keysText(keys) : undefined,
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
  const table = add(TABLE.label, TABLE.icon, TABLE.keys, TABLE);
  const image = add('Image', 'image', '');
  groups.push(h('div', { class: 'tool-group', role: 'group' }, table, image));
  const link = add('Link', 'link', 'Mod-k');
  link.setAttribute('aria-haspopup', 'dialog');
  groups.push(h('div', { class: 'tool-group', role: 'group' }, link));

  const bar = h(
    'div',
    {
      id: 'tools',
      class: 'toolbar',
      role: 'toolbar',
      'aria-label': 'Formatting',
      'aria-controls': 'editor',
    },
    ...groups,
  );
  /** Where the window is too narrow for all of them, those that do not fit in one row are folded. */
  const more = h(
    'button',
    {
      type: 'button',
      class: 'tool tool-more',
      'aria-label': 'More tools',
      'aria-expanded': 'false',
      'aria-controls': 'tools',
      'data-tip': 'More tools',
    },
    icon('more'),
  );
  const element = h('div', { class: 'tools' }, bar, more);
  const unfold = (isOpen: boolean) => {
    more.setAttribute('aria-expanded', String(isOpen));
    element.toggleAttribute('data-open', isOpen);
    bar.scrollTop = 0;
  };
  more.addEventListener('click', () => unfold(more.getAttribute('aria-expanded') === 'false'));

  let stop = 0;
  const moveTo = (index: number) => {
    const next = (index + buttons.length) % buttons.length;
    buttons[stop]?.element.setAttribute('tabindex', '-1');
    stop = next;
    const button = buttons[stop]?.element;
    button?.setAttribute('tabindex', '0');
    if (button && button.offsetTop >= bar.offsetTop + bar.clientHeight) unfold(true);
    button?.focus();
  };

  // A press of the mouse must leave the selection and the phone's keyboard where they are.
  element.addEventListener('mousedown', (event) => event.preventDefault());

  const attach: Toolbar['attach'] = (editor, { onImage, onLink }) => {
    element.addEventListener('click', (event) => {
      const index = buttons.findIndex(({ element: button }) =>
        event.composedPath().includes(button),
      );
      const button = buttons[index];
      if (!button || button.element.getAttribute('aria-disabled') === 'true') return;
      if (!button.action) return button.element === image ? onImage() : onLink();
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
        Escape: () => {
          unfold(false);
          editor.commands.focus();
        },
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
        const possible =
          editor.isEditable &&
          (!action || (!action.isPointless?.(editor) && action.apply(editor.can().chain()).run()));
        button.setAttribute('aria-disabled', String(!possible));
        const active = button === link ? editor.isActive('link') : action?.isActive?.(editor);
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
