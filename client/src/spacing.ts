/**
 * How long a refused change waits until it is reverted.
 *
 * An editor that answers each change of the document with one of its own, such as a last empty
 * line, answers a revert, too. The answer is refused, and so on, as fast as the server replies.
 * So the first revert comes at once, and each that follows soon waits twice as long. Pure.
 */

/** Milliseconds that the second revert waits. */
const FIRST = 500;
const LAST = 30_000;

export class Spacing {
  #revertedAt = Number.NEGATIVE_INFINITY;
  #wait = 0;

  /**
   * Something was refused.
   *
   * @returns when it may be reverted, by the clock
   */
  next(now: number): number {
    // It was quiet for longer than an answer would have waited: this is none.
    if (now > this.#revertedAt + 2 * Math.max(FIRST, this.#wait)) this.#wait = 0;
    return Math.max(now, this.#revertedAt + this.#wait);
  }

  reverted(now: number): void {
    this.#revertedAt = now;
    this.#wait = Math.min(LAST, Math.max(FIRST, 2 * this.#wait));
  }
}
