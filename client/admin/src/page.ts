/** What the administrator's pages have in common. */
import { h } from '../../demo/src/dom.js';
import { mark } from '../../demo/src/icons.js';
import { themeButton } from '../../demo/src/theme.js';
import { installTooltips } from '../../demo/src/tooltip.js';
import { base } from './base.js';

export function rootElement(): HTMLElement {
  const root = document.getElementById('app');
  if (!root) throw new Error('the page has no #app');
  installTooltips();
  return root;
}

export function pageHeader(title: string, ...more: Node[]): HTMLElement {
  return h(
    'header',
    { class: 'admin-header' },
    h('a', { class: 'admin-home', href: `${base}admin` }, mark(), 'Cowrite'),
    h('span', { class: 'admin-title' }, title),
    h('span', { class: 'spring' }),
    ...more,
    themeButton(),
  );
}

/** Puts these into the parent. What is there already keeps the focus, also where its place is another. */
export function arrange(parent: HTMLElement, elements: readonly HTMLElement[]): void {
  const isSame =
    parent.childElementCount === elements.length &&
    elements.every((element, i) => parent.children[i] === element);
  if (isSame) return;
  const focused = document.activeElement;
  parent.replaceChildren(...elements);
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true });
  }
}
