/** Pages that only say something: a document name that cannot be, an address that leads nowhere. */
import { base } from './base.js';
import { h } from './dom.js';
import { siteHeader } from './header.js';
import { icon } from './icons.js';
import './styles/landing.css';

export function invalidRoomPage(root: HTMLElement, name: string): void {
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name;
  messagePage(
    root,
    'This cannot be a document’s name',
    shown
      ? h('p', {}, 'No document can be called ', h('code', {}, shown), '.')
      : h('p', {}, 'The link ends before the document’s name.'),
    h(
      'p',
      {},
      'Names have up to 100 letters, digits, dots, hyphens and underscores. They begin with a letter or a digit, and so does each part after a slash. The link may have been cut short or changed on its way to you.',
    ),
  );
}

export function notFoundPage(root: HTMLElement): void {
  messagePage(
    root,
    'There is nothing here',
    h(
      'p',
      {},
      'Documents live at addresses such as ',
      h('code', {}, `${base}d/amber-fox-4821`),
      '.',
    ),
  );
}

function messagePage(root: HTMLElement, title: string, ...text: HTMLElement[]): void {
  document.title = `${title} · Cowrite`;
  root.replaceChildren(
    siteHeader(),
    h(
      'main',
      { class: 'message' },
      h('div', { class: 'message-icon' }, icon('page')),
      h('h1', {}, title),
      ...text,
      h('a', { class: 'button primary', href: base }, icon('arrow'), 'Go to your documents'),
    ),
  );
}
