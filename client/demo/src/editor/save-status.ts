/** Says whether everything written here is on disk. It knows only what the provider reports. */
import type { CowriteProvider } from '@cowrite/client';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import type { Integrity } from './integrity.js';

/**
 * Milliseconds without a new change before “Saved” is shown again. A server that saves within a few
 * milliseconds would otherwise make the text flicker with every key.
 */
const SETTLED = 400;

export function saveStatus(provider: CowriteProvider, integrity: Integrity): HTMLElement {
  const text = h('span', { class: 'save-text' });
  const element = h('span', { class: 'save-status', 'data-testid': 'save-status' });
  let timer: number | undefined;

  const show = () => {
    const { unsaved, lastSavedAt } = provider;
    const state = unsaved ? 'saving' : 'saved';
    text.textContent = unsaved ? 'Saving…' : 'Saved';
    element.dataset.tip = unsaved
      ? 'Your latest changes are not on disk yet'
      : lastSavedAt
        ? `On disk since ${lastSavedAt.toLocaleTimeString([], { timeStyle: 'short' })}`
        : 'Everything is on disk';
    if (element.dataset.state === state) return;
    element.dataset.state = state;
    element.replaceChildren(icon(state), text);
  };
  // Nothing is saved or not before there is a document.
  const showWhenReady = () => {
    element.hidden = !provider.ready || integrity.isApart;
  };
  showWhenReady();
  // Of what is shown then, nobody knows; the banner says so.
  integrity.onApart(showWhenReady);
  for (const event of ['synced', 'loaded'] as const) provider.on(event, showWhenReady);
  provider.on('unsaved', (unsaved) => {
    clearTimeout(timer);
    if (unsaved) show();
    else timer = window.setTimeout(show, SETTLED);
  });
  show();
  return element;
}
