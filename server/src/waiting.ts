/**
 * When members with something that waits for others are given another try.
 *
 * What waits may be large and wait for long, and a hostile client can make it
 * depend on each of its keystrokes. So tries are gathered, are made in slices of
 * the loop's time, and take a tenth of it at most.
 */
import type { Clock } from './clock.js';

/** A member, as far as waiting goes. */
export interface Waiter {
  /** Whether something of it waits for others' edits or for a client id. */
  readonly isWaiting: boolean;
}

const RETRY_MS = 50;
const SLICE_MS = 2;
const SHARE = 10;

export class Waiting<W extends Waiter> {
  readonly #clock: Clock;
  readonly #retry: (waiter: W, isFreed: boolean) => void;
  /** Undefined for none, as in nearly every room. */
  #waiters: Set<W> | undefined;
  /** From the first change until the round that it leads to is over. */
  #isScheduled = false;
  #isRunning = false;
  /** Something has changed since the round began. */
  #isStale = false;
  #isFreed = false;
  #delay = RETRY_MS;

  /** @param retry tries again what one member waits with; must not throw */
  constructor(clock: Clock, retry: (waiter: W, isFreed: boolean) => void) {
    this.#clock = clock;
    this.#retry = retry;
  }

  add(waiter: W): void {
    this.#waiters ??= new Set();
    this.#waiters.add(waiter);
  }

  remove(waiter: W): void {
    this.#waiters?.delete(waiter);
    if (this.#waiters?.size === 0) this.#waiters = undefined;
  }

  /** Something has changed. @param isFreed somebody has left, so that their client ids are free */
  changed(isFreed: boolean): void {
    if (this.#waiters === undefined) return;
    this.#isFreed ||= isFreed;
    if (this.#isRunning) this.#isStale = true;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.after(this.#delay, () => {
      const freed = this.#isFreed;
      this.#isFreed = false;
      this.#isRunning = true;
      this.#slice([...(this.#waiters ?? [])], 0, freed, 0);
    });
  }

  #slice(waiters: readonly W[], first: number, isFreed: boolean, spent: number): void {
    const start = this.#clock.now();
    let next = first;
    while (next < waiters.length && this.#clock.now() - start <= SLICE_MS) {
      const waiter = waiters[next++]!;
      if (!this.#waiters?.has(waiter)) continue;
      this.#retry(waiter, isFreed);
      if (!waiter.isWaiting) this.remove(waiter);
    }
    const cost = spent + this.#clock.now() - start;
    if (next < waiters.length) {
      this.#clock.soon(() => this.#slice(waiters, next, isFreed, cost));
      return;
    }
    this.#delay = Math.max(RETRY_MS, (SHARE - 1) * cost);
    this.#isScheduled = false;
    this.#isRunning = false;
    if (this.#isStale || this.#isFreed) {
      this.#isStale = false;
      this.changed(false);
    }
  }
}
