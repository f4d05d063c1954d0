/**
 * Work that would keep others waiting takes turns: all of it together gets a few
 * milliseconds of each turn of the event loop, a piece at a time, everybody in order.
 *
 * What is small and rare does not come here and is done at once; so one that sends much,
 * or many who do, delay it by one such slice at most.
 */
import type { Clock, Timer } from './clock.js';

/** Does a piece of work of a millisecond or less. @returns whether there is more to do */
export type Piece = () => boolean;

/** Milliseconds of a turn of the loop. */
const SLICE_MS = 2;
/** Milliseconds until it is looked again whether work may go on. */
const REST_MS = 5;

export class Turns {
  readonly #clock: Clock;
  readonly #mustRest: () => boolean;
  #queue: Piece[] = [];
  #timer: Timer | undefined;

  /** @param mustRest whether nothing of this may be done now, such as while the store does not keep up */
  constructor(clock: Clock, mustRest: () => boolean = () => false) {
    this.#clock = clock;
    this.#mustRest = mustRest;
  }

  /** @param piece is called again and again until it says that there is no more; must not throw */
  take(piece: Piece): void {
    this.#queue.push(piece);
    this.#schedule();
  }

  /** @param spent milliseconds of this turn */
  #schedule(spent = 0): void {
    if (this.#timer !== undefined) return;
    // A piece that was larger than a slice is paid for by all.
    const rest = this.#mustRest() ? REST_MS : spent > 2 * SLICE_MS ? spent : 0;
    if (rest > 0) {
      this.#timer = this.#clock.after(rest, () => this.#slice());
    } else {
      this.#timer = { cancel: () => undefined };
      this.#clock.soon(() => this.#slice());
    }
  }

  #slice(): void {
    this.#timer = undefined;
    const start = this.#clock.now();
    let next = 0;
    // Those that have more to do stand behind all others again. One is done in any case.
    while (next < this.#queue.length && !this.#mustRest()) {
      const piece = this.#queue[next++]!;
      if (piece()) this.#queue.push(piece);
      if (this.#clock.now() - start >= SLICE_MS) break;
    }
    this.#queue.splice(0, next);
    if (this.#queue.length > 0) this.#schedule(this.#clock.now() - start);
  }

  /** @returns the milliseconds that it took */
  timed(work: () => void): number {
    const start = this.#clock.now();
    work();
    return this.#clock.now() - start;
  }

  /** What has not had its turn is not done. */
  close(): void {
    this.#queue = [];
    this.#timer?.cancel();
  }
}
