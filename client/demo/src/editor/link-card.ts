/** What can be done with the link that the caret is in, beside it: open, copy, edit, remove. */
import type { Editor, Extension } from '@tiptap/core';
import { BubbleMenu } from '@tiptap/extension-bubble-menu';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { safeAddress } from './addresses.js';
import { underBar } from './under-bar.js';

const NAME = 'linkCard';

export function linkCard(onEdit: () => void): Extension {
  let editor: Editor | undefined;
  let href = '';
  const open = h(
    'a',
    { class: 'card-address', target: '_blank', rel: 'noopener noreferrer' },
    h('span'),
    icon('open'),
  );
  const said = h('span', { class: 'visually-hidden', role: 'status' });
  const button = (label: string, name: Parameters<typeof icon>[0], run: () => void) => {
    const element = h(
      'button',
      { type: 'button', class: 'icon-button', 'aria-label': label, 'data-tip': label },
      icon(name),
    );
    element.addEventListener('click', run);
    return element;
  };
  const copy = button('Copy', 'copy', async () => {
    try {
      await navigator.clipboard.writeText(href);
      said.textContent = 'Link address copied';
      copy.replaceChildren(icon('check'));
    } catch {
      // Without a permission the field of the dialog is there to copy from.
      onEdit();
    }
  });
  const edit = button('Edit', 'edit', onEdit);
  const remove = button('Remove', 'unlink', () => {
    editor?.chain().focus().extendMarkRange('link').unsetLink().run();
  });
  const element = h(
    'div',
    { class: 'card', role: 'group', 'aria-label': 'Link' },
    open,
    copy,
    edit,
    remove,
    said,
  );
  const hide = () => {
    if (editor && !editor.isDestroyed) editor.view.dispatch(editor.state.tr.setMeta(NAME, 'hide'));
  };
  /** Where the caret was when the card was put away: it stays away until the caret is elsewhere. */
  let awayAt: number | undefined;
  const putAway = () => {
    if (!element.isConnected) return false;
    awayAt = editor?.state.selection.from;
    hide();
    return true;
  };
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    putAway();
    editor?.commands.focus();
  });
  element.addEventListener('focusout', ({ relatedTarget }) => {
    const isBeside = relatedTarget instanceof Node && element.contains(relatedTarget);
    // Where it is just being removed, the focus leaves it in the middle of that.
    if (!isBeside && relatedTarget !== editor?.view.dom) queueMicrotask(hide);
  });

  const show = () => {
    const address = safeAddress(href);
    open.title = href;
    if (address === undefined) open.removeAttribute('href');
    else open.href = address;
    open.setAttribute('aria-label', address === undefined ? `Link to ${href}` : `Open ${href}`);
    open.querySelector('span')?.replaceChildren(href.replace(/^https?:\/\/(www\.)?/, ''));
    said.textContent = '';
    copy.replaceChildren(icon('copy'));
  };

  return BubbleMenu.extend({
    name: NAME,
    addKeyboardShortcuts: () => ({ Escape: putAway }),
  }).configure({
    element,
    pluginKey: NAME,
    updateDelay: 0,
    options: { placement: 'top-start', offset: 6, flip: underBar, shift: { padding: 8 } },
    shouldShow: ({ editor: shown, view, state }) => {
      editor = shown;
      const isHere = view.hasFocus() || element.contains(document.activeElement);
      if (!shown.isEditable || !isHere || !state.selection.empty) return false;
      if (state.selection.from === awayAt) return false;
      awayAt = undefined;
      const found: unknown = shown.getAttributes('link').href;
      if (typeof found !== 'string' || !shown.isActive('link')) return false;
      if (found !== href || !element.isConnected) {
        href = found;
        show();
      }
      return true;
    },
  });
}
