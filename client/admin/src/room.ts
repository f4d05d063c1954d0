/** One room: who is there, what its log is like, and what can be done with it. */

import { shownName } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { icon } from '../../demo/src/icons.js';
import { type Api, type DescribedRoom, Refused, reasonOf } from './api.js';
import { base } from './base.js';
import { confirm } from './dialog.js';
import { download } from './download.js';
import { type AdminIcon, adminIcon } from './icons.js';
import { People, type Somebody } from './people.js';
import { preview } from './preview.js';
import { ago, count, size, timeOf } from './words.js';

const FILES = {
  update: { label: 'Yjs update', ending: 'yjs' },
  json: { label: 'JSON', ending: 'json' },
  text: { label: 'Plain text', ending: 'txt' },
} as const;

const UNMERGED = 'Not yet in the snapshot';
const QUARANTINED = 'Quarantined';
const MERGING = 'Merging';
const HINTS: Readonly<Record<string, string>> = {
  [MERGING]:
    'The log is not put into the snapshot. Nothing is lost, but the document takes longer to open, and deleted text stays in it.',
  [UNMERGED]: 'Written since the snapshot. Compacting puts it in; nothing is lost without.',
  [QUARANTINED]:
    'Entries of the log that could not be used, such as damaged ones. They are kept apart; the document is what the others make.',
};

export class RoomView {
  readonly element: HTMLElement;
  readonly #api: Api;
  readonly #room: string;
  readonly #onChange: () => void;
  readonly #isOver: (error: unknown) => boolean;
  readonly #chips = h('div', { class: 'chips' });
  readonly #facts = h('dl', { class: 'facts' });
  readonly #people = new People((somebody) => void this.#removeOne(somebody));
  readonly #said = h('p', { class: 'said', role: 'status' });
  readonly #note = h('p', { class: 'list-note', role: 'status' });
  readonly #actions = h('div', { class: 'actions' });
  #isDeleted: boolean | undefined;
  #isBusy = false;
  /** Each look has a number: an answer to an older question is dropped. */
  #looks = 0;
  #underWay = 0;
  #readAt: Date | undefined;

  /** @param isOver whether the page is left because of this error */
  constructor(api: Api, room: string, onChange: () => void, isOver: (error: unknown) => boolean) {
    this.#api = api;
    this.#room = room;
    this.#onChange = onChange;
    this.#isOver = isOver;
    this.element = h(
      'section',
      { class: 'admin-card detail', 'aria-label': `Room ${shownName(room)}` },
      h(
        'div',
        { class: 'detail-head' },
        h(
          'a',
          { class: 'icon-button', href: '#', 'aria-label': 'All rooms', 'data-tip': 'All rooms' },
          icon('close'),
        ),
        h('h2', {}, shownName(room)),
        this.#chips,
      ),
      this.#note,
      this.#facts,
      this.#actions,
      this.#said,
      ...this.#people.elements,
    );
  }

  /** Unless a look is under way: a store that is away makes it a long one. */
  async refresh(): Promise<void> {
    if (this.#underWay === 0) await this.look();
  }

  async look(): Promise<void> {
    const look = ++this.#looks;
    this.#underWay++;
    // Who is there is known also where the store does not say what the room holds.
    await Promise.all([
      this.#read(look, this.#api.room(this.#room), (described) => this.#describe(described)),
      this.#read(look, this.#api.presence(this.#room), ({ people, total }) =>
        this.#people.show(people, total),
      ),
    ]);
    this.#underWay--;
  }

  async #read<T>(look: number, answer: Promise<T>, show: (answer: T) => void): Promise<void> {
    try {
      const answered = await answer;
      if (look === this.#looks) show(answered);
    } catch (error) {
      if (this.#isOver(error) || look !== this.#looks) return;
      if (error instanceof Refused && error.status === 404) return this.#say(error.message);
      this.#note.textContent =
        this.#readAt === undefined
          ? 'What this room holds cannot be read now.'
          : `What this room holds cannot be read now: this is of ${timeOf(this.#readAt)}.`;
    }
  }

  #describe({
    isOpen,
    isDeleted,
    sessions,
    seq,
    tail,
    snapshot,
    quarantined,
    merge,
    address,
  }: DescribedRoom): void {
    this.#readAt = new Date();
    this.#note.textContent = '';
    const state = isDeleted
      ? h('span', { class: 'chip stop' }, 'deleted')
      : isOpen
        ? h('span', { class: 'chip live' }, 'open here')
        : h('span', { class: 'chip' }, 'not open here');
    this.#chips.replaceChildren(state);
    // Of one that is deleted the numbers are still counted on, and would read as if it held something.
    const gone: readonly [text: string, more: string] = ['–', 'deleted'];
    const facts: readonly (readonly [term: string, text: string, more?: string])[] = [
      ['Sockets here', String(sessions)],
      isDeleted ? ['Log', ...gone] : ['Log', count(seq, 'entry', 'entries')],
      isDeleted
        ? [UNMERGED, ...gone]
        : tail.updates === 0
          ? [UNMERGED, 'nothing']
          : [UNMERGED, count(tail.updates, 'update'), size(tail.bytes)],
      isDeleted
        ? ['Snapshot', ...gone]
        : snapshot === null
          ? ['Snapshot', 'none']
          : ['Snapshot', size(snapshot.bytes), standOf(snapshot)],
      quarantined > 0
        ? [
            QUARANTINED,
            count(quarantined, 'entry', 'entries'),
            'could not be used, and are kept apart',
          ]
        : isDeleted
          ? [QUARANTINED, ...gone]
          : [QUARANTINED, 'nothing'],
      ...(merge === null ? [] : [[MERGING, ...troubleOf(merge)] as const]),
    ];
    this.#facts.replaceChildren(
      ...facts.map(([term, text, more]) =>
        h(
          'div',
          {
            class:
              (term === QUARANTINED && quarantined > 0) || term === MERGING ? 'fact bad' : 'fact',
          },
          h('dt', {}, h('span', { 'data-tip': HINTS[term] }, term)),
          h('dd', {}, text, ...(more === undefined ? [] : [h('small', {}, more)])),
        ),
      ),
    );
    if (isDeleted !== this.#isDeleted) this.#showActions(isDeleted, address);
    this.#isDeleted = isDeleted;
  }

  #showActions(isDeleted: boolean, address: string | null): void {
    const action = (name: AdminIcon, label: string, act: () => Promise<void>, kind = '') => {
      const button = h(
        'button',
        { type: 'button', class: `button ${kind}` },
        adminIcon(name),
        label,
      );
      button.addEventListener('click', () => void act());
      return button;
    };
    if (isDeleted) {
      this.#actions.replaceChildren(
        action('revive', 'Make the name usable again', () => this.#revive()),
      );
      return;
    }
    const downloads = (Object.keys(FILES) as (keyof typeof FILES)[]).map((form) => {
      const button = h('button', { type: 'button', class: 'button' }, FILES[form].label);
      button.addEventListener('click', () => void this.#download(form));
      return button;
    });
    this.#actions.replaceChildren(
      action('open', 'Preview', () => preview(this.#api, this.#room, this.#isOver)),
      ...(address === null ? [] : [openLink(address)]),
      h(
        'div',
        { class: 'downloads', role: 'group', 'aria-label': 'Download the document' },
        adminIcon('download'),
        ...downloads,
      ),
      action('compact', 'Compact now', () => this.#compact()),
      action('out', 'Remove everybody', () => this.#removeAll()),
      action('remove', 'Delete…', () => this.#remove(), 'danger'),
    );
  }

  async #download(form: keyof typeof FILES): Promise<void> {
    await this.#act(async () => {
      const blob = await (await this.#api.document(this.#room, form)).blob();
      const name = this.#room.replace(/[^\p{L}\p{N}._-]+/gu, '-');
      download(blob, `${name}.${FILES[form].ending}`);
      return `Downloaded ${size(blob.size)}.`;
    });
  }

  async #compact(): Promise<void> {
    await this.#act(async () => {
      const { isCompacted } = await this.#api.compact(this.#room);
      return isCompacted
        ? 'The snapshot holds all of the log.'
        : 'It could not be compacted; the server’s log says why.';
    });
  }

  async #removeOne({ name, about, isElsewhere }: Somebody): Promise<void> {
    if (about === undefined) return;
    const more =
      'client' in about
        ? ' Tabs of the same browser may share their connection, and end with it.'
        : '';
    if (!(await this.#isSure(name, more))) return;
    await this.#act(async () => {
      const { sessions } = await this.#api.kick(this.#room, about);
      if (sessions === 0 && isElsewhere) return `Removed: the server that has ${name} was told.`;
      return `${count(sessions, 'socket')} at this server closed.`;
    });
  }

  async #removeAll(): Promise<void> {
    if (!(await this.#isSure('everybody', ''))) return;
    await this.#act(async () => {
      const { sessions } = await this.#api.kick(this.#room, {});
      return `${count(sessions, 'socket')} at this server closed.`;
    });
  }

  async #isSure(name: string, more: string): Promise<boolean> {
    return await confirm({
      title: `Remove ${name}?`,
      text: `Their page says so, and does not come back by itself. What they are allowed decides whether they can open the document again.${more}`,
      action: 'Remove',
    });
  }

  async #remove(): Promise<void> {
    const isSure = await confirm({
      title: 'Delete this document for good?',
      text: 'Everybody is removed, what was written is gone, and the name stays deleted until it is made usable again.',
      action: 'Delete',
      typed: shownName(this.#room),
    });
    if (!isSure) return;
    await this.#act(async () => {
      await this.#api.remove(this.#room);
      return 'Deleted.';
    });
  }

  async #revive(): Promise<void> {
    await this.#act(async () => {
      await this.#api.revive(this.#room);
      return 'The name can be used again; the room is empty.';
    });
  }

  /** One at a time. @param act says what it has done */
  async #act(act: () => Promise<string>): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#say('');
    try {
      this.#say(await act());
    } catch (error) {
      if (!this.#isOver(error)) this.#say(`Not done: ${reasonOf(error)}.`);
    } finally {
      this.#isBusy = false;
    }
    void this.look();
    this.#onChange();
  }

  #say(text: string): void {
    this.#said.textContent = text;
  }
}

function troubleOf({
  problem,
  needsBytes,
  memoryBytes,
}: NonNullable<DescribedRoom['merge']>): [text: string, more: string] {
  if (problem === 'too-slow') return ['takes too long', 'it is tried again now and then'];
  const needs = needsBytes === null ? 'more memory' : `about ${size(needsBytes)} of memory`;
  return ['too large', `it needs ${needs}, and servers could take ${size(memoryBytes)}`];
}

function standOf({ seq, writtenAt }: { seq: number; writtenAt?: string }): string {
  if (writtenAt === undefined) return `up to entry ${seq.toLocaleString('en')}`;
  return ago(new Date(writtenAt), Date.now());
}

/** In the application, as its own user there: others see them. */
function openLink(address: string): HTMLElement {
  return h(
    'a',
    { class: 'button', href: hrefOf(address), target: '_blank', rel: 'noopener noreferrer' },
    icon('open'),
    'Open in the app',
  );
}

/** The server does not know under which path a proxy shows its own pages. */
function hrefOf(address: string): string {
  return address.startsWith('/') ? base + address.slice(1) : address;
}
