/** Code blocks: their colours, which come with the first one, and the menu that says which language it is. */
import { type Editor, Extension } from '@tiptap/core';
import { BubbleMenu } from '@tiptap/extension-bubble-menu';
import { PluginKey } from '@tiptap/pm/state';
import { DecorationSet } from '@tiptap/pm/view';
import { h } from '../dom.js';
import { latePlugin } from './late-plugin.js';
import { lazily } from './lazy.js';
import type { Notice } from './notice.js';
import { underBar } from './under-bar.js';

const BLOCK = 'codeBlock';
const MENU = 'codeMenu';
const PLAIN = '';

export interface Language {
  readonly value: string;
  readonly label: string;
  /** What else stands for it behind the backticks, such as `js`. */
  readonly aliases: readonly string[];
}

export function code(notice: Notice): Extension {
  const select = h('select', { class: 'card-select', 'aria-label': 'Language' });
  /** Until they are there, a block's own language is the only one. */
  let languages: readonly Language[] = [];

  const fill = (editor: Editor) => {
    const { language } = editor.getAttributes(BLOCK);
    const named = typeof language === 'string' ? language : PLAIN;
    const known = languages.find(
      ({ value, aliases }) => value === named || aliases.includes(named),
    );
    const own = known?.value ?? named;
    const options = [{ value: PLAIN, label: 'Plain text' }, ...languages];
    if (own !== PLAIN && !known) options.push({ value: own, label: own });
    if (select.value === own && select.options.length === options.length) return;
    select.replaceChildren(...options.map(({ value, label }) => h('option', { value }, label)));
    select.value = own;
  };

  return Extension.create({
    name: 'codeBlocks',
    addExtensions: () => [languageMenu(select, fill)],
    addProseMirrorPlugins() {
      const { editor } = this;
      const late = latePlugin(new PluginKey<DecorationSet>('codeColours'), DecorationSet.empty);
      const load = lazily('The colours of code', notice, async () => {
        const { codeColours, LANGUAGES } = await import('./code-colours.js');
        late.arrive(
          editor,
          codeColours(BLOCK, () => late.begin(editor)),
          (colours) => colours,
        );
        languages = LANGUAGES;
        fill(editor);
      });
      let isWaiting = false;
      const look = () => {
        isWaiting = false;
        if (editor.isDestroyed || !hasCode(editor)) return;
        editor.off('update', lookSoon);
        void load();
      };
      const lookSoon = () => {
        if (isWaiting) return;
        isWaiting = true;
        requestAnimationFrame(look);
      };
      editor.on('create', lookSoon);
      editor.on('update', lookSoon);
      return [late.place];
    },
  });
}

function hasCode(editor: Editor): boolean {
  let isThere = false;
  editor.state.doc.descendants((node) => {
    isThere ||= node.type.name === BLOCK;
    return !isThere && !node.isTextblock;
  });
  return isThere;
}

/** Reached with the Tab key; Escape leads back to the text. */
function languageMenu(select: HTMLSelectElement, fill: (editor: Editor) => void): Extension {
  let editor: Editor | undefined;
  const element = h('div', { class: 'card', role: 'group', 'aria-label': 'Code block' }, select);
  select.addEventListener('change', () => {
    const language = select.value === PLAIN ? null : select.value;
    editor?.commands.updateAttributes(BLOCK, { language });
  });
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') editor?.commands.focus();
  });
  return BubbleMenu.extend({
    name: MENU,
    onTransaction() {
      if (element.isConnected && document.activeElement !== select) fill(this.editor);
    },
  }).configure({
    element,
    pluginKey: MENU,
    updateDelay: 0,
    options: {
      placement: 'top-end',
      offset: 6,
      flip: underBar,
      shift: { padding: 8 },
      onShow: () => {
        element.removeAttribute('tabindex');
        if (editor) fill(editor);
      },
    },
    getReferencedVirtualElement: () => blockAt(editor) ?? null,
    shouldShow: ({ editor: shown, view }) => {
      editor = shown;
      const isHere = view.hasFocus() || element.contains(document.activeElement);
      return shown.isEditable && isHere && shown.isActive(BLOCK);
    },
  });
}

function blockAt(editor: Editor | undefined): Element | undefined {
  if (!editor) return undefined;
  const { node } = editor.view.domAtPos(editor.state.selection.from);
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest('pre') ?? undefined;
}
