/**
 * Which of a session's document messages are on disk.
 *
 * Messages are counted from 1 as they arrive. Each is settled at a position of
 * the room's tail (its own, or the last before it when it brought nothing new) or
 * stays open while something it needs is missing. `saved n` may be said once the
 * first n are all settled at or below the position up to which all is on disk.
 * Memory: one entry per distinct position in flight, which the log bounds, and one per
 * open message, which the session does.
 */
export class Acknowledgements {
  #received = 0;
  #said = 0;
  #open = 0;
  /** Ascending in `count`; the position of an open message is undefined. */
  readonly #waiting: { count: number; position: number | undefined }[] = [];

  /** @returns the number of the message that has just arrived */
  received(): number {
    return ++this.#received;
  }

  settle(count: number, position: number): void {
    if (count <= this.#said) return;
    const last = this.#waiting.at(-1);
    if (last === undefined || last.count < count) {
      if (last !== undefined && last.position === position) last.count = count;
      else this.#waiting.push({ count, position });
      return;
    }
    const open = this.#waiting.find((entry) => entry.count === count);
    if (open === undefined || open.position !== undefined) return;
    open.position = position;
    this.#open--;
  }

  /** The message waits for something that is not in the log. */
  open(count: number): void {
    this.#waiting.push({ count, position: undefined });
    this.#open++;
  }

  /** How many messages wait for something that is missing. */
  get openCount(): number {
    return this.#open;
  }

  /** A whole step 2 holds all that its client ever sent before it. */
  settleAllUpTo(count: number, position: number): void {
    for (const entry of this.#waiting) entry.position ??= position;
    this.#open = 0;
    this.settle(count, position);
  }

  /** Whether messages wait to be saved. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * @param durable the position up to which all is on disk
   * @returns the count to report, or undefined when it is the one reported last
   */
  saved(durable: number): number | undefined {
    let count = this.#said;
    while (this.#waiting.length > 0) {
      const { count: next, position } = this.#waiting[0]!;
      if (position === undefined || position > durable) break;
      count = next;
      this.#waiting.shift();
    }
    if (count === this.#said) return undefined;
    this.#said = count;
    return count;
  }
}
