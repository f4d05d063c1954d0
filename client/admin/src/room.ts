/** One room: who is there, what its log is like, and what can be done with it. */
import { h } from '../../demo/src/dom.js';
import { icon } from '../../demo/src/icons.js';
import { initials, personFrom, textOn } from '../../demo/src/people.js';
import { type Api, type DescribedRoom, Refused, type ShownPerson } from './api.js';
import { confirm } from './dialog.js';
import { type AdminIcon, adminIcon } from './icons.js';
import { arrange } from './page.js';
import { ago, count, size } from './words.js';

const FILES = {
  update: { label: 'Yjs', ending: 'yjs', tip: 'All of it, as one Yjs update' },
  json: { label: 'JSON', ending: 'json', tip: 'As JSON' },
  text: { label: 'Text', ending: 'txt', tip: 'As text, without marks' },
} as const;

export class RoomView {
  readonly element: HTMLElement;
  readonly #api: Api;
  readonly #room: string;
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #chips = h('div', { class: 'chips' });
  readonly #facts = h('dl', { class: 'facts' });
  readonly #people = h('ul', { class: 'present' });
  readonly #peopleTitle = h('h3', {}, 'People');
  readonly #nobody = h('p', { class: 'nothing' }, 'Nobody is shown here.');
  readonly #said = h('p', { class: 'said', role: 'status' });
  readonly #actions = h('div', { class: 'actions' });
  readonly #persons = new Map<string, HTMLElement>();
  #isDeleted: boolean | undefined;
  #isBusy = false;

  constructor(api: Api, room: string, onChange: () => void, onError: (error: unknown) => void) {
    this.#api = api;
    this.#room = room;
    this.#onChange = onChange;
    this.#onError = onError;
    this.element = h(
      'section',
      { class: 'card detail', 'aria-label': `Room ${room}` },
      h(
        'div',
        { class: 'detail-head' },
        h(
          'a',
          { class: 'icon-button', href: '#', 'aria-label': 'All rooms', 'data-tip': 'All rooms' },
          icon('close'),
        ),
        h('h2', {}, room),
        this.#chips,
      ),
      this.#facts,
      this.#actions,
      this.#said,
      this.#peopleTitle,
      this.#people,
      this.#nobody,
    );
  }

  async look(): Promise<void> {
    try {
      const [described, present] = await Promise.all([
        this.#api.room(this.#room),
        this.#api.presence(this.#room),
      ]);
      this.#describe(described);
      this.#showPeople(present.people, present.total);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) this.#say(error.message);
      else this.#onError(error);
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
  }: DescribedRoom): void {
    const state = isDeleted
      ? h('span', { class: 'chip stop' }, 'deleted')
      : isOpen
        ? h('span', { class: 'chip live' }, 'open here')
        : h('span', { class: 'chip' }, 'not open here');
    this.#chips.replaceChildren(state);
    const facts: readonly [term: string, text: string, more?: string][] = [
      ['Sockets here', String(sessions)],
      ['Log', count(seq, 'entry', 'entries')],
      tail.updates === 0
        ? ['Behind the snapshot', 'nothing']
        : ['Behind the snapshot', count(tail.updates, 'update'), size(tail.bytes)],
      snapshot === null
        ? ['Snapshot', 'none']
        : ['Snapshot', size(snapshot.bytes), standOf(snapshot)],
      ['Set aside', quarantined === 0 ? 'nothing' : count(quarantined, 'entry', 'entries')],
    ];
    this.#facts.replaceChildren(
      ...facts.map(([term, text, more]) =>
        h(
          'div',
          { class: term === 'Set aside' && quarantined > 0 ? 'fact bad' : 'fact' },
          h('dt', {}, term),
          h('dd', {}, text, ...(more === undefined ? [] : [h('small', {}, more)])),
        ),
      ),
    );
    if (isDeleted !== this.#isDeleted) this.#showActions(isDeleted);
    this.#isDeleted = isDeleted;
  }

  #showPeople(people: readonly ShownPerson[], total: number): void {
    this.#peopleTitle.textContent = total === 0 ? 'People' : count(total, 'person', 'people');
    this.#nobody.hidden = total > 0;
    const elements = people.map((person) => {
      // A new name makes it another element, and nothing else does.
      const key = JSON.stringify([person.client, userOf(person.state)]);
      const element = this.#persons.get(key) ?? this.#person(person);
      this.#persons.set(key, element);
      return element;
    });
    arrange(this.#people, elements);
    for (const [key, element] of this.#persons) {
      if (!element.isConnected) this.#persons.delete(key);
    }
  }

  #person({ client, state }: ShownPerson): HTMLElement {
    const user = userOf(state);
    const { name, color } = personFrom(user);
    const id = typeof user?.id === 'string' ? user.id : undefined;
    const avatar = h('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(name));
    avatar.style.setProperty('--peer', color);
    avatar.style.setProperty('--on-peer', textOn(color));
    const out = h(
      'button',
      {
        type: 'button',
        class: 'icon-button',
        'aria-label': `Show ${name} out`,
        'data-tip': 'Show out of this room',
      },
      adminIcon('out'),
    );
    out.addEventListener('click', () => void this.#kick(id, name));
    return h(
      'li',
      {},
      avatar,
      h(
        'span',
        { class: 'present-name' },
        name,
        h('small', {}, id === undefined ? `client ${client}` : id),
      ),
      ...(id === undefined ? [] : [out]),
    );
  }

  #showActions(isDeleted: boolean): void {
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
      const { label, tip } = FILES[form];
      const button = h('button', { type: 'button', class: 'button', 'data-tip': tip }, label);
      button.addEventListener('click', () => void this.#download(form));
      return button;
    });
    this.#actions.replaceChildren(
      h(
        'div',
        { class: 'downloads', role: 'group', 'aria-label': 'Download the document' },
        adminIcon('download'),
        ...downloads,
      ),
      action('compact', 'Compact now', () => this.#compact()),
      action('out', 'Show everybody out', () => this.#kick(undefined, 'everybody')),
      action('remove', 'Delete…', () => this.#remove(), 'danger'),
    );
  }

  async #download(form: keyof typeof FILES): Promise<void> {
    await this.#act(async () => {
      const blob = await this.#api.document(this.#room, form);
      const link = h('a', {
        href: URL.createObjectURL(blob),
        download: `${this.#room.replace(/[^\p{L}\p{N}._-]+/gu, '-')}.${FILES[form].ending}`,
      });
      link.click();
      URL.revokeObjectURL(link.href);
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

  async #kick(user: string | undefined, name: string): Promise<void> {
    const isSure = await confirm({
      title: `Show ${name} out?`,
      text: 'They are told so, and do not come back by themselves. Whether they may is for their tokens to say.',
      action: 'Show out',
    });
    if (!isSure) return;
    await this.#act(async () => {
      const { sessions } = await this.#api.kick(this.#room, user);
      return `${count(sessions, 'socket')} at this server closed.`;
    });
  }

  async #remove(): Promise<void> {
    const isSure = await confirm({
      title: 'Delete this document for good?',
      text: 'Everybody is shown out, what was written is gone, and the name stays deleted until it is made usable again.',
      action: 'Delete',
      typed: this.#room,
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
      if (error instanceof Refused && error.status !== 401)
        this.#say(`Not done: ${error.message}.`);
      else this.#onError(error);
    } finally {
      this.#isBusy = false;
    }
    await this.look();
    this.#onChange();
  }

  #say(text: string): void {
    this.#said.textContent = text;
  }
}

function standOf({ seq, writtenAt }: { seq: number; writtenAt?: string }): string {
  if (writtenAt === undefined) return `up to entry ${seq.toLocaleString('en')}`;
  return ago(new Date(writtenAt), Date.now());
}

function userOf(state: unknown): { readonly id?: unknown } | undefined {
  const { user } = (typeof state === 'object' && state !== null ? state : {}) as { user?: object };
  return typeof user === 'object' && user !== null ? user : undefined;
}
