/** The header of the pages without a document. */
import { base } from './base.js';
import { h } from './dom.js';
import { mark } from './icons.js';
import { themeButton } from './theme.js';

export function siteHeader(): HTMLElement {
  return h(
    'header',
    { class: 'site-header' },
    h('a', { class: 'wordmark', href: base }, mark(), 'Cowrite'),
    themeButton(),
  );
}
