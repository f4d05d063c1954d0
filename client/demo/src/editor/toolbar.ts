/** The formatting toolbar: one stop of the Tab key, arrows within it, Escape back to the text. */
import type { Editor } from '@tiptap/core';
import { h } from '../dom.js';
import { type IconName, icon } from '../icons.js';
import { ariaKeys, keysText } from '../platform.js';
import { type Action, BLOCKS, HEADINGS, HISTORY, MARKS, TABLE } from './actions.js';

const GROUPS = [HISTORY, HEADINGS, MARKS, BLOCKS];

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
