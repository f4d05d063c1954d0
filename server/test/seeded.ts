/**
 * Random numbers that a seed repeats.
 *
 * `npm test` takes the same seed each time, so that it fails for what was changed
 * and not for luck. `SEED=random` explores; the seed is printed before it is used,
 * `SEED=<seed>` repeats it, and one that failed once stays as a test of its own.
 */

const USUAL_SEED = 1;

/** The seed that the environment asks for. */
export function chosenSeed(): number {
  const { SEED } = process.env;
  if (SEED === 'random') return Math.floor(Math.random() * 2 ** 31);
  return SEED === undefined ? USUAL_SEED : Number(SEED);
}

export class Dice {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** @param what the test's tag, printed with the seed */
  static announced(what: string): Dice {
    const seed = chosenSeed();
    console.log(`${what} SEED=${seed}`);
    return new Dice(seed);
  }

  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** True in `share` of all cases. */
  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
