/** A token bucket: how often something may happen, with room for a burst. */

export interface Rate {
  /** How much a second, in the long run. */
  readonly perSecond: number;
  /** How much at once after a pause. */
  readonly burst: number;
}

export class Bucket {
  readonly #rate: Rate;
  /** Below 0 what was taken is still to be earned. */
  #left: number;
  #at: number;

  /** @param now in milliseconds that only go forward */
  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#at = now;
  }

  /**
   * Takes that much, also more than there is: what is larger than a burst has to be
   * possible, and is paid for afterwards.
   *
   * @returns milliseconds until it is paid for; 0 when it was there
   */
  take(amount: number, now: number): number {
    this.#earn(now);
    this.#left -= amount;
    return this.#left >= 0 ? 0 : this.#msFor(-this.#left);
  }

  /** Takes that much if it is there. */
  tryTake(amount: number, now: number): boolean {
    this.#earn(now);
    if (this.#left < amount) return false;
    this.#left -= amount;
    return true;
  }

  /** Milliseconds until that much is there. */
  wait(amount: number, now: number): number {
    this.#earn(now);
    return this.#left >= amount ? 0 : this.#msFor(amount - this.#left);
  }

  /** Whether nothing was taken of late, so that a new one would be the same. */
  isFull(now: number): boolean {
    this.#earn(now);
    return this.#left >= this.#rate.burst;
  }

  /** In whole milliseconds: after a part of one a timer would ring too early, again and again. */
  #msFor(amount: number): number {
    return Math.ceil((amount / this.#rate.perSecond) * 1_000);
  }

  #earn(now: number): void {
    const { perSecond, burst } = this.#rate;
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1_000) * perSecond);
    this.#at = now;
  }
}
