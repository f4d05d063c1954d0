/** What a parsed update is described by: flat, by clocks and offsets, with nothing of its content. */
import type { Nesting } from './nesting.js';
import type { Ranges } from './ranges.js';

/** The structs of one client, contiguous but for skips. */
export interface Block {
  readonly client: number;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  /** The structs' bytes are `update.subarray(from, to)`. */
  readonly from: number;
  readonly to: number;
}

/** Clocks `[start, end)` of a block. */
export interface Span {
  readonly block: number;
  readonly start: number;
  readonly end: number;
}

/** A struct needs an id of another client. */
export interface Reference extends Span {
  readonly client: number;
  readonly clock: number;
}

export interface Parsed {
  /** The update itself, not copied. */
  readonly bytes: Uint8Array;
  readonly blocks: readonly Block[];
  /** In the order of the structs. */
  readonly references: readonly Reference[];
  /** Clocks that a block passes over without saying what is there. */
  readonly skips: readonly Span[];
  /** Structs that arrive deleted: GC and ContentDeleted. */
  readonly bornDeleted: readonly Span[];
  readonly deletes: ReadonlyMap<number, Ranges>;
  /** False when bytes must be written anew before anyone else may read them: unsorted or overlapping deletions, empty blocks. */
  readonly canonical: boolean;
  /** How many shared types it brings, at most. */
  readonly types: number;
  /** Whether it brings a value that is nested too deep. */
  readonly hasDeepValues: boolean;
  /** How its types lie in each other, once that was worked out. */
  nesting?: Nesting | undefined;
  /** Of its deepest type in the document, once that was worked out. */
  level?: number | undefined;
}
