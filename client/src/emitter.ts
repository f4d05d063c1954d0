/**
 * Typed events that cannot upset their sender.
 *
 * Invariant: all listeners see all events in the order in which they were
 * emitted, even when a listener causes further events. So an event that is
 * emitted from within a listener, or within {@link Emitter.hold}, waits its turn.
 */

import { shielded } from './uncaught.js';

type Listener = (payload: never) => void;

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener>>();
  readonly #queue: { readonly name: keyof Events; readonly payload: unknown }[] = [];
  #holds = 0;
  #delivering = false;
  #closed = false;

  /** Adding the same listener twice has no effect. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void {
    if (this.#closed) return;
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  /** As `on`, for one event. Only a listener added with `on` can be removed. */
  once<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void {
    const onlyOnce = (payload: Events[Name]): void => {
      this.off(name, onlyOnce);
      listener(payload);
    };
    this.on(name, onlyOnce);
  }

  /** Removes a listener that was added with `on`. */
  off<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void {
    this.#listeners.get(name)?.delete(listener);
  }

  protected emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    if (this.#closed) return;
    this.#queue.push({ name, payload });
    this.#deliver();
  }

  /** Runs `work`; what is emitted meanwhile is delivered after it, so no listener sees a half-done change. */
  protected hold(work: () => void): void {
    this.#holds += 1;
    try {
      work();
    } finally {
      this.#holds -= 1;
      this.#deliver();
    }
  }

  /** Delivers what is waiting, then forgets all listeners and refuses new ones. */
  protected closeEmitter(): void {
    this.#closed = true;
    this.#deliver();
  }

  /**
   * Settles as soon as `isDone`, or `whyNever` has an answer; both are asked now
   * and after each of the events.
   */
  protected until(
    events: readonly (keyof Events)[],
    isDone: () => boolean,
    whyNever: () => Error | null,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const done = isDone();
        const error = done ? null : whyNever();
        if (!done && error === null) return;
        for (const event of events) this.off(event, check);
        if (error === null) resolve();
        else reject(error);
      };
      for (const event of events) this.on(event, check);
      check();
    });
  }

  #deliver(): void {
    if (this.#delivering || this.#holds > 0) return;
    this.#delivering = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { name, payload } = next;
      const listeners = this.#listeners.get(name) ?? new Set();
      for (const listener of [...listeners]) {
        if (listeners.has(listener)) shielded(() => listener(payload as never));
      }
    }
    this.#delivering = false;
    if (this.#closed) this.#listeners.clear();
  }
}
