/** What stands on the page until the document is there, or because it never will be. */
import { base } from '../base.js';
import { h } from '../dom.js';
import { icon } from '../icons.js';

export function skeleton(): HTMLElement {
  const line = (kind: string) => h('span', { class: kind });
  return h(
    'div',
    { class: 'skeleton', role: 'status', 'aria-label': 'Opening the document' },
    line('title'),
    line('full'),
    line('full'),
    line('half'),
    line('gap'),
    line('full'),
    line('most'),
  );
}

export function nothingHere(): HTMLElement {
  return h(
    'div',
    { class: 'nothing-here' },
    icon('page'),
    h('p', {}, 'This document cannot be shown.'),
    h('a', { class: 'button', href: base }, 'Go to your documents'),
  );
}

/** The document is there, and what would show it is not. */
export function noEditor(): HTMLElement {
  const reload = h('button', { type: 'button', class: 'button' }, 'Reload the page');
  reload.addEventListener('click', () => location.reload());
  return h(
    'div',
    { class: 'nothing-here' },
    icon('page'),
    h('p', { role: 'alert' }, 'The editor could not be loaded.'),
    reload,
  );
}
