/** The rooms: those open at this server, kept current, or all that the store has, in pages. */

import { shownName } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { type Api, type ListedRoom, type Readiness, Refused, reasonOf } from './api.js';
import { adminIcon } from './icons.js';
import { arrange } from './page.js';
import { count, halves, size, timeOf } from './words.js';

const PAGE = '50';
/** Milliseconds after a keystroke until the list follows. */
const SEARCH_MS = 200;
/** Milliseconds that what was asked for before may stand in the place of what is asked for now. */
const STALE_MS = 600;
/** Characters of a long name's end that are always shown. */
const TAIL = 10;

export function hashOf(room: string): string {
  return `#room=${encodeURIComponent(room)}`;
}

export class RoomList {
  readonly element: HTMLElement;
  readonly #api: Api;
  readonly #isOver: (error: unknown) => boolean;
  readonly #rows = new Map<string, HTMLElement>();
  readonly #body = h('div', { class: 'rows' });
  readonly #empty = h('p', { class: 'nothing' });
  readonly #note = h('p', { class: 'list-note', role: 'status' });
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
  /** What the newest of them asks, until it is answered. */
  #underWay: string | undefined;
  /** What the rows that are shown answer, and since when. */
  #shown: { readonly asked: string; readonly at: Date } | undefined;
  #next: string | null = null;
  #selected: string | undefined;

  /** @param isOver whether the page is left because of this error */
  constructor(api: Api, isOver: (error: unknown) => boolean) {
    this.#api = api;
    this.#isOver = isOver;
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
      this.#note,
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

  /**
   * What changes by itself. All that the store has is shown as it was asked for, unless that failed.
   * @param store where it is away, what it has may have changed unseen
   */
  async refresh(store: Readiness['store']): Promise<void> {
    if (!this.#isOpen && store === 'away') this.#sayOld();
    if (this.#underWay === this.#question()) return;
    const isShort = this.#body.childElementCount <= Number(PAGE);
    const isOld = this.#note.textContent !== '';
    if (isShort && (this.#isOpen || isOld || store !== 'ok')) await this.look();
    else if (isOld && store === 'ok') this.#note.textContent = '';
  }

  async #load(after: string | undefined): Promise<void> {
    const look = ++this.#looks;
    const asked = this.#question();
    const isOther = this.#shown !== undefined && asked !== this.#shown.asked;
    const wait = window.setTimeout(() => {
      if (isOther && look === this.#looks) this.#clear('Reading the rooms…');
    }, STALE_MS);
    this.#underWay = asked;
    try {
      const { rooms, next } = await this.#api.rooms({
        limit: PAGE,
        prefix: this.#search.value,
        ...(after !== undefined && { after }),
        ...(this.#isOpen ? { open: 'true' } : { deleted: 'true' }),
      });
      if (look !== this.#looks) return;
      this.#shown = { asked, at: new Date() };
      this.#note.textContent = '';
      this.#show(rooms, next, after !== undefined);
    } catch (error) {
      if (this.#isOver(error) || look !== this.#looks) return;
      if (this.#shown?.asked === asked) return this.#sayOld();
      const isAnswered = error instanceof Refused && error.status < 500;
      this.#clear(`The rooms could not be read${isAnswered ? `: ${reasonOf(error)}` : ''}.`);
    } finally {
      clearTimeout(wait);
      if (look === this.#looks) this.#underWay = undefined;
    }
  }

  #question(): string {
    return JSON.stringify([this.#isOpen, this.#search.value]);
  }

  #sayOld(): void {
    if (this.#shown === undefined) return;
    const text = `The rooms cannot be read now: this list is of ${timeOf(this.#shown.at)}.`;
    // Said once.
    if (this.#note.textContent !== text) this.#note.textContent = text;
  }

  /** Rows that answer another question would be taken for an answer. */
  #clear(note: string): void {
    this.#shown = undefined;
    this.#rows.clear();
    this.#body.replaceChildren();
    this.#more.hidden = true;
    this.#empty.hidden = true;
    this.#note.textContent = note;
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
    const name = shownName(room);
    const [start, end] = halves(name, TAIL);
    const spoken = [
      name,
      ...(isDeleted ? ['deleted'] : [count(seq, 'update')]),
      ...(isOpen ? [count(people, 'person', 'people'), count(sessions, 'socket')] : []),
    ];
    row.setAttribute('aria-label', spoken.join(', '));
    row.replaceChildren(
      h(
        'span',
        { class: 'row-name' },
        h('span', { class: isOpen ? 'dot live' : 'dot' }),
        h(
          'span',
          { class: 'row-text', title: name },
          h('span', { class: 'row-start' }, start),
          ...(end === '' ? [] : [h('span', { class: 'row-end' }, end)]),
        ),
        ...(isDeleted ? [h('span', { class: 'chip stop' }, 'deleted')] : []),
      ),
      cell('people', isOpen ? String(people) : '–'),
      cell('sockets', isOpen ? String(sessions) : '–'),
      cell('updates', isDeleted ? '–' : seq.toLocaleString('en')),
      cell('snapshot', isDeleted || snapshotBytes === 0 ? '–' : size(snapshotBytes)),
    );
    this.#mark(room, row);
    return row;
  }

  #mark(name: string, row: HTMLElement): void {
    if (name === this.#selected) row.setAttribute('aria-current', 'true');
    else row.removeAttribute('aria-current');
  }
}
