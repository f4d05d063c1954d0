/**
 * Other people's carets and selections in the text. A name shows while its caret moves and for a
 * moment after, then fades so that it does not cover the line above.
 *
 * ProseMirror keeps a caret's element while its person stays, so what changes about the person is
 * written to the element here.
 */
import type { DecorationAttrs } from '@tiptap/pm/view';
import type { Awareness } from 'y-protocols/awareness';
import { h } from '../dom.js';
import { type Person, personFrom, textOn } from '../people.js';

const NAME_SHOWN = 2400;

export interface Carets {
  render(user: unknown): HTMLElement;
  selection(user: unknown): DecorationAttrs;
  /** Scrolls to the first of the carets that there is. */
  goTo(clientIds: readonly number[]): void;
  /** Of these tabs' carets the one that moved last; undefined where none is in the text. */
  lastMoved(clientIds: readonly number[]): HTMLElement | undefined;
  /** Turns names around that would leave the page on the right. */
  keepNamesInside(page: HTMLElement): void;
}

export function peerCarets(awareness: Awareness): Carets {
  const elements = new Map<number, HTMLElement>();
  /** The one that moved last comes last. */
  const cursors = new Map<number, string>();
  const awake = new Map<number, number>();

  const wake = (clientId: number) => {
    clearTimeout(awake.get(clientId));
    elements.get(clientId)?.setAttribute('data-awake', '');
    awake.set(
      clientId,
      window.setTimeout(() => {
        awake.delete(clientId);
        elements.get(clientId)?.removeAttribute('data-awake');
      }, NAME_SHOWN),
    );
  };

  awareness.on('change', (change: { added: number[]; updated: number[]; removed: number[] }) => {
    for (const clientId of [...change.added, ...change.updated]) {
      if (clientId === awareness.clientID) continue;
      const state = awareness.getStates().get(clientId);
      const element = elements.get(clientId);
      if (element) paint(element, personFrom(state?.user));
      const cursor = JSON.stringify(state?.cursor ?? null);
      if (cursors.get(clientId) === cursor) continue;
      cursors.delete(clientId);
      cursors.set(clientId, cursor);
      wake(clientId);
    }
    for (const clientId of change.removed) {
      clearTimeout(awake.get(clientId));
      for (const known of [elements, cursors, awake]) known.delete(clientId);
    }
  });

  return {
    render(user) {
      const element = h(
        'span',
        { class: 'collaboration-carets__caret', 'aria-hidden': 'true' },
        h('span', { class: 'collaboration-carets__label' }),
      );
      paint(element, personFrom(user));
      const clientId = clientIdOf(user);
      if (clientId !== undefined) {
        elements.set(clientId, element);
        element.toggleAttribute('data-awake', awake.has(clientId));
      }
      return element;
    },
    selection(user) {
      return {
        class: 'collaboration-carets__selection',
        style: `--peer: ${personFrom(user).color}`,
      };
    },
    goTo(clientIds) {
      const shown = clientIds.find((clientId) => elements.get(clientId)?.isConnected);
      if (shown === undefined) return;
      elements.get(shown)?.scrollIntoView({ block: 'center' });
      wake(shown);
    },
    lastMoved(clientIds) {
      const moved = [...cursors.keys()].filter((clientId) => clientIds.includes(clientId));
      const shown = moved.map((clientId) => elements.get(clientId));
      return shown.findLast((element) => element?.isConnected);
    },
    keepNamesInside(page) {
      const edge = page.getBoundingClientRect().right;
      for (const clientId of awake.keys()) {
        const element = elements.get(clientId);
        const label = element?.firstElementChild;
        if (!element || !(label instanceof HTMLElement)) continue;
        const end = element.getBoundingClientRect().left + label.offsetWidth;
        element.toggleAttribute('data-turned', end > edge);
      }
    },
  };
}

function paint(caret: HTMLElement, { name, color }: Person): void {
  caret.style.setProperty('--peer', color);
  caret.style.setProperty('--on-peer', textOn(color));
  // The styles show it: as text it would be read out as a part of the document, and be found in it.
  const label = caret.firstElementChild;
  if (label instanceof HTMLElement) label.dataset.name = name;
}

/** Carets are drawn from `user` alone, so this app's people say there whose it is. */
function clientIdOf(user: unknown): number | undefined {
  const id = typeof user === 'object' && user !== null && 'clientId' in user && user.clientId;
  return typeof id === 'number' ? id : undefined;
}
