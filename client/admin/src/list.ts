/** The rooms: those open at this server, kept current, or all that the store has, in pages. */
import { h } from '../../demo/src/dom.js';
import type { Api, ListedRoom } from './api.js';
import { adminIcon } from './icons.js';
import { arrange } from './page.js';
import { size } from './words.js';

const PAGE = '50';
/** Milliseconds after a keystroke until the list follows. */
const SEARCH_MS = 200;

export function hashOf(room: string): string {
  return `#room=${encodeURIComponent(room)}`;
}

export class RoomList {
  readonly element: HTMLElement;
  readonly #api: Api;
  readonly #onError: (error: unknown) => void;
  readonly #rows = new Map<string, HTMLElement>();
  readonly #body = h('div', { class: 'rows' });
  readonly #empty = h('p', { class: 'nothing' });
  readonly #more = h('button', { type: 'button', class: 'button more' }, 'Show more');
  readonly #search = h('input', {
    class: 'field',
    type: 'search',
    placeholder: 'Name begins with…',
    'aria-label': 'Name begins with',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  #isOpen = true;
  /** Each look has a number: an answer to an older question is dropped. */
  #looks = 0;
  #next: string | null = null;
  #selected: string | undefined;

  constructor(api: Api, onError: (error: unknown) => void) {
    this.#api = api;
    this.#onError = onError;
    const tab = (label: string, isOpen: boolean) => {
      const button = h(
        'button',
        { type: 'button', class: 'tab', 'aria-pressed': String(isOpen === this.#isOpen) },
        label,
      );
      button.addEventListener('click', () => {
        this.#isOpen = isOpen;
        for (const each of tabs) each.setAttribute('aria-pressed', String(each === button));
        void this.look();
      });
      return button;
    };
    const tabs = [tab('Open here', true), tab('All rooms', false)];
    let timer: number | undefined;
    this.#search.addEventListener('input', () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => void this.look(), SEARCH_MS);
    });
    this.#more.addEventListener('click', () => void this.#load(this.#next ?? undefined));
    this.element = h(
      'section',
      { class: 'card list', 'aria-label': 'Rooms' },
      h(
        'div',
        { class: 'list-bar' },
        h('div', { class: 'tabs', role: 'group', 'aria-label': 'Which rooms' }, ...tabs),
        h('div', { class: 'search' }, adminIcon('search'), this.#search),
      ),
      h(
        'div',
        { class: 'row row-head', 'aria-hidden': 'true' },
        h('span', {}, 'Room'),
        ...['People', 'Sockets', 'Updates', 'Snapshot'].map((text) => h('span', {}, text)),
      ),
      this.#body,
      this.#empty,
      this.#more,
    );
  }

  select(room: string | undefined): void {
    this.#selected = room;
    for (const [name, row] of this.#rows) this.#mark(name, row);
  }

  /** From the beginning. */
  async look(): Promise<void> {
    await this.#load(undefined);
  }

  /** What changes by itself: all that the store has is shown as it was asked for. */
  async refresh(): Promise<void> {
    if (this.#isOpen && this.#body.childElementCount <= Number(PAGE)) await this.look();
  }

  async #load(after: string | undefined): Promise<void> {
    const look = ++this.#looks;
    try {
      const { rooms, next } = await this.#api.rooms({
        limit: PAGE,
        prefix: this.#search.value,
        ...(after !== undefined && { after }),
        ...(this.#isOpen ? { open: 'true' } : { deleted: 'true' }),
      });
      if (look === this.#looks) this.#show(rooms, next, after !== undefined);
    } catch (error) {
      this.#onError(error);
    }
  }

  #show(rooms: readonly ListedRoom[], next: string | null, isMore: boolean): void {
    if (!isMore) {
      const kept = new Set(rooms.map(({ room }) => room));
      for (const name of this.#rows.keys()) if (!kept.has(name)) this.#rows.delete(name);
    }
    const rows = rooms.map((room) => this.#row(room));
    const before = isMore ? ([...this.#body.children] as HTMLElement[]) : [];
    arrange(this.#body, [...before, ...rows]);
    this.#next = next;
    this.#more.hidden = next === null;
    this.#empty.hidden = this.#body.childElementCount > 0;
    this.#empty.textContent = this.#nothing();
  }

  #nothing(): string {
    if (this.#search.value !== '') return 'No room’s name begins like this.';
    if (this.#isOpen) return 'Nobody has a document open at this server.';
    return 'Nothing was ever written to this store.';
  }

  #row(listed: ListedRoom): HTMLElement {
    const { room, people, sessions, seq, snapshotBytes, isDeleted, isOpen } = listed;
    const row = this.#rows.get(room) ?? h('a', { class: 'row', href: hashOf(room) });
    this.#rows.set(room, row);
    const cell = (label: string, text: string) => h('span', { 'data-label': label }, text);
    row.replaceChildren(
      h(
        'span',
        { class: 'row-name' },
        h('span', { class: isOpen ? 'dot live' : 'dot' }),
        h('span', { class: 'row-text' }, room),
        ...(isDeleted ? [h('span', { class: 'chip stop' }, 'deleted')] : []),
      ),
      cell('people', isOpen ? String(people) : '–'),
      cell('sockets', isOpen ? String(sessions) : '–'),
      cell('updates', seq.toLocaleString('en')),
      cell('snapshot', snapshotBytes === 0 ? '–' : size(snapshotBytes)),
    );
    this.#mark(room, row);
    return row;
  }

  #mark(name: string, row: HTMLElement): void {
    if (name === this.#selected) row.setAttribute('aria-current', 'true');
    else row.removeAttribute('aria-current');
  }
}
