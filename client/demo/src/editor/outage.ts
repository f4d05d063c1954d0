/** Whether the server has been away for so long that the page says so. */
import type { CowriteProvider } from '@cowrite/client';

/** A server that restarts is back sooner; to say anything of that would only startle. */
const PATIENCE = 700;

export class Outage {
  #isOut = false;
  #timer: number | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(provider: CowriteProvider) {
    provider.on('status', () => this.#follow(provider));
    this.#follow(provider);
  }

  get isOut(): boolean {
    return this.#isOut;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #follow({ status }: CowriteProvider): void {
    if (status === 'online' || status === 'refused' || status === 'closed') {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#set(false);
    } else if (status === 'retrying' || status === 'offline') {
      this.#timer ??= window.setTimeout(() => this.#set(true), PATIENCE);
    }
  }

  #set(isOut: boolean): void {
    if (this.#isOut === isOut) return;
    this.#isOut = isOut;
    for (const listener of this.#listeners) listener();
  }
}
