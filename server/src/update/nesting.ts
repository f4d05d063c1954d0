/**
 * How deep the shared types of one update are nested in each other.
 *
 * Yjs deletes and encodes nested types by recursion: some thousands of levels
 * end in a stack overflow halfway through a transaction, on every later load.
 * Only what the update itself holds is seen here; a document made deep by many
 * updates is found by the compaction worker, which has the document.
 */
import { Reader } from './bytes.js';
import type { Block } from './parsed.js';
import { UpdateRefused } from './refused.js';
import { KIND_TYPE, MAX_NESTING, NONE, newStruct, readStruct } from './struct.js';

/** For each struct: its clock, and the id that its depth follows from. */
interface Column {
  readonly clocks: number[];
  /** The parent itself, or a neighbour that has the same parent; {@link NONE} for a child of a root. */
  readonly clients: number[];
  readonly targets: number[];
  /** 1 where the id is the parent itself, so that the struct is a level below it. */
  readonly steps: number[];
  readonly isType: boolean[];
  /** Levels below a root that the update itself shows. */
  depths: Int32Array;
}

export class TypeNesting {
  readonly #bytes: Uint8Array;
  readonly #blocks: readonly Block[];
  readonly #columns = new Map<number, Column>();
  readonly #struct = newStruct();
  /** The block being read, then, once all are read, the column being checked. */
  #at = 0;
  #index = 0;
  #reader: Reader | undefined;
  #clock = 0;
  #checking: Column[] | undefined;

  constructor(bytes: Uint8Array, blocks: readonly Block[]) {
    this.#bytes = bytes;
    this.#blocks = blocks;
  }

  /**
   * Looks at up to `budget` structs.
   *
   * @returns whether all have been looked at
   * @throws {UpdateRefused} when types are nested more than {@link MAX_NESTING} levels
   */
  step(budget: number): boolean {
    for (let left = budget; left > 0; left--) {
      if (this.#checking === undefined) this.#read();
      else if (this.#at === this.#checking.length) return true;
      else this.#check(this.#checking);
    }
    return false;
  }

  #read(): void {
    const block = this.#blocks[this.#at];
    if (block === undefined) {
      this.#checking = [...this.#columns.values()];
      for (const column of this.#checking)
        column.depths = new Int32Array(column.clocks.length).fill(UNKNOWN);
      this.#at = 0;
      return;
    }
    let column = this.#columns.get(block.client);
    if (column === undefined) {
      column = { clocks: [], clients: [], targets: [], steps: [], isType: [], depths: NO_DEPTHS };
      this.#columns.set(block.client, column);
      this.#reader = new Reader(this.#bytes, block.from);
      this.#clock = block.start;
      this.#index = 0;
    }
    const struct = this.#struct;
    readStruct(this.#reader!, struct);
    column.clocks.push(this.#clock);
    if (struct.parentClient !== NONE) {
      column.clients.push(struct.parentClient);
      column.targets.push(struct.parentClock);
    } else if (struct.originClient !== NONE) {
      column.clients.push(struct.originClient);
      column.targets.push(struct.originClock);
    } else {
      column.clients.push(struct.rightClient);
      column.targets.push(struct.rightClock);
    }
    column.steps.push(struct.parentClient !== NONE ? 1 : 0);
    column.isType.push(struct.kind === KIND_TYPE);
    this.#clock += struct.length;
    if (++this.#index === block.count) {
      this.#at++;
      this.#index = 0;
    }
  }

  #check(columns: readonly Column[]): void {
    const column = columns[this.#at]!;
    if (column.isType[this.#index] && depthOf(column, this.#index, this.#columns) > MAX_NESTING) {
      throw new UpdateRefused('shared types are nested too deep');
    }
    if (++this.#index >= column.clocks.length) {
      this.#at++;
      this.#index = 0;
    }
  }
}

const NO_DEPTHS = new Int32Array(0);

/** Iterative, because the chain of neighbours is as long as the text. Each struct is resolved once. */
function depthOf(column: Column, index: number, columns: ReadonlyMap<number, Column>): number {
  const path: { column: Column; index: number }[] = [];
  let at: Column | undefined = column;
  let i = index;
  let depth = 0;
  while (at !== undefined && i >= 0) {
    const known: number = at.depths[i]!;
    if (known === VISITING) break;
    if (known >= 0) {
      depth = known;
      break;
    }
    at.depths[i] = VISITING;
    path.push({ column: at, index: i });
    const client: number = at.clients[i]!;
    const clock: number = at.targets[i]!;
    at = client === NONE ? undefined : columns.get(client);
    i = at === undefined ? NONE : indexAt(at.clocks, clock);
  }
  for (let p = path.length - 1; p >= 0; p--) {
    const step = path[p]!;
    depth += step.column.steps[step.index]!;
    step.column.depths[step.index] = depth;
  }
  return depth;
}

const UNKNOWN = -1;
/** On the path being resolved. Met again only in a circle, which admission refuses. */
const VISITING = -2;

/** Index of the struct that holds `clock`, or -1 before the first. */
function indexAt(clocks: readonly number[], clock: number): number {
  let low = 0;
  let high = clocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (clocks[middle]! <= clock) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
