/**
 * The menu of a slash: what is typed after it narrows the list, the arrows move in it, Enter or Tab
 * takes what is marked, Escape closes it and leaves the text as it is. The focus stays in the text,
 * which names the marked option to assistive technology.
 */
import type { Editor, Range } from '@tiptap/core';
import { isChangeOrigin } from '@tiptap/extension-collaboration';
import type { Plugin, PluginKey } from '@tiptap/pm/state';
import { Suggestion, type SuggestionProps } from '@tiptap/suggestion';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { keysText } from '../platform.js';
import { type Action, BLOCKS, DIVIDER, HEADINGS, TABLE } from './actions.js';
import { SLASH, type SlashState } from './slash.js';
import '../styles/slash-menu.css';

interface Item {
  readonly action: Omit<Action, 'apply'>;
  /** What else people call it. */
  readonly words: string;
  run(editor: Editor, range: Range): void;
}

const WORDS: Readonly<Record<string, string>> = {
  'Heading 1': 'title h1',
  'Heading 2': 'subtitle h2',
  'Heading 3': 'h3',
  'Bullet list': 'unordered points ul',
  'Numbered list': 'ordered ol 1.',
  'Task list': 'todo checklist checkbox',
  Quote: 'blockquote citation',
  'Code block': 'source pre program',
  Table: 'grid rows columns',
  Divider: 'horizontal rule line hr separator',
};

function itemsOf(onImage: () => void): readonly Item[] {
  const items: Item[] = [...HEADINGS, ...BLOCKS, TABLE, DIVIDER].map((action) => ({
    action,
    words: WORDS[action.label] ?? '',
    run: (editor, range) => action.apply(editor.chain().focus().deleteRange(range)).run(),
  }));
  items.splice(-1, 0, {
    action: { label: 'Image', icon: 'image', keys: '' },
    words: 'picture photo file',
    run(editor, range) {
      editor.chain().focus().deleteRange(range).run();
      onImage();
    },
  });
  return items;
}

export function slashMenu(
  editor: Editor,
  key: PluginKey<SlashState>,
  onImage: () => void,
): Plugin<SlashState> {
  const all = itemsOf(onImage);
  return Suggestion<Item, Item>({
    editor,
    pluginKey: key,
    char: SLASH,
    decorationClass: 'slash-query',
    // Only what is typed here opens it: not what others write, and not a caret that comes by.
    shouldShow: ({ transaction }) =>
      key.getState(editor.state)?.active === true ||
      (!isChangeOrigin(transaction) &&
        (transaction.docChanged || transaction.getMeta(key) !== undefined)),
    allow: ({ state, range }) => {
      const at = state.doc.resolve(range.from);
      const isCode = at.marks().some(({ type }) => type.spec.code);
      return !at.parent.type.spec.code && !isCode;
    },
    items: ({ query }) => {
      const typed = query.toLowerCase();
      return all.filter(
        ({ action, words }) =>
          !action.isPointless?.(editor) &&
          [action.label.toLowerCase(), ...words.split(' ')].some(
            (word) => word.startsWith(typed) || word.includes(` ${typed}`),
          ),
      );
    },
    command: ({ range, props }) => props.run(editor, range),
    render: () => list(editor),
  });
}

/** The list on the page, from the slash to the choice. */
function list(editor: Editor) {
  const element = h('div', {
    id: 'slash-menu',
    class: 'popup-list',
    role: 'listbox',
    'aria-label': 'Insert',
  });
  let unmount: (() => void) | undefined;
  let shown: SuggestionProps<Item, Item> | undefined;
  let marked = 0;

  const mark = (index: number) => {
    const options = [...element.children];
    marked = options.length === 0 ? 0 : (index + options.length) % options.length;
    options.forEach((option, at) => {
      option.setAttribute('aria-selected', String(at === marked));
    });
    const option = options[marked];
    option?.scrollIntoView({ block: 'nearest' });
    const { dom } = editor.view;
    if (option) dom.setAttribute('aria-activedescendant', option.id);
    else dom.removeAttribute('aria-activedescendant');
  };
  const optionOf = (item: Item, index: number) => {
    const { label, icon: name, keys } = item.action;
    const option = h(
      'div',
      { id: `slash-option-${index}`, class: 'popup-option', role: 'option' },
      icon(name),
      h('span', {}, label),
      h('kbd', { 'aria-hidden': 'true' }, keys ? keysText(keys) : ''),
    );
    option.addEventListener('click', () => shown?.command(item));
    option.addEventListener('pointermove', () => {
      if (marked !== index) mark(index);
    });
    return option;
  };
  const show = (props: SuggestionProps<Item, Item>) => {
    shown = props;
    // They come a moment after the letter; until then there are those of before.
    if (props.loading) return;
    element.replaceChildren(...props.items.map(optionOf));
    // Where nothing fits, what was typed is meant as text.
    element.hidden = props.items.length === 0;
    mark(0);
  };
  // A press of the mouse leaves the focus in the text.
  element.addEventListener('mousedown', (event) => event.preventDefault());

  return {
    onStart(props: SuggestionProps<Item, Item>) {
      element.hidden = true;
      unmount = props.mount(element);
      const { dom } = editor.view;
      dom.setAttribute('aria-controls', element.id);
      dom.setAttribute('aria-haspopup', 'listbox');
      show(props);
    },
    onUpdate: show,
    onExit() {
      shown = undefined;
      unmount?.();
      unmount = undefined;
      const { dom } = editor.view;
      for (const name of ['aria-activedescendant', 'aria-controls', 'aria-haspopup']) {
        dom.removeAttribute(name);
      }
    },
    onKeyDown({ event }: { event: KeyboardEvent }): boolean {
      if (!shown || element.hidden || event.isComposing) return false;
      const item = shown.items[marked];
      const keys: Readonly<Record<string, () => void>> = {
        ArrowDown: () => mark(marked + 1),
        ArrowUp: () => mark(marked - 1),
        Enter: () => item && shown?.command(item),
        Tab: () => item && shown?.command(item),
      };
      const press = keys[event.key];
      if (!press || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return false;
      press();
      return true;
    },
  };
}
