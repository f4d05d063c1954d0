/**
 * How late the event loop is, over the last seconds: what everybody waits who is served here.
 *
 * A mean, not the worst: one long pause is over by the time that anybody could act on it,
 * and a loop that is late all the time has too much to do.
 */
import type { Clock, Timer } from './clock.js';
import type { Distribution } from './measures.js';

const LOOK_EVERY_MS = 250;
/** Looks that count: ten seconds of them. */
const LOOKS = 40;

export class LoopDelay {
  readonly #clock: Clock;
  readonly #delays: number[] = [];
  readonly #timer: Timer;
  readonly #all: Distribution;
  #lastLook: number;

  /** @param all has each look, beside the mean of the last ones */
  constructor(clock: Clock, all: Distribution) {
    this.#all = all;
    this.#clock = clock;
    this.#lastLook = clock.now();
    this.#timer = clock.every(LOOK_EVERY_MS, () => this.#look());
  }

  #look(): void {
    const now = this.#clock.now();
    const delay = Math.max(0, now - this.#lastLook - LOOK_EVERY_MS);
    this.#all.add(delay);
    this.#delays.push(delay);
    if (this.#delays.length > LOOKS) this.#delays.shift();
    this.#lastLook = now;
  }

  /** Milliseconds, on average; what was before the beginning counts as none. */
  get mean(): number {
    return this.#delays.reduce((sum, each) => sum + each, 0) / LOOKS;
  }

  close(): void {
    this.#timer.cancel();
  }
}
