/**
 * How deep the shared types of an update are nested in each other.
 *
 * Level 1 is what lies in a root; what lies in a type of level n has level n + 1. An update
 * itself shows only part of that: what it puts into a stored type, or beside a stored item,
 * is so many levels below an id that only the room knows (levels.ts). An item that names a
 * neighbour has the neighbour's parent, so its level follows from the neighbour's.
 */
import { Reader } from './bytes.js';
import type { Block } from './parsed.js';
import { KIND_SKIP, KIND_TYPE, NONE, newStruct, readStruct } from './struct.js';

/** The level of a stored id. */
export type LevelOf = (client: number, clock: number) => number;

/** For each struct of a client: its clocks, and the id that its level follows from. */
interface Column {
  readonly client: number;
  readonly starts: number[];
  readonly ends: number[];
  /** The parent itself, or a neighbour that has the same parent; {@link NONE} for what lies in a root. */
  readonly clients: number[];
  readonly clocks: number[];
  /** 1 where the id is the parent, or there is none: the struct lies a level below it. */
  readonly steps: number[];
  readonly isType: boolean[];
  /** Levels below the base, or {@link UNKNOWN}. */
  levels: Int32Array;
  /** Which of {@link Nesting.bases} the level counts from; 0 for a root. */
  bases: Int32Array;
}

/** A stored id that levels count from. */
interface Base {
  readonly client: number;
  readonly clock: number;
  /** Of the types that count from it, the most levels, 0 for one that lies beside it; {@link UNKNOWN} for no type. */
  levels: number;
}

const ROOT: Omit<Base, 'levels'> = { client: NONE, clock: NONE };
const NOT_YET = new Int32Array(0);
const UNKNOWN = -1;
/** On the path being resolved. Met again only in a circle, which admission refuses. */
const VISITING = -2;

export class Nesting {
  readonly #bytes: Uint8Array;
  readonly #blocks: readonly Block[];
  readonly #columns = new Map<number, Column>();
  readonly #bases: Base[] = [{ ...ROOT, levels: UNKNOWN }];
  readonly #struct = newStruct();
  /** The block being read, then, once all are read, the column being resolved. */
  #at = 0;
  #index = 0;
  #reader: Reader | undefined;
  #clock = 0;
  #resolving: Column[] | undefined;

  /** {@link step} until it is done. */
  constructor(bytes: Uint8Array, blocks: readonly Block[]) {
    this.#bytes = bytes;
    this.#blocks = blocks;
  }

  static of(bytes: Uint8Array, blocks: readonly Block[]): Nesting {
    const nesting = new Nesting(bytes, blocks);
    while (!nesting.step(Number.POSITIVE_INFINITY));
    return nesting;
  }

  /** Looks at up to `budget` structs. @returns whether all have been looked at */
  step(budget: number): boolean {
    for (let left = budget; left > 0; left--) {
      if (this.#resolving === undefined) this.#read();
      else if (this.#at === this.#resolving.length) return true;
      else this.#resolve(this.#resolving[this.#at]!);
    }
    return false;
  }

  /** The level of its deepest type; 0 where there is none. */
  deepest(levelOf: LevelOf): number {
    let deepest = 0;
    for (const { client, clock, levels } of this.#bases) {
      if (levels === UNKNOWN) continue;
      deepest = Math.max(deepest, levels + (client === NONE ? 0 : levelOf(client, clock)));
    }
    return deepest;
  }

  /** Each struct, those of a client in the order of its clocks. */
  forEach(
    levelOf: LevelOf,
    visit: (client: number, start: number, end: number, level: number, isType: boolean) => void,
  ): void {
    const bases = this.#bases.map(({ client, clock }) =>
      client === NONE ? 0 : levelOf(client, clock),
    );
    for (const column of this.#columns.values()) {
      for (let i = 0; i < column.starts.length; i++) {
        const level = column.levels[i]! + bases[column.bases[i]!]!;
        visit(column.client, column.starts[i]!, column.ends[i]!, level, column.isType[i]!);
      }
    }
  }

  #read(): void {
    const block = this.#blocks[this.#at];
    if (block === undefined) {
      this.#resolving = [...this.#columns.values()];
      for (const column of this.#resolving) {
        column.levels = new Int32Array(column.starts.length).fill(UNKNOWN);
        column.bases = new Int32Array(column.starts.length);
      }
      this.#at = 0;
      this.#index = 0;
      return;
    }
    let column = this.#columns.get(block.client);
    if (column === undefined) {
      column = newColumn(block.client);
      this.#columns.set(block.client, column);
      this.#reader = new Reader(this.#bytes, block.from);
      this.#clock = block.start;
      this.#index = 0;
    }
    const struct = this.#struct;
    readStruct(this.#reader!, struct);
    // What is skipped lies in the room: it is as outside as any other stored id.
    if (struct.kind !== KIND_SKIP) {
      column.starts.push(this.#clock);
      column.ends.push(this.#clock + struct.length);
      column.isType.push(struct.kind === KIND_TYPE);
      let step = 0;
      if (struct.originClient !== NONE) {
        column.clients.push(struct.originClient);
        column.clocks.push(struct.originClock);
      } else if (struct.rightClient !== NONE) {
        column.clients.push(struct.rightClient);
        column.clocks.push(struct.rightClock);
      } else {
        step = 1;
        column.clients.push(struct.parentClient);
        column.clocks.push(struct.parentClock);
      }
      column.steps.push(step);
    }
    this.#clock += struct.length;
    if (++this.#index === block.count) {
      this.#at++;
      this.#index = 0;
    }
  }

  #resolve(column: Column): void {
    const index = this.#index++;
    if (this.#index >= column.starts.length) {
      this.#at++;
      this.#index = 0;
    }
    if (index >= column.starts.length) return;
    this.#follow(column, index);
    if (!column.isType[index]) return;
    const base = this.#bases[column.bases[index]!]!;
    base.levels = Math.max(base.levels, column.levels[index]!);
  }

  /** Iterative, because the chain of neighbours is as long as the text. Each struct is resolved once. */
  #follow(column: Column, index: number): void {
    const path: { column: Column; index: number }[] = [];
    let at = column;
    let i = index;
    let level = 0;
    let base = 0;
    for (;;) {
      const known = at.levels[i]!;
      if (known >= 0) {
        level = known;
        base = at.bases[i]!;
        break;
      }
      if (known === VISITING) break;
      at.levels[i] = VISITING;
      path.push({ column: at, index: i });
      const client = at.clients[i]!;
      const clock = at.clocks[i]!;
      if (client === NONE) break;
      const next = this.#columns.get(client);
      const nextIndex = next === undefined ? NONE : indexAt(next, clock);
      if (next === undefined || nextIndex === NONE) {
        base = this.#bases.push({ client, clock, levels: UNKNOWN }) - 1;
        break;
      }
      at = next;
      i = nextIndex;
    }
    for (let p = path.length - 1; p >= 0; p--) {
      const step = path[p]!;
      level += step.column.steps[step.index]!;
      step.column.levels[step.index] = level;
      step.column.bases[step.index] = base;
    }
  }
}

function newColumn(client: number): Column {
  return {
    client,
    starts: [],
    ends: [],
    clients: [],
    clocks: [],
    steps: [],
    isType: [],
    levels: NOT_YET,
    bases: NOT_YET,
  };
}

/** Index of the struct that holds `clock`, or {@link NONE}. */
function indexAt({ starts, ends }: Column, clock: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= clock) low = middle + 1;
    else high = middle;
  }
  return low > 0 && clock < ends[low - 1]! ? low - 1 : NONE;
}
