/** What an administrator should know before anything else: above all figures, in plain words. */
import { h } from '../../demo/src/dom.js';
import { icon } from '../../demo/src/icons.js';
import type { Readiness } from './api.js';
import { LATE_S } from './figures.js';
import { arrange } from './page.js';
import { count, lasting } from './words.js';

export interface Warning {
  /** Read out when it comes, and then no more. */
  readonly text: string;
  /** What changes meanwhile. */
  readonly more?: string;
  /** People notice, or will soon. */
  readonly isGrave: boolean;
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
    warnings.push({ text, more, isGrave: true });
  } else if (store === 'full') {
    const text =
      'The store is full, or too slow: so much is unsaved that this server takes no more edits';
    warnings.push({ text, more: isWaiting ? `; ${saving}, ${wait}` : '.', isGrave: true });
  } else if (store === 'failing') {
    const text = `The store does not take writes: ${saving}`;
    warnings.push({ text, more: oldest > 0 ? `, ${wait}` : '.', isGrave: true });
  } else if (isWaiting) {
    warnings.push({ text: `The store is slow: ${saving}`, more: `, ${wait}`, isGrave: true });
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
    });
  }
  if (relay === 'split') {
    warnings.push({
      text: 'Redis does not carry what other servers say: people on different servers see each other late. Is REDIS_URL the same on all of them?',
      isGrave: false,
    });
  }
  if (!ready && store === 'ok' && !draining) {
    warnings.push({
      text: 'This server has too much to do, and asks for no new connections',
      more: `: everything waits ${loopDelayMs} ms.`,
      isGrave: false,
    });
  }
  if (tooLarge > 0) {
    warnings.push({
      text: 'Documents need more memory to merge than this server has',
      more: `: ${count(tooLarge, 'room', 'rooms')}. The log names them; nothing is lost.`,
      isGrave: false,
    });
  }
  return warnings;
}

export class Warnings {
  readonly element = h('div', { class: 'warnings' });
  readonly #shown = new Map<string, { element: HTMLElement; more: HTMLElement }>();

  show(warnings: readonly Warning[]): void {
    const elements = warnings.map((warning) => {
      const shown = this.#shown.get(warning.text) ?? made(warning);
      this.#shown.set(warning.text, shown);
      shown.more.textContent = warning.more ?? '';
      return shown.element;
    });
    arrange(this.element, elements);
    for (const [text, { element }] of this.#shown) {
      if (!element.isConnected) this.#shown.delete(text);
    }
  }
}

function made({ text, isGrave }: Warning): { element: HTMLElement; more: HTMLElement } {
  const more = h('span');
  const said = h('span', {}, h('span', { role: 'alert' }, text), more);
  const element = h('p', { class: isGrave ? 'problem grave' : 'problem' }, icon('stop'), said);
  return { element, more };
}
