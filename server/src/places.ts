/**
 * Where a room's entries stand: in the store's log, and in this instance's tail.
 *
 * A *seq* is given by the store at the commit and is the same for every instance.
 * A *position* counts what this instance put into its tail, in the order in which
 * it did: its own updates at once, others' when they arrive. With one instance the
 * two are equal. What arrives ahead of its turn waits here, because only in the
 * order of seqs does every entry follow what it depends on.
 */

/** Bytes of others' entries that may wait for what lies before them; beyond it the store is asked. */
const MAX_EARLY_BYTES = 4 * 1024 * 1024;

export interface Arrived {
  readonly seq: number;
  readonly update: Uint8Array;
}

export class Places {
  #head: number;
  #base: number;
  #trimmed: number;
  /** The seq of each position behind the base; infinite while the store has not given one. */
  readonly #seqs: number[] = [];
  /** Own positions that are not committed, ascending, each with the head when it was admitted. */
  readonly #uncommitted: { readonly position: number; readonly head: number }[] = [];
  /** Seqs beyond the head that are known: others' with their update, own with none. Undefined for none. */
  #early: Map<number, Uint8Array | undefined> | undefined;
  #earlyBytes = 0;

  /**
   * @param base the seq that the snapshot reaches; the first position is the one behind it
   * @param head the seq that the loaded tail reaches: so far positions are equal to seqs
   */
  constructor(base: number, head: number) {
    this.#head = head;
    this.#base = base;
    this.#trimmed = base;
    for (let seq = base + 1; seq <= head; seq++) this.#seqs.push(seq);
  }

  /** Every entry up to this seq is in the snapshot or in the tail. */
  get head(): number {
    return this.#head;
  }

  /** The newest position. */
  get last(): number {
    return this.#base + this.#seqs.length;
  }

  /** Everything up to this position is on disk. */
  get durable(): number {
    return (this.#uncommitted[0]?.position ?? this.last + 1) - 1;
  }

  /** The highest seq of the positions that were forgotten: what a snapshot must reach to be read with this tail. */
  get trimmed(): number {
    return this.#trimmed;
  }

  /** Whether entries are known to lie beyond others that have not arrived. */
  get hasHole(): boolean {
    return this.#early !== undefined;
  }

  /** @returns the position of an own update that is on its way to the store */
  admitted(): number {
    this.#seqs.push(Number.POSITIVE_INFINITY);
    this.#uncommitted.push({ position: this.last, head: this.#head });
    return this.last;
  }

  /**
   * The oldest `count` own updates have been given seqs.
   *
   * @returns false when the store gave a seq that the log had already reached before: it went back
   */
  committed(first: number, count: number): boolean {
    const positions = this.#uncommitted.splice(0, count);
    let isForward = true;
    for (const [i, { position, head }] of positions.entries()) {
      const seq = first + i;
      if (seq <= head) isForward = false;
      this.#seqs[position - this.#base - 1] = seq;
      if (seq === this.#head + 1 && this.#early === undefined) this.#head = seq;
      else if (seq > this.#head) this.#put(seq, undefined);
    }
    this.#pass();
    return isForward;
  }

  /** An entry of another instance, from the relay or from the store. What is known already is dropped. */
  arrived(seq: number, update: Uint8Array): void {
    if (seq <= this.#head || this.#early?.has(seq)) return;
    if (seq > this.#head + 1 && this.#earlyBytes + update.length > MAX_EARLY_BYTES) return;
    this.#put(seq, update);
  }

  /** @returns the next entry whose turn it is, to be applied before the next call */
  next(): Arrived | undefined {
    const seq = this.#head + 1;
    const update = this.#early?.get(seq);
    if (update === undefined) return undefined;
    this.#drop(seq);
    this.#head = seq;
    this.#pass();
    return { seq, update };
  }

  /** @returns the position of others' entries that are in the tail now, the last of them at `seq` */
  applied(seq: number): number {
    this.#seqs.push(seq);
    return this.last;
  }

  /** What is missing up to `seq` is in what was applied, or will never be. */
  skipTo(seq: number): void {
    for (const early of [...(this.#early?.keys() ?? [])]) if (early <= seq) this.#drop(early);
    this.#head = Math.max(this.#head, seq);
    this.#pass();
  }

  /** The seq of a position that is kept; infinite while the store has not given one. */
  seqAt(position: number): number {
    return this.#seqs[position - this.#base - 1] ?? 0;
  }

  /** The last position for which it and all before it have a seq up to `seq`. */
  within(seq: number): number {
    let count = 0;
    while (count < this.#seqs.length && this.#seqs[count]! <= seq) count++;
    return this.#base + count;
  }

  /** Forgets the positions up to and with this one. */
  trim(position: number): void {
    const count = position - this.#base;
    if (count <= 0) return;
    for (const seq of this.#seqs.splice(0, count)) this.#trimmed = Math.max(this.#trimmed, seq);
    this.#base = position;
  }

  /** Own entries need no applying: they were in the tail before they had a seq. */
  #pass(): void {
    while (this.#early?.has(this.#head + 1) && this.#early.get(this.#head + 1) === undefined) {
      this.#drop(this.#head + 1);
      this.#head++;
    }
  }

  #put(seq: number, update: Uint8Array | undefined): void {
    this.#drop(seq);
    this.#early ??= new Map();
    this.#early.set(seq, update);
    this.#earlyBytes += update?.length ?? 0;
  }

  #drop(seq: number): void {
    this.#earlyBytes -= this.#early?.get(seq)?.length ?? 0;
    this.#early?.delete(seq);
    if (this.#early?.size === 0) this.#early = undefined;
  }
}
