/**
 * What a room's log holds: the clock reached by each client, and everything deleted.
 *
 * Invariant: equal to the state vector and delete set of a `Y.Doc` that applied
 * the log, as far as the log says so. (Yjs deletes some items by itself while it
 * integrates, such as the loser of two concurrent map entries; those arrive as
 * deletions with the next full delete set of a client or from compaction.)
 */
import type { Parsed } from './parsed.js';
import { RangeSet, type Ranges } from './ranges.js';
import { encodeStateVector, type StateVector } from './state-vector.js';

const NOTHING: StateVector = new Map();
const EMPTY_VECTOR = encodeStateVector(NOTHING);

export class Frontier {
  /** Undefined while nothing was written. */
  #vector: Map<number, number> | undefined;
  deletes = new RangeSet();
  #encoded: Uint8Array | undefined;

  get vector(): StateVector {
    return this.#vector ?? NOTHING;
  }

  clock(client: number): number {
    return this.#vector?.get(client) ?? 0;
  }

  reach(client: number, clock: number): void {
    this.#vector ??= new Map();
    this.#vector.set(client, clock);
    this.#encoded = undefined;
  }

  /** The state vector as Yjs encodes it; kept until the next change, do not write into it. */
  encodedVector(): Uint8Array {
    if (this.#vector === undefined) return EMPTY_VECTOR;
    this.#encoded ??= encodeStateVector(this.#vector);
    return this.#encoded;
  }

  /** Takes over what a snapshot holds, given as its state vector and an update of deletions only. */
  load(vector: StateVector, deletions: Pick<Parsed, 'deletes'>): void {
    for (const [client, clock] of vector) this.reach(client, Math.max(clock, this.clock(client)));
    this.addDeletes(deletions.deletes);
  }

  addDeletes(deletes: Iterable<readonly [number, Ranges]>): void {
    for (const [client, ranges] of deletes) this.deletes.addAll(client, ranges);
  }
}
