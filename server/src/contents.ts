/**
 * What a room holds of its document, without holding the document: the frontier,
 * the tail, where its entries stand in the log, and which snapshot lies before them.
 *
 * Invariants: the log stays causally closed; the tail reaches back to the
 * snapshot; others' entries are applied in the order of their seqs.
 */
import type { LoadedRoom } from './load.js';
import { type Arrived, Places } from './places.js';
import type { SnapshotMeta } from './storage/storage.js';
import { admit, type Sender, type Verdict } from './update/admit.js';
import type { Depth } from './update/depth.js';
import type { Frontier } from './update/frontier.js';
import { type Comparison, comparisonOf, findContradiction, hasKnown } from './update/known.js';
import { parseUpdate, UNBOUNDED } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { RangeSet } from './update/ranges.js';
import { decodeReach } from './update/reach.js';
import { ClientIdConflict } from './update/refused.js';
import type { StateVector } from './update/state-vector.js';
import type { Tail } from './update/tail.js';

export class Contents {
  /** For reading; what changes it goes through here. */
  readonly tail: Tail;
  readonly #frontier: Frontier;
  readonly #depth: Depth;
  readonly #places: Places;
  #snapshot: SnapshotMeta | undefined;
  /** The snapshot's state vector, decoded at the first question. */
  #snapshotVector: StateVector | undefined;
  /** The position up to which the snapshot holds the tail too, and the bytes of that part. */
  #compacted: { position: number; bytes: number };

  constructor({ frontier, tail, depth, snapshot, head }: LoadedRoom) {
    this.tail = tail;
    this.#depth = depth;
    this.#frontier = frontier;
    this.#snapshot = snapshot;
    this.#places = new Places(snapshot?.seq ?? 0, head);
    this.#compacted = { position: tail.base, bytes: 0 };
  }

  /** The newest position. */
  get last(): number {
    return this.tail.last;
  }

  /** All up to this position is on disk. */
  get durable(): number {
    return this.#places.durable;
  }

  /** Every entry of the log up to this seq is held. */
  get head(): number {
    return this.#places.head;
  }

  /** Whether entries wait for others before them. */
  get hasHole(): boolean {
    return this.#places.hasHole;
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  /** The life of the room that this was loaded from: the store's snapshots of another are not of this document. */
  get life(): number {
    return this.#snapshot?.life ?? 0;
  }

  /** Of the snapshot; only while there is one. */
  get snapshotVector(): StateVector {
    this.#snapshotVector ??= decodeReach(this.#snapshot!.stateVector).vector;
    return this.#snapshotVector;
  }

  /** As Yjs encodes it; not to be written into. */
  get stateVector(): Uint8Array {
    return this.#frontier.encodedVector();
  }

  /** How many units of this client's clock are held. */
  clock(client: number): number {
    return this.#frontier.clock(client);
  }

  /** Bytes of the snapshot and of what is behind it. */
  get size(): number {
    return (this.#snapshot?.size ?? 0) + this.tail.size - this.#compacted.bytes;
  }

  /** Of the tail only what no snapshot holds: the rest is kept for somebody who is behind. */
  get uncompacted() {
    return {
      bytes: this.tail.size - this.#compacted.bytes,
      updates: this.tail.last - this.#compacted.position,
      snapshotBytes: this.#snapshot?.size ?? 0,
    };
  }

  /** Whether an update has anything that is not held. */
  isNews(update: Parsed): boolean {
    if (update.blocks.some(({ client, end }) => end > this.#frontier.clock(client))) return true;
    for (const [client, ranges] of update.deletes) {
      for (let i = 0; i < ranges.length; i += 2) {
        const fresh: number[] = [];
        this.#frontier.deletes.subtractFrom(client, ranges[i]!, ranges[i + 1]!, fresh);
        if (fresh.length > 0) return true;
      }
    }
    return false;
  }

  /**
   * An update as it may be admitted: what of it lies too deep and is deleted has nothing in it.
   *
   * @returns undefined when it nests too deep
   */
  vet(update: Parsed): Parsed | undefined {
    return this.#depth.vet(update, this.tail, this.#frontier);
  }

  /** What an update has to be compared with before it is admitted, because {@link admit} does not; undefined for nothing. */
  comparison(update: Parsed): Comparison | undefined {
    return comparisonOf(update, this.#frontier, this.tail);
  }

  /**
   * Takes what can be taken of an update that came here first, and was {@link vet}ted.
   *
   * @throws {UpdateRefused} also when it contradicts the tail, where a look at that does not take long
   */
  admit(update: Parsed, sender?: Sender): Verdict {
    if (sender !== undefined && hasKnown(update, this.#frontier)) {
      const found = findContradiction(update, this.#frontier, this.tail);
      if (found !== undefined) throw new ClientIdConflict(found.client, found.clock);
    }
    const verdict = admit(this.#frontier, update, sender);
    if (verdict.change !== undefined) {
      this.tail.append(this.#places.admitted(), verdict.change);
      this.#depth.admitted(update);
    }
    return verdict;
  }

  /**
   * The oldest `count` updates that came here first are in the log, the first of them at this seq.
   *
   * @returns false when the store went back: the log had already reached that seq
   */
  committed(first: number, count: number): boolean {
    return this.#places.committed(first, count);
  }

  /** An entry of another instance; what is known is dropped. Then {@link next}. */
  arrived(seq: number, update: Uint8Array): void {
    this.#places.arrived(seq, update);
  }

  /** The next entry whose turn it is: apply it before anything else. */
  next(): Arrived | undefined {
    return this.#places.next();
  }

  /**
   * Takes an entry of the log, or an update that holds all up to `seq`. Where two contradict each
   * other, the log has that with the lower seq.
   *
   * @throws {ClientIdConflict} when what is held is the later one
   * @throws {UpdateRefused}
   */
  apply(seq: number, update: Uint8Array): Verdict {
    const parsed = parseUpdate(update, UNBOUNDED);
    if (hasKnown(parsed, this.#frontier)) {
      const found = findContradiction(parsed, this.#frontier, this.tail);
      const position = found && this.tail.positionOf(found.client, found.clock);
      if (position !== undefined && this.#places.seqAt(position) > seq) {
        throw new ClientIdConflict(found!.client, found!.clock);
      }
    }
    const verdict = admit(this.#frontier, parsed);
    if (verdict.change !== undefined) {
      this.tail.append(this.#places.applied(seq), verdict.change);
      this.#depth.admitted(parsed);
    }
    return verdict;
  }

  /** What is missing up to `seq` is held by now, or will never come. */
  skipTo(seq: number): void {
    this.#places.skipTo(seq);
  }

  /** The position behind which the tail has what a snapshot at `seq` does not hold; undefined when some of it is gone. */
  endOf(seq: number): number | undefined {
    return seq < this.#places.trimmed ? undefined : this.#places.within(seq);
  }

  /**
   * The store's snapshot is this one from now on.
   *
   * @returns false when it is no newer than the one known, or reaches beyond the head
   */
  adopt(snapshot: SnapshotMeta): boolean {
    if (snapshot.seq <= (this.#snapshot?.seq ?? 0) || snapshot.seq > this.head) return false;
    this.#snapshot = snapshot;
    this.#snapshotVector = undefined;
    // Anew, because what a poisoned entry deleted is not deleted.
    this.#frontier.deletes = new RangeSet();
    this.#frontier.addDeletes(parseUpdate(snapshot.deletes, UNBOUNDED).deletes);
    const position = this.#places.within(snapshot.seq);
    const behind = parseUpdate(this.tail.since(position), UNBOUNDED);
    this.#depth.adopt(decodeReach(snapshot.stateVector).levels, position, behind.types);
    this.#frontier.addDeletes(behind.deletes);
    for (const { block, start, end } of behind.bornDeleted) {
      this.#frontier.deletes.add(behind.blocks[block]!.client, start, end);
    }
    return true;
  }

  /** Whether the tail still has what the snapshot holds. */
  get isTrimmable(): boolean {
    return this.#places.trimmed < (this.#snapshot?.seq ?? 0);
  }

  /** Forgets what the snapshot holds, up to the position `needed` at most: somebody may still be sent what lies behind that. */
  trim(needed: number): void {
    const held = this.#places.within(this.#snapshot?.seq ?? 0);
    const position = Math.min(held, needed);
    this.tail.trim(position);
    this.#places.trim(position);
    this.#compacted = { position: held, bytes: this.tail.size - this.tail.sizeBehind(held) };
  }
}
