/**
 * A room's tail as messages, none of them too large for a slow line.
 *
 * The tail is cut between its entries, which are causally closed in their order. One entry that is
 * too large by itself is cut inside by a worker, once for everybody. Invariant: of what the tail
 * does not hold any more nothing is kept.
 */
import type { Logger } from 'pino';
import type { Workers } from './compact/workers.js';
import { LARGE_MESSAGE, PIECE } from './update/cut.js';
import type { StateVector } from './update/state-vector.js';
import type { Tail } from './update/tail.js';

export interface StretchesDependencies {
  readonly workers: Pick<Workers, 'divide'>;
  readonly logger: Logger;
}

export class Stretches {
  readonly #deps: StretchesDependencies;
  readonly #tail: Tail;
  /** Large entries in pieces, by position. Made when there is one. */
  #cut: Map<number, readonly Uint8Array[]> | undefined;
  #cutting: Map<number, Promise<void>> | undefined;

  constructor(deps: StretchesDependencies, tail: Tail) {
    this.#deps = deps;
    this.#tail = tail;
  }

  /**
   * Everything behind `position`, in messages to be sent in this order; none if there is nothing.
   *
   * @param vector what need not be sent
   * @returns undefined while a large entry is being cut: see {@link ready}
   */
  behind(position: number, vector?: StateVector): readonly Uint8Array[] | undefined {
    const tail = this.#tail;
    const all = tail.since(position, vector);
    if (all.length <= LARGE_MESSAGE) return isEmpty(all) ? [] : [all];
    const messages: Uint8Array[] = [];
    let isWhole = true;
    let from = position;
    for (const to of tail.stops(position, PIECE)) {
      const stretch = tail.since(from, vector, to);
      from = to;
      if (stretch.length <= LARGE_MESSAGE) {
        if (!isEmpty(stretch)) messages.push(stretch);
        continue;
      }
      const pieces = this.#piecesOf(to);
      if (pieces === undefined) isWhole = false;
      else messages.push(...pieces);
    }
    return isWhole ? messages : undefined;
  }

  /** Resolves once what {@link behind} waited for is cut, or known to be sent whole. */
  async ready(): Promise<void> {
    await Promise.all(this.#cutting?.values() ?? []);
  }

  /** The tail was trimmed. */
  trimmed(): void {
    for (const position of this.#cut?.keys() ?? []) {
      if (position <= this.#tail.base) this.#cut?.delete(position);
    }
  }

  /** Of one entry, also of what a receiver may have of it. */
  #piecesOf(position: number): readonly Uint8Array[] | undefined {
    const known = this.#cut?.get(position);
    if (known !== undefined) return known;
    this.#cutting ??= new Map();
    if (!this.#cutting.has(position)) this.#cutting.set(position, this.#cutEntry(position));
    return undefined;
  }

  async #cutEntry(position: number): Promise<void> {
    const { workers, logger } = this.#deps;
    const entry = this.#tail.since(position - 1, undefined, position);
    let pieces: readonly Uint8Array[] | undefined;
    try {
      pieces = await workers.divide(entry);
    } catch (error) {
      logger.warn({ err: error }, 'an update could not be cut into pieces: it is sent whole');
    }
    this.#cutting?.delete(position);
    if (position <= this.#tail.base) return;
    this.#cut ??= new Map();
    this.#cut.set(position, pieces ?? [entry]);
  }
}

function isEmpty(update: Uint8Array): boolean {
  return update.length === 2;
}
