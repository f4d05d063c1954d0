/** Sets, changes, opens and removes the link at the selection. */
import type { Editor } from '@tiptap/core';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { popover } from '../popover.js';
import { safeAddress } from './addresses.js';

export interface LinkPopover {
  readonly element: HTMLElement;
  open(): void;
}

export function linkPopover(editor: Editor): LinkPopover {
  const input = h('input', {
    id: 'link-address',
    class: 'field',
    type: 'text',
    inputmode: 'url',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    placeholder: 'example.com',
    'aria-describedby': 'link-error',
  });
  const error = h('p', { id: 'link-error', class: 'field-error', role: 'alert' });
  const visit = h(
    'a',
    { class: 'button', target: '_blank', rel: 'noopener noreferrer' },
    icon('open'),
    'Open',
  );
  const remove = h('button', { type: 'button', class: 'button' }, 'Remove');
  const form = h(
    'form',
    { class: 'link-form', novalidate: true },
    h('label', { for: 'link-address' }, 'Link address'),
    input,
    error,
    h(
      'div',
      { class: 'form-actions' },
      visit,
      remove,
      h('button', { class: 'button primary' }, 'Apply'),
    ),
  );
  const element = popover('Link', 'start', () => selectionRect(editor));
  element.append(form);

  // Left to itself the browser hands back the focus with the caret at the start of the document.
  element.addEventListener('beforetoggle', (event) => {
    const hasFocus = element.contains(document.activeElement);
    if (event.newState === 'closed' && hasFocus) editor.view.focus();
  });
  remove.addEventListener('click', () => {
    editor.chain().extendMarkRange('link').unsetLink().run();
    element.hidePopover();
  });
  input.addEventListener('input', () => {
    error.textContent = '';
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const href = addressFrom(input.value);
    if (href === undefined || !setLink(editor, href)) {
      error.textContent = 'This cannot be a link. Try an address such as example.com.';
      input.focus();
      return;
    }
    element.hidePopover();
  });
  element.addEventListener('toggle', (event) => {
    if (event.newState === 'open') input.select();
  });

  return {
    element,
    open() {
      const href: unknown = editor.getAttributes('link').href;
      const current = typeof href === 'string' ? href : '';
      input.value = current;
      error.textContent = '';
      // What cannot be opened is shown in the field, and can be removed.
      const address = safeAddress(current);
      if (address === undefined) visit.removeAttribute('href');
      else visit.href = address;
      visit.hidden = address === undefined;
      remove.hidden = !current;
      element.showPopover();
    },
  };
}

/** @returns false if the editor takes the address for an unsafe one. */
function setLink(editor: Editor, href: string): boolean {
  if (editor.isActive('link') || !editor.state.selection.empty) {
    return editor.chain().extendMarkRange('link').setLink({ href }).run();
  }
  // With nothing selected there is nothing to carry the link but its address.
  if (!editor.can().setLink({ href })) return false;
  return editor
    .chain()
    .insertContent({ type: 'text', text: href, marks: [{ type: 'link', attrs: { href } }] })
    .unsetMark('link')
    .run();
}

function addressFrom(text: string): string | undefined {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  let address = trimmed;
  if (!/^[a-z][a-z0-9+.-]*:/i.test(trimmed) || /^[\w.-]+:\d/.test(trimmed)) {
    address = /^[^\s/@]+@[^\s/@]+$/.test(trimmed) ? `mailto:${trimmed}` : `https://${trimmed}`;
  }
  return URL.canParse(address) ? safeAddress(address) : undefined;
}

function selectionRect(editor: Editor): DOMRectReadOnly {
  const { from, to } = editor.state.selection;
  const start = editor.view.coordsAtPos(from);
  const end = editor.view.coordsAtPos(to);
  return new DOMRect(start.left, start.top, 0, Math.max(start.bottom, end.bottom) - start.top);
}
