/**
 * Reads a whole V1 update: strictly, once, in linear time, without building an item.
 *
 * What comes out is what admission needs: where each client's structs lie, which
 * ids they refer to beyond their own client's past, and what is deleted.
 * Nothing is kept of the content; it stays bytes.
 */
import { Reader } from './bytes.js';
import { Nesting } from './nesting.js';
import { MAX_NESTING } from './nesting-limits.js';
import type { Block, Parsed, Reference, Span } from './parsed.js';
import { canonicalise, type Ranges } from './ranges.js';
import { UpdateRefused, UpdateTooLarge } from './refused.js';
import {
  KIND_DELETED,
  KIND_GC,
  KIND_SKIP,
  KIND_TYPE,
  MAX_CLOCK,
  NONE,
  newStruct,
  readStruct,
} from './struct.js';

/** Smallest struct, block and delete section, in bytes: what a declared count is held against before it is believed. */
const MIN_STRUCT = 2;
const MIN_BLOCK = 3;
const MIN_DELETES = 2;
const NO_DELETES: ReadonlyMap<number, Ranges> = new Map();

/**
 * References to other clients, and deleted ranges, of one update that a client sends: admission
 * looks at all of them in one turn of the loop. What is stored is many of those in one, and may
 * have more.
 */
const MOST_SENT = 1_000_000;
export const UNBOUNDED = Number.POSITIVE_INFINITY;
/** Every Yjs client sorts its delete set; sorting for one that does not is a favour, and has an end. */
const MAX_UNSORTED = 10_000;

/**
 * @param bytes a V1 update; kept by reference in the result
 * @param most how many references, and how many deleted ranges, it may have
 * @throws {UpdateRefused} when no honest client can have written it
 */
export function parseUpdate(bytes: Uint8Array, most = MOST_SENT): Parsed {
  const parser = new UpdateParser(bytes, most);
  while (!parser.step(Number.POSITIVE_INFINITY));
  return parser.result();
}

/** As {@link parseUpdate} of what was admitted long ago, without its references: those of a large document take more memory than it. */
export function parseOutline(bytes: Uint8Array): Parsed {
  const parser = new UpdateParser(bytes, UNBOUNDED, false);
  while (!parser.step(Number.POSITIVE_INFINITY));
  return parser.result();
}

/** Reads an update in steps, for one that is too large to be read in a single turn of the loop. */
export class UpdateParser {
  readonly #reader: Reader;
  readonly #most: number;
  readonly #keepsReferences: boolean;
  readonly #blocks: Block[] = [];
  readonly #references: Reference[] = [];
  readonly #skips: Span[] = [];
  readonly #bornDeleted: Span[] = [];
  /** Undefined for none, as in most updates: a map costs as much as all else of a keystroke. */
  #deletes: Map<number, Ranges> | undefined;
  readonly #struct = newStruct();
  readonly #seen: Set<number> | undefined;
  #canonical = true;
  #ranges = 0;
  #types = 0;
  #blocksLeft: number;
  /** The block that is being read, and how many of its structs are still to come. */
  #open: { client: number; start: number; count: number; from: number } | undefined;
  #structsLeft = 0;
  #clock = 0;
  #hasDeepValues = false;
  #nesting: Nesting | undefined;
  /** Clients whose deletions are still to come; undefined before the first. */
  #deletesLeft: number | undefined;
  /** The client whose deletions are being read, and how many ranges of it are still to come. */
  #openDeletes: { client: number; ranges: Ranges; left: number } | undefined;
  #areDeletesRead = false;

  /**
   * @param most as in {@link parseUpdate}
   * @throws {UpdateRefused}
   */
  constructor(bytes: Uint8Array, most = MOST_SENT, keepsReferences = true) {
    const reader = new Reader(bytes);
    this.#reader = reader;
    this.#most = most;
    this.#keepsReferences = keepsReferences;
    this.#blocksLeft = reader.uint();
    if (this.#blocksLeft * MIN_BLOCK > reader.left) {
      throw new UpdateRefused('more clients declared than sent');
    }
    this.#seen = this.#blocksLeft > 1 ? new Set() : undefined;
  }

  /**
   * Reads up to `budget` structs and deleted ranges, or a few more.
   *
   * @returns whether all is read, so that {@link result} may be called
   * @throws {UpdateRefused}
   */
  step(budget: number): boolean {
    if (this.#nesting !== undefined) return this.#nesting.step(budget);
    for (let left = budget; left > 0; ) {
      if (this.#open !== undefined) {
        const count = Math.min(this.#structsLeft, left);
        this.#readStructs(this.#open, count);
        left -= count;
      } else if (this.#blocksLeft > 0) {
        this.#openBlock();
        left--;
      } else if (!this.#areDeletesRead) {
        left -= this.#readDeletes(left);
      } else {
        // Of fewer types it is worked out where it matters, and in one go.
        if (this.#types <= MAX_NESTING || !this.#keepsReferences) return true;
        this.#nesting = new Nesting(this.#reader.bytes, this.#blocks);
        return this.#nesting.step(left);
      }
    }
    return false;
  }

  result(): Parsed {
    return {
      bytes: this.#reader.bytes,
      blocks: this.#blocks,
      references: this.#references,
      skips: this.#skips,
      bornDeleted: this.#bornDeleted,
      deletes: this.#deletes ?? NO_DELETES,
      canonical: this.#canonical,
      types: this.#types,
      hasDeepValues: this.#hasDeepValues,
      nesting: this.#nesting,
      level: undefined,
    };
  }

  #openBlock(): void {
    const reader = this.#reader;
    this.#blocksLeft--;
    const count = reader.uint();
    const client = reader.uint();
    const start = reader.uint();
    if (count * MIN_STRUCT > reader.left)
      throw new UpdateRefused('more structs declared than sent');
    if (this.#seen?.has(client)) throw new UpdateRefused('two blocks of one client');
    this.#seen?.add(client);
    if (count === 0) {
      this.#canonical = false;
      return;
    }
    this.#open = { client, start, count, from: reader.pos };
    this.#structsLeft = count;
    this.#clock = start;
  }

  #readStructs(
    { client, start, count, from }: { client: number; start: number; count: number; from: number },
    budget: number,
  ): void {
    const reader = this.#reader;
    const struct = this.#struct;
    const block = this.#blocks.length;
    let clock = this.#clock;
    for (let i = 0; i < budget; i++) {
      readStruct(reader, struct);
      const end = clock + struct.length;
      if (end > MAX_CLOCK) throw new UpdateRefused('a clock passes 2^32');
      if (struct.kind === KIND_SKIP) {
        pushJoined(this.#skips, block, clock, end);
      } else if (struct.kind === KIND_GC) {
        pushJoined(this.#bornDeleted, block, clock, end);
      } else {
        if (struct.kind === KIND_DELETED) pushJoined(this.#bornDeleted, block, clock, end);
        else if (struct.kind === KIND_TYPE) this.#types++;
        if (struct.isDeepValue) this.#hasDeepValues = true;
        if (!this.#keepsReferences) {
          clock = end;
          continue;
        }
        refer(struct.originClient, struct.originClock, client, block, clock, end, this.#references);
        refer(struct.rightClient, struct.rightClock, client, block, clock, end, this.#references);
        refer(struct.parentClient, struct.parentClock, client, block, clock, end, this.#references);
      }
      clock = end;
    }
    if (this.#references.length > this.#most)
      throw new UpdateTooLarge('it has too many references for one message');
    this.#clock = clock;
    this.#structsLeft -= budget;
    if (this.#structsLeft > 0) return;
    this.#blocks.push({ client, start, end: clock, count, from, to: reader.pos });
    this.#open = undefined;
  }

  /** @returns how many ranges it read, at least 1 */
  #readDeletes(budget: number): number {
    const reader = this.#reader;
    let read = 1;
    if (this.#deletesLeft === undefined) {
      this.#deletesLeft = reader.uint();
      if (this.#deletesLeft * MIN_DELETES > reader.left) {
        throw new UpdateRefused('more deletions declared than sent');
      }
    }
    while (read <= budget) {
      if (this.#openDeletes === undefined) {
        if (this.#deletesLeft === 0) break;
        this.#deletesLeft--;
        this.#openDeletes = this.#openDeletesOf(reader.uint(), reader.uint());
      }
      const open = this.#openDeletes;
      const count = Math.min(open.left, budget - read + 1);
      this.#readRanges(open.ranges, count);
      open.left -= count;
      read += count + 1;
      if (open.left > 0) return read;
      this.#closeDeletes(open.client, open.ranges);
    }
    if (this.#deletesLeft > 0 || this.#openDeletes !== undefined) return read;
    this.#areDeletesRead = true;
    if (reader.left > 0) throw new UpdateRefused(`${reader.left} bytes after the update`);
    return read;
  }

  #openDeletesOf(client: number, count: number) {
    if (count * MIN_DELETES > this.#reader.left) {
      throw new UpdateRefused('more deletions declared than sent');
    }
    if (this.#deletes?.has(client)) throw new UpdateRefused('two delete sets of one client');
    this.#ranges += count;
    if (this.#ranges > this.#most)
      throw new UpdateTooLarge('it has too many deletions for one message');
    const ranges: Ranges = [];
    return { client, ranges, left: count };
  }

  #readRanges(ranges: Ranges, count: number): void {
    const reader = this.#reader;
    for (let i = 0; i < count; i++) {
      const start = reader.uint();
      const length = reader.uint();
      if (start + length > MAX_CLOCK) throw new UpdateRefused('a clock passes 2^32');
      if (length > 0) ranges.push(start, start + length);
      else this.#canonical = false;
    }
  }

  #closeDeletes(client: number, ranges: Ranges): void {
    this.#openDeletes = undefined;
    if (!canonicalise(ranges, this.#most === UNBOUNDED ? UNBOUNDED : MAX_UNSORTED))
      this.#canonical = false;
    if (ranges.length > 0) {
      this.#deletes ??= new Map();
      this.#deletes.set(client, ranges);
    } else this.#canonical = false;
  }
}

function pushJoined(spans: Span[], block: number, start: number, end: number): void {
  const last = spans.at(-1);
  if (last?.block === block && last.end === start) spans[spans.length - 1] = { ...last, end };
  else spans.push({ block, start, end });
}

/** Own references are met by the block's own order, unless they point at the struct itself or ahead of it. */
function refer(
  client: number,
  clock: number,
  own: number,
  block: number,
  start: number,
  end: number,
  into: Reference[],
): void {
  if (client === NONE) return;
  if (client !== own) into.push({ block, start, end, client, clock });
  else if (clock >= start) throw new UpdateRefused('a struct refers to itself or its own future');
}
