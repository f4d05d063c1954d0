/**
 * Following a person: the page scrolls to where they write, until one scrolls or writes oneself,
 * presses Escape, or they leave.
 */
import { h } from '../dom.js';
import { type Person, textOn } from '../people.js';
import type { Carets } from './carets.js';

export interface Followed {
  /** What stays the same while their tabs come and go. */
  readonly key: string;
  readonly person: Person;
}

/** What moves the page or the caret; a page that went on following would pull it away again. */
const OWN_WAYS = new Set(['PageUp', 'PageDown', 'Home', 'End', 'ArrowUp', 'ArrowDown']);
/** Pixels above the lower edge of the window in which nobody would see what comes next. */
const MARGIN = 96;

export class Following {
  readonly element = h('div', { class: 'following' });
  readonly #status = h('p', { role: 'status' });
  readonly #stop = h('button', { type: 'button', class: 'button' }, 'Stop following');
  readonly #carets: Carets;
  readonly #header: () => DOMRectReadOnly;
  readonly #listeners: (() => void)[] = [];
  #followed: Followed | undefined;
  #tabs: readonly number[] = [];
  #isWaiting = false;

  /** @param header what covers the upper part of the window */
  constructor(carets: Carets, header: () => DOMRectReadOnly) {
    this.#carets = carets;
    this.#header = header;
    // A status that is there before it says something is read out when it does.
    this.element.append(this.#status, this.#stop);
    this.#stop.hidden = true;
    this.#stop.addEventListener('click', () => this.stop());
    for (const type of ['wheel', 'touchmove'] as const) {
      document.addEventListener(type, () => this.stop(), { passive: true });
    }
    document.addEventListener('keydown', ({ key, target }) => {
      const isInPanel = target instanceof Element && target.closest('[popover], dialog') !== null;
      if (!isInPanel && (key === 'Escape' || OWN_WAYS.has(key))) this.stop();
    });
  }

  get key(): string | undefined {
    return this.#followed?.key;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  start(followed: Followed, tabs: readonly number[]): void {
    this.#followed = followed;
    this.#tabs = tabs;
    const { color } = followed.person;
    this.element.style.setProperty('--peer', color);
    this.element.style.setProperty('--on-peer', textOn(color));
    this.#stop.hidden = false;
    this.#changed();
    this.follow();
  }

  stop(text = ''): void {
    if (!this.#followed) return;
    this.#followed = undefined;
    const hadFocus = this.#stop.matches(':focus');
    this.#stop.hidden = true;
    this.#status.textContent = text;
    if (hadFocus) document.getElementById('editor')?.focus({ preventScroll: true });
    this.#changed();
  }

  /** Their name and tabs, as of now. */
  update(person: Person, tabs: readonly number[]): void {
    if (!this.#followed) return;
    this.#followed = { ...this.#followed, person };
    this.#tabs = tabs;
    this.follow();
  }

  left(): void {
    if (this.#followed) this.stop(`${this.#followed.person.name} is not here any more`);
  }

  /** Scrolls to where they are, once the editor shows them there. */
  follow(): void {
    if (!this.#followed || this.#isWaiting) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => {
      this.#isWaiting = false;
      this.#show();
    });
  }

  #show(): void {
    if (!this.#followed) return;
    const { name } = this.#followed.person;
    const caret = this.#carets.lastMoved(this.#tabs);
    const text = caret ? `Following ${name}` : `Following ${name}, who is not in the text`;
    if (this.#status.textContent !== text) this.#status.textContent = text;
    if (!caret) return;
    const { top, bottom } = caret.getBoundingClientRect();
    if (top > this.#header().bottom && bottom < window.innerHeight - MARGIN) return;
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    caret.scrollIntoView({ block: 'center', behavior: isCalm ? 'auto' : 'smooth' });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
