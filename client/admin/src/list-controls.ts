/** Which rooms are listed, and in which order: tabs, a search, and the heads of the columns. */
import { h } from '../../demo/src/dom.js';
import { adminIcon } from './icons.js';

/** Milliseconds after a keystroke until the list follows. */
const SEARCH_MS = 200;

const TABS = { open: 'Open here', all: 'All rooms', deleted: 'Deleted' } as const;
export type Which = keyof typeof TABS;

const SORTS = {
  name: 'Room',
  people: 'Tabs',
  sockets: 'Sockets',
  updates: 'Updates',
  snapshot: 'Snapshot',
} as const;
export type Sort = keyof typeof SORTS;

export class ListControls {
  readonly bar: HTMLElement;
  readonly head: HTMLElement;
  which: Which = 'open';
  sort: Sort = 'name';
  readonly #search = h('input', {
    class: 'field',
    type: 'search',
    placeholder: 'Search the names',
    'aria-label': 'Search the names of rooms',
    autocomplete: 'off',
    spellcheck: 'false',
  });

  /** @param onChange something else is to be listed */
  constructor(onChange: () => void) {
    let timer: number | undefined;
    this.#search.addEventListener('input', () => {
      clearTimeout(timer);
      timer = window.setTimeout(onChange, SEARCH_MS);
    });
    const tabs = choices(TABS, this.which, 'tab', (which) => {
      this.which = which;
      onChange();
    });
    const sorts = choices(SORTS, this.sort, 'sort', (sort) => {
      this.sort = sort;
      onChange();
    });
    this.bar = h(
      'div',
      { class: 'list-bar' },
      h('div', { class: 'tabs', role: 'group', 'aria-label': 'Which rooms' }, ...tabs),
      h('div', { class: 'search' }, adminIcon('search'), this.#search),
    );
    this.head = h(
      'div',
      { class: 'row row-head', role: 'group', 'aria-label': 'Sort by' },
      ...sorts.map((sort) => h('span', {}, sort)),
    );
  }

  get text(): string {
    return this.#search.value.trim();
  }

  /** As the API is asked. */
  get query(): Readonly<Record<string, string>> {
    return {
      ...(this.text !== '' && { contains: this.text }),
      ...(this.sort !== 'name' && { sort: this.sort }),
      ...(this.which === 'open' && { open: 'true' }),
      ...(this.which === 'deleted' && { deleted: 'only' }),
    };
  }

  /** Why nothing is listed. */
  get nothing(): string {
    if (this.text !== '') return 'No room has this in its name.';
    if (this.which === 'open') return 'Nobody has a document open at this server.';
    return this.which === 'deleted'
      ? 'No room was deleted.'
      : 'Nothing was ever written to this store.';
  }
}

/** Buttons of which one is pressed. */
function choices<K extends string>(
  labels: Readonly<Record<K, string>>,
  chosen: K,
  kind: string,
  choose: (key: K) => void,
): HTMLElement[] {
  const buttons = (Object.keys(labels) as K[]).map((key) => {
    const button = h(
      'button',
      { type: 'button', class: kind, 'aria-pressed': String(key === chosen) },
      labels[key],
    );
    button.addEventListener('click', () => {
      for (const each of buttons) each.setAttribute('aria-pressed', String(each === button));
      choose(key);
    });
    return button;
  });
  return buttons;
}
