/**
 * Who is in a room: one line for each user by their authentication, each connection of those whom nobody
 * knows, or each client at another server. What somebody says of themselves puts them together with
 * nobody: it may be anything.
 */
import { shownName, visible } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { initials, personFrom, textOn } from '../../demo/src/people.js';
import type { PresentPerson } from './api.js';
import { adminIcon } from './icons.js';
import { arrange } from './page.js';
import { count, momentOf } from './words.js';

/** Somebody, and what a kick has to name to end them and nobody else. */
export interface Somebody {
  readonly key: string;
  readonly name: string;
  /** Undefined where nobody knows who they are and they show nothing: only everybody can be removed. */
  readonly about: { readonly user: string } | { readonly client: number } | undefined;
  readonly isElsewhere: boolean;
}

interface Line extends Somebody {
  readonly color: string;
  readonly detail: string;
}

interface Shown {
  readonly element: HTMLElement;
  show(line: Line): void;
}

export class People {
  readonly #title = h('h3', { id: 'people' }, 'People');
  readonly #list = h('ul', { class: 'present', 'aria-labelledby': 'people' });
  readonly #nobody = h('p', { class: 'nothing' }, 'Nobody is here.');
  readonly elements = [this.#title, this.#list, this.#nobody];
  readonly #shown = new Map<string, Shown>();
  readonly #onRemove: (somebody: Somebody) => void;

  constructor(onRemove: (somebody: Somebody) => void) {
    this.#onRemove = onRemove;
  }

  show(people: readonly PresentPerson[], total: number): void {
    const lines = linesOf(people);
    // Those who did not fit into the answer are in nobody's line.
    const isAll = people.length === total;
    const said = isAll ? lines.length : total;
    this.#title.textContent = said === 0 ? 'People' : count(said, 'person', 'people');
    this.#nobody.hidden = total > 0;
    const elements = lines.map((line) => {
      const shown = this.#shown.get(line.key) ?? this.#made();
      this.#shown.set(line.key, shown);
      shown.show(line);
      return shown.element;
    });
    arrange(this.#list, elements);
    for (const [key, { element }] of this.#shown) {
      if (!element.isConnected) this.#shown.delete(key);
    }
  }

  #made(): Shown {
    const avatar = h('span', { class: 'avatar', 'aria-hidden': 'true' });
    const name = h('span');
    const detail = h('small');
    const remove = h(
      'button',
      { type: 'button', class: 'button small' },
      adminIcon('out'),
      'Remove',
    );
    let current: Line | undefined;
    remove.addEventListener('click', () => {
      if (current !== undefined) this.#onRemove(current);
    });
    return {
      element: h('li', {}, avatar, h('span', { class: 'present-name' }, name, detail), remove),
      show: (line) => {
        current = line;
        avatar.textContent = initials(line.name);
        avatar.style.setProperty('--peer', line.color);
        avatar.style.setProperty('--on-peer', textOn(line.color));
        name.textContent = line.name;
        detail.textContent = line.detail;
        remove.hidden = line.about === undefined;
        remove.setAttribute('aria-label', `Remove ${line.name}`);
      },
    };
  }
}

function linesOf(people: readonly PresentPerson[]): Line[] {
  const groups = new Map<string, PresentPerson[]>();
  for (const person of people) {
    const key = keyOf(person);
    groups.set(key, [...(groups.get(key) ?? []), person]);
  }
  return [...groups].map(([key, group]) => lineOf(key, group));
}

function keyOf({ user, connection, client }: PresentPerson): string {
  if (user !== null) return `user ${user}`;
  return connection === null ? `client ${client}` : `connection ${connection}`;
}

function lineOf(key: string, group: readonly PresentPerson[]): Line {
  // Who shows something of themselves says more than who does not.
  const first = group.find(({ client }) => client !== null) ?? group[0]!;
  const { name: called, color } = personFrom(userOf(first.state));
  const { user, client } = first;
  const since = group.flatMap(({ since }) => (since === null ? [] : [since])).sort()[0];
  const isElsewhere = group.every(({ connection }) => connection === null);
  const detail = [
    user === null ? (client === null ? '' : `client ${client}`) : shownName(user),
    group.length > 1 ? count(group.length, 'tab or connection', 'tabs or connections') : '',
    since === undefined ? '' : `since ${momentOf(new Date(since))}`,
    isElsewhere ? 'at another server' : '',
  ];
  return {
    key,
    color,
    name: client === null ? silentName(first) : visible(called),
    detail: detail.filter((part) => part !== '').join(' · '),
    about: user !== null ? { user } : client !== null ? { client } : undefined,
    isElsewhere,
  };
}

function silentName({ user, connection }: PresentPerson): string {
  return user === null ? `Connection ${connection}, which shows nobody` : shownName(user);
}

function userOf(state: unknown): unknown {
  const { user } = (typeof state === 'object' && state !== null ? state : {}) as { user?: unknown };
  return user;
}
