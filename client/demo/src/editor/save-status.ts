/** Says whether everything written here is on disk. It knows only what the provider reports. */
import type { CowriteProvider } from '@cowrite/client';
import { h } from '../dom.js';
import { type IconName, icon } from '../icons.js';
import type { Integrity } from './integrity.js';
import type { Outage } from './outage.js';

/**
 * Milliseconds without a new change before “Saved” is shown again. A server that saves within a few
 * milliseconds would otherwise make the text flicker with every key.
 */
const SETTLED = 400;

type State = 'saved' | 'saving' | 'offline' | 'unsaved';

const TEXTS: Readonly<Record<State, string>> = {
  saved: 'Saved',
  saving: 'Saving…',
  offline: 'Offline',
  unsaved: 'Not saved',
};

const ICONS: Readonly<Record<State, IconName>> = {
  saved: 'saved',
  saving: 'saving',
  offline: 'offline',
  unsaved: 'stop',
};

export interface SaveStatusParts {
  readonly provider: CowriteProvider;
  readonly integrity: Integrity;
  readonly outage: Outage;
  /** Whether this browser keeps a copy of what the server has not. */
  readonly hasCopy: boolean;
}

export function saveStatus({ provider, integrity, outage, hasCopy }: SaveStatusParts): HTMLElement {
  const text = h('span', { class: 'save-text' });
  const element = h('span', { class: 'save-status', 'data-testid': 'save-status' });
  /** A change that the server has refused for good stays on the page, and nobody saves it. */
  let isStuck = false;
  let timer: number | undefined;

  const stateNow = (): State => {
    if (!provider.unsaved) return 'saved';
    if (provider.status === 'refused' || isStuck) return 'unsaved';
    return outage.isOut ? 'offline' : 'saving';
  };
  const tipFor = (state: State): string => {
    const { lastSavedAt } = provider;
    switch (state) {
      case 'saved':
        return lastSavedAt
          ? `On disk since ${lastSavedAt.toLocaleTimeString([], { timeStyle: 'short' })}`
          : 'Everything is on disk';
      case 'saving':
        return 'Your latest changes are not on disk yet';
      case 'offline':
        return hasCopy
          ? 'Your latest changes are in this browser, and are saved when the server can be reached'
          : 'Your latest changes are on this page only, and are saved when the server can be reached';
      case 'unsaved':
        return `Your latest changes are ${hasCopy ? 'in this browser' : 'on this page'} only, and are not being saved`;
    }
  };
  const show = () => {
    const state = stateNow();
    text.textContent = TEXTS[state];
    element.dataset.tip = tipFor(state);
    if (element.dataset.state === state) return;
    element.dataset.state = state;
    element.replaceChildren(icon(ICONS[state]), text);
  };
  const showSoon = () => {
    clearTimeout(timer);
    if (stateNow() === 'saved') timer = window.setTimeout(show, SETTLED);
    else show();
  };
  // Nothing is saved or not before there is a document.
  const showWhenReady = () => {
    element.hidden = !provider.ready || integrity.isApart;
  };
  showWhenReady();
  // Of what is shown then, nobody knows; the banner says so.
  integrity.onApart(showWhenReady);
  for (const event of ['synced', 'loaded'] as const) provider.on(event, showWhenReady);
  provider.on('rejected', ({ isTakenBack }) => {
    isStuck ||= !isTakenBack;
    showSoon();
  });
  for (const event of ['unsaved', 'status'] as const) provider.on(event, showSoon);
  outage.onChange(showSoon);
  show();
  return element;
}
