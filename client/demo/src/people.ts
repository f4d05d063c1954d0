/**
 * Who somebody is: name, colour, initials. Names and colours of others come from their browsers and
 * are made safe here before anything shows them.
 */
import { read, write } from './storage.js';
import type { Claims } from './token.js';
import { randomOf, randomPersonName } from './words.js';

export const NAME_LENGTH = 40;

export interface Person {
  readonly name: string;
  /** `#rrggbb` */
  readonly color: string;
  /**
   * The same in all tabs of one person; undefined for somebody who has not said it. Where people
   * have tokens it is the server's word, elsewhere each one's own, as the name is.
   */
  readonly id: string | undefined;
}

/**
 * Each colour carries white text at 4.5:1 and stands out from the light and from the dark page at
 * 3:1, so that one value serves labels, carets and avatars in both themes.
 */
export const COLOURS: readonly { readonly label: string; readonly value: string }[] = [
  { label: 'Teal', value: '#0a7a70' },
  { label: 'Orange', value: '#bd4b0a' },
  { label: 'Violet', value: '#7a4fd0' },
  { label: 'Blue', value: '#1a6fc4' },
  { label: 'Rose', value: '#c92f66' },
  { label: 'Green', value: '#3a7d2c' },
  { label: 'Ochre', value: '#8f6400' },
  { label: 'Magenta', value: '#a93aa8' },
  { label: 'Steel', value: '#4c6f8c' },
  { label: 'Brick', value: '#b5463f' },
];

/** What is shown for a person whose awareness says something unusable. */
export function personFrom(user: unknown): Person {
  const { name, color, id } = (typeof user === 'object' && user !== null ? user : {}) as Record<
    string,
    unknown
  >;
  return {
    name: (typeof name === 'string' && cleanName(name)) || 'Guest',
    color: typeof color === 'string' && /^#[0-9a-f]{6}$/i.test(color) ? color : '#4c6f8c',
    id: typeof id === 'string' && id !== '' ? id : undefined,
  };
}

export function cleanName(name: string): string {
  return name.replace(/\s+/g, ' ').trim().slice(0, NAME_LENGTH).trim();
}

export function initials(name: string): string {
  const words = name.split(' ').filter((word) => /[\p{L}\p{N}]/u.test(word));
  const first = words[0] ?? name;
  const last = words.length > 1 ? words[words.length - 1] : undefined;
  return [first, last]
    .map((word) => (word ? (/[\p{L}\p{N}]/u.exec(word)?.[0] ?? '') : ''))
    .join('')
    .toUpperCase();
}

/** @returns black or white, whichever is easier to read on a colour that another client chose. */
export function textOn(color: string): '#ffffff' | '#10201b' {
  const channel = (start: number) => {
    const value = Number.parseInt(color.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
  return luminance > 0.19 ? '#10201b' : '#ffffff';
}

/** Where the browser remembers its person. */
const KEPT = 'cowrite:person';

/** This person, in this tab. */
export class Me {
  #person: Person;
  /** A colour chosen by hand is never changed to tell two people apart. */
  #picked: boolean;
  /** Whether this browser remembers name and colour. */
  readonly #kept: boolean;
  /** Whether a token says the name, so that it cannot be chosen here. */
  readonly isNamed: boolean;

  private constructor(
    person: Person,
    { picked, kept, named }: { picked: boolean; kept: boolean; named: boolean },
  ) {
    this.#person = person;
    this.#picked = picked;
    this.#kept = kept;
    this.isNamed = named;
  }

  /**
   * `?name=` names the tab only, so that several people can be tried in one browser. A token's name
   * comes before it: others see that one.
   */
  static load(search: string, claims: Claims | undefined): Me {
    const browser = keptPerson();
    const id = claims?.id ?? browser.person.id;
    const claimed = cleanName(claims?.name ?? '');
    if (claimed) {
      const person = { ...browser.person, name: claimed, id };
      return new Me(person, { picked: browser.picked, kept: false, named: true });
    }
    const named = cleanName(new URLSearchParams(search).get('name') ?? '');
    if (named) {
      const person = {
        name: named,
        color: randomOf(COLOURS).value,
        id: claims?.id ?? `${id}:${named}`,
      };
      return new Me(person, { picked: false, kept: false, named: false });
    }
    const person = { ...browser.person, id };
    return new Me(person, { picked: browser.picked, kept: claims === undefined, named: false });
  }

  get person(): Person {
    return this.#person;
  }

  rename(name: string): void {
    this.#person = { ...this.#person, name: cleanName(name) || this.#person.name };
    this.#keep();
  }

  pickColour(color: string): void {
    this.#person = { ...this.#person, color };
    this.#picked = true;
    this.#keep();
  }

  /**
   * Moves to a free colour if somebody who comes first has this one.
   * @returns whether the colour changed.
   */
  yieldColour(taken: ReadonlySet<string>): boolean {
    if (this.#picked || !taken.has(this.#person.color)) return false;
    const free = COLOURS.find(({ value }) => !taken.has(value));
    if (!free) return false;
    this.#person = { ...this.#person, color: free.value };
    return true;
  }

  /**
   * Takes the colour of another tab of this person.
   * @returns whether the colour changed.
   */
  adoptColour(color: string): boolean {
    if (this.#picked || color === this.#person.color) return false;
    this.#person = { ...this.#person, color };
    return true;
  }

  /** Calls once another tab has named this person, or picked their colour. */
  onChangedElsewhere(call: () => void): void {
    if (!this.#kept) return;
    addEventListener('storage', ({ key, newValue }) => {
      if (key !== KEPT || newValue === null) return;
      const { person, picked } = keptPerson();
      if (person.id !== this.#person.id) return;
      this.#person = picked ? person : { ...person, color: this.#person.color };
      this.#picked = picked;
      call();
    });
  }

  #keep(): void {
    if (this.#kept) write(KEPT, { ...this.#person, picked: this.#picked });
  }
}

/** Who this browser's person is; somebody new where it remembers nobody. */
function keptPerson(): { readonly person: Person; readonly picked: boolean } {
  const stored = read(KEPT);
  if (typeof stored === 'object' && stored !== null && 'name' in stored) {
    const person = personFrom(stored);
    if (person.id !== undefined) {
      return { person, picked: 'picked' in stored && stored.picked === true };
    }
  }
  const person = { name: randomPersonName(), color: randomOf(COLOURS).value, id: randomId() };
  write(KEPT, { ...person, picked: false });
  return { person, picked: false };
}

/** `randomUUID` is there on secure origins only. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
