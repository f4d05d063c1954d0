/** What an administrator should know before anything else: above all figures, in plain words. */
import { h } from '../../demo/src/dom.js';
import { icon } from '../../demo/src/icons.js';
import type { Readiness } from './api.js';
import { LATE_S } from './levels.js';
import { arrange } from './page.js';
import { count, lasting } from './words.js';

export interface Warning {
  /** Read out when it comes, and then no more. */
  readonly text: string;
  /** What changes meanwhile. */
  readonly more?: string;
  /** People notice, or will soon. */
  readonly isGrave: boolean;
  /** Where the handbook says what to do: the name of an alert. */
  readonly recipe?: string;
}

/**
 * @param oldest seconds that the oldest edit waits for the store
 * @param tooLarge how many documents cannot be merged
 */
export function warningsOf(readiness: Readiness, oldest: number, tooLarge: number): Warning[] {
  const { draining, store, relay, loopDelayMs, ready } = readiness;
  const warnings: Warning[] = [];
  const isWaiting = oldest > LATE_S;
  const wait = `the oldest for ${lasting(oldest)}.`;
  const saving = 'people see “Saving…”';
  if (store === 'away') {
    const text = 'The store does not answer: documents cannot be opened';
    const more = isWaiting ? `, and ${saving}, ${wait}` : '.';
    warnings.push({ text, more, isGrave: true, recipe: 'CowriteStoreAway' });
  } else if (store === 'full') {
    const text =
      'The store is full, or too slow: so much is unsaved that this server takes no more edits';
    const more = isWaiting ? `; ${saving}, ${wait}` : '.';
    warnings.push({ text, more, isGrave: true, recipe: 'CowriteUnsavedOld' });
  } else if (store === 'failing') {
    const text = `The store does not take writes: ${saving}`;
    const more = oldest > 0 ? `, ${wait}` : '.';
    warnings.push({ text, more, isGrave: true, recipe: 'CowriteStoreFailing' });
  } else if (isWaiting) {
    const text = `The store is slow: ${saving}`;
    warnings.push({ text, more: `, ${wait}`, isGrave: true, recipe: 'CowriteUnsavedOld' });
  }
  if (draining) {
    warnings.push({
      text: 'This server is ending and takes no new connections.',
      isGrave: false,
    });
  }
  if (relay === 'away') {
    warnings.push({
      text: 'Redis does not answer: people on different servers see each other late.',
      isGrave: false,
      recipe: 'CowriteRelayAway',
    });
  }
  if (relay === 'split') {
    warnings.push({
      text: 'Redis does not carry what other servers say: people on different servers see each other late. Is REDIS_URL the same on all of them?',
      isGrave: false,
      recipe: 'CowriteRelaySplit',
    });
  }
  if (!ready && store === 'ok' && !draining) {
    warnings.push({
      text: 'This server has too much to do, and asks for no new connections',
      more: `: everything waits ${loopDelayMs} ms.`,
      isGrave: false,
      recipe: 'CowriteLoopBusy',
    });
  }
  if (tooLarge > 0) {
    warnings.push({
      text: 'Documents need more memory to merge than this server has',
      more: `: ${count(tooLarge, 'room', 'rooms')}. The log names them; nothing is lost.`,
      isGrave: false,
      recipe: 'CowriteTooLarge',
    });
  }
  return warnings;
}

export class Warnings {
  readonly element = h('div', { class: 'warnings' });
  readonly #list = h('div', { class: 'problems' });
  readonly #state = h('span', { role: 'status' });
  readonly #well = h('p', { class: 'well' }, icon('saved'), this.#state);
  readonly #shown = new Map<string, { element: HTMLElement; more: HTMLElement }>();

  constructor() {
    this.element.append(this.#list, this.#well);
  }

  /** @param figures names of those that are not as they should be; undefined while none is known */
  show(warnings: readonly Warning[], figures: readonly string[] | undefined): void {
    const elements = warnings.map((warning) => {
      const shown = this.#shown.get(warning.text) ?? made(warning);
      this.#shown.set(warning.text, shown);
      shown.more.textContent = warning.more ?? '';
      return shown.element;
    });
    arrange(this.#list, elements);
    for (const [text, { element }] of this.#shown) {
      if (!element.isConnected) this.#shown.delete(text);
    }
    this.#sayState(warnings.length, figures);
  }

  #sayState(problems: number, figures: readonly string[] | undefined): void {
    const isWell = problems === 0 && figures?.length === 0;
    this.#well.classList.toggle('is-well', isWell);
    const text =
      figures === undefined
        ? ''
        : isWell
          ? 'All is well: the server answers, writes are saved, and no figure is near its limit.'
          : figures.length > 0
            ? `Look at: ${figures.join(', ')}.`
            : '';
    this.#well.hidden = text === '';
    // Read out when it is another, not at each look.
    if (this.#state.textContent !== text) this.#state.textContent = text;
  }
}

function made({ text, isGrave, recipe }: Warning): { element: HTMLElement; more: HTMLElement } {
  const more = h('span');
  const said = h(
    'span',
    {},
    h('span', { role: 'alert' }, text),
    more,
    ...(recipe === undefined ? [] : [h('small', {}, `In the handbook: ${recipe}`)]),
  );
  const element = h('p', { class: isGrave ? 'problem grave' : 'problem' }, icon('stop'), said);
  return { element, more };
}
