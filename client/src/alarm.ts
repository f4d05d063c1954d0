/**
 * One timer for a deadline that keeps moving.
 *
 * Invariant: at most one timer exists, and none while there is no deadline. A
 * deadline that moves away leaves the timer as it is, because every frame moves
 * one: so the alarm may ring early, but never late.
 */
import type { Clock, TimerHandle } from './clock.js';

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: { readonly handle: TimerHandle; readonly at: number } | null = null;

  /** @param ring called at the deadline or before; it is to call {@link set} again. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** @param deadline in the clock's milliseconds; null for none. */
  set(deadline: number | null): void {
    if (this.#timer !== null) {
      if (deadline !== null && this.#timer.at <= deadline) return;
      this.#clock.clearTimeout(this.#timer.handle);
      this.#timer = null;
    }
    if (deadline === null) return;
    const onTimeout = (): void => {
      this.#timer = null;
      this.#ring();
    };
    const wait = Math.max(0, deadline - this.#clock.now());
    this.#timer = { handle: this.#clock.setTimeout(onTimeout, wait), at: deadline };
  }
}
