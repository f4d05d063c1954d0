/** People who write while something happens to their servers. */
import type { Page } from 'playwright';
import { eventually } from './eventually.js';
import { Tab } from './fixtures.js';

/**
 * Milliseconds from key to key, faster than anybody writes. Without it a few tabs take all of a
 * small machine for as long as somebody types, and a test waits for their queues.
 */
const KEY_INTERVAL = 40;

/** Types one word after the other until told to stop. */
export class Typist {
  readonly words: string[] = [];
  readonly #tab: Tab;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(tab: Tab) {
    this.#tab = tab;
    this.#done = this.#type();
  }

  async #type(): Promise<void> {
    while (!this.#stopped) {
      const word = `${this.#tab.name}${this.words.length}`;
      await this.#tab.page.keyboard.type(` ${word}`, { delay: KEY_INTERVAL });
      this.words.push(word);
    }
  }

  /** Resolves once so many more words are typed. */
  async goOn(count: number): Promise<void> {
    const enough = this.words.length + count;
    await eventually(() => this.words.length).toBeGreaterThanOrEqual(enough);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

/** Two tabs with a paragraph each, so that their words stay whole, and the caret at its end. */
export async function twoWriters(
  server: { readonly url: string },
  prepare: Readonly<Record<'ada' | 'grace', (page: Page) => Promise<void>>> = {
    ada: async () => undefined,
    grace: async () => undefined,
  },
): Promise<[ada: Tab, grace: Tab]> {
  const ada = await Tab.open(server, { name: 'Ada', prepare: prepare.ada });
  const grace = await Tab.open(server, { name: 'Grace', prepare: prepare.grace });
  await ada.write('Ada:\nGrace:');
  await eventually(() => grace.words()).toEqual(['Ada:', 'Grace:']);
  await grace.moveTo('end');
  await ada.moveTo('end of the first line');
  await eventually(() => grace.carets()).toEqual({ Ada: 'Ada:' });
  return [ada, grace];
}
