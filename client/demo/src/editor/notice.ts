/** A line at the foot of the window that says what just happened, and goes by itself. */
import { h } from '../dom.js';
import { icon } from '../icons.js';

const SHOWN = 12_000;

export class Notice {
  readonly element = h('div', { role: 'status' });
  #timer: number | undefined;

  say(text: string): void {
    const close = h(
      'button',
      { type: 'button', class: 'icon-button', 'aria-label': 'Close' },
      icon('close'),
    );
    const hide = () => this.element.replaceChildren();
    close.addEventListener('click', hide);
    this.element.replaceChildren(h('div', { class: 'notice' }, h('p', {}, text), close));
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(hide, SHOWN);
  }
}
