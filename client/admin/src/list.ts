/** The rooms: those open at this server, kept current, or what the store has, in pages. */

import { shownName } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { type Api, type ListedRoom, type Page, type Readiness, Refused, reasonOf } from './api.js';
import { ListControls } from './list-controls.js';
import { arrange } from './page.js';
import { count, halves, size, timeOf } from './words.js';

const PAGE = 50;
/** What a page may hold, where the rest of another order cannot be asked for. */
const MAX_PAGE = 1_000;
/** Milliseconds that what was asked for before may stand in the place of what is asked for now. */
const STALE_MS = 600;
/** Characters of a long name's end that are always shown. */
const TAIL = 10;
/** Answers that are kept, for when there is none. */
const MAX_KNOWN = 20;

interface Known {
  readonly page: Page;
  readonly at: Date;
}

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
  /** What the rows do not say of themselves. */
  readonly #scope = h('p', { class: 'list-scope' });
  readonly #controls = new ListControls(() => {
    this.#limit = PAGE;
    void this.look();
  });
  #limit = PAGE;
  /** Each look has a number: an answer to an older question is dropped. */
  #looks = 0;
  /** What the newest of them asks, until it is answered. */
  #underWay: string | undefined;
  /** What the rows that are shown answer, and since when. */
  #shown: { readonly asked: string; readonly at: Date } | undefined;
  /** The last answers, by what was asked. */
  readonly #known = new Map<string, Known>();
  #next: string | null = null;
  #selected: string | undefined;

  /** @param isOver whether the page is left because of this error */
  constructor(api: Api, isOver: (error: unknown) => boolean) {
    this.#api = api;
    this.#isOver = isOver;
    this.#more.addEventListener('click', () => {
      // In another order than by name there is no place to go on from.
      if (this.#controls.sort === 'name') return void this.#load(this.#next ?? undefined);
      this.#limit = MAX_PAGE;
      void this.look();
    });
    this.element = h(
      'section',
      { class: 'admin-card list', 'aria-label': 'Rooms' },
      this.#controls.bar,
      this.#controls.head,
      this.#note,
      this.#body,
      this.#empty,
      this.#scope,
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
    const isOpen = this.#controls.which === 'open';
    if (!isOpen && store === 'away') this.#sayOld();
    if (this.#underWay === this.#question()) return;
    const isShort = this.#body.childElementCount <= PAGE;
    const isOld = this.#note.textContent !== '';
    if (isShort && (isOpen || isOld || store !== 'ok')) await this.look();
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
      const page = await this.#api.rooms({
        limit: String(this.#limit),
        ...this.#controls.query,
        ...(after !== undefined && { after }),
      });
      if (look !== this.#looks) return;
      const at = new Date();
      if (after === undefined) this.#know(asked, { page, at });
      this.#shown = { asked, at };
      this.#note.textContent = '';
      this.#show(page, after !== undefined);
    } catch (error) {
      if (this.#isOver(error) || look !== this.#looks) return;
      this.#failed(asked, error);
    } finally {
      clearTimeout(wait);
      if (look === this.#looks) this.#underWay = undefined;
    }
  }

  /** What was known of it last is more than nothing. */
  #failed(asked: string, error: unknown): void {
    const isAnswered = error instanceof Refused && error.status < 500;
    const known = this.#known.get(asked);
    if (this.#shown?.asked !== asked) {
      if (isAnswered || known === undefined) {
        const why = isAnswered ? `: ${reasonOf(error)}` : '';
        this.#clear(`The rooms could not be read${why}.`);
        return;
      }
      this.#shown = { asked, at: known.at };
      this.#show(known.page, false);
    }
    this.#sayOld();
  }

  #know(asked: string, known: Known): void {
    this.#known.delete(asked);
    this.#known.set(asked, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN) this.#known.delete(oldest!);
  }

  #question(): string {
    return JSON.stringify([this.#controls.query, this.#limit]);
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
    this.#scope.textContent = '';
    this.#note.textContent = note;
  }

  #show({ rooms, next, looked }: Page, isMore: boolean): void {
    if (!isMore) {
      const kept = new Set(rooms.map(({ room }) => room));
      for (const name of this.#rows.keys()) if (!kept.has(name)) this.#rows.delete(name);
    }
    const rows = rooms.map((room) => this.#row(room));
    const before = isMore ? ([...this.#body.children] as HTMLElement[]) : [];
    arrange(this.#body, [...before, ...rows]);
    this.#next = next;
    const isByName = this.#controls.sort === 'name';
    const isCut = rooms.length === this.#limit && this.#limit < MAX_PAGE && looked > rooms.length;
    this.#more.hidden = isByName ? next === null : !isCut;
    this.#empty.hidden = this.#body.childElementCount > 0 || next !== null;
    this.#empty.textContent = this.#controls.nothing;
    this.#scope.textContent = scopeOf(looked, next, isByName, rooms.length);
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
      ...(isOpen ? [count(people, 'tab'), count(sessions, 'socket')] : []),
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
      cell('tabs', isOpen ? String(people) : '–'),
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

/** Where a request did not look at every name. */
function scopeOf(looked: number, next: string | null, isByName: boolean, found: number): string {
  if (next === null) return '';
  const names = `${looked.toLocaleString('en')} names`;
  if (!isByName) return `Sorted among the first ${names}: a search finds those behind them.`;
  return looked > found ? `Looked at ${names}; there are more.` : '';
}
