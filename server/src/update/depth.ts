/**
 * Whether the types of an update would lie too deep in the document that is stored.
 *
 * Invariant: `#bound` is at least the level of every stored type, as far as levels are counted
 * (levels.ts). An update of so few types that even a chain of them all would not reach the
 * limit is not looked at further: ordinary editing costs an addition for each new type.
 * Only beyond that are the levels of the tail worked out, each struct of it once.
 */
import { assemble } from './assemble.js';
import { Reader } from './bytes.js';
import { Frontier } from './frontier.js';
import { Levels } from './levels.js';
import { Nesting } from './nesting.js';
import { MAX_NESTING } from './nesting-limits.js';
import { parseOutline, parseUpdate } from './parse.js';
import type { Parsed } from './parsed.js';
import type { RangeSet } from './ranges.js';
import { emptied, KIND_SKIP, KIND_TYPE, newStruct, readStruct } from './struct.js';
import { Tail } from './tail.js';

/** A whole document as it may be stored. @returns undefined when it nests too deep */
export function vetWhole(document: Parsed): Parsed | undefined {
  return new Depth(new Levels(), 0, 0).vet(document, new Tail(0), new Frontier());
}

/** Of a stored item of which only that is known. */
const SHALLOWEST = 1;

export class Depth {
  /** Of what the snapshot holds. */
  #snapshot: Levels;
  /** Of the tail up to {@link #worked}; undefined until it matters. */
  #tail: Levels | undefined;
  /** The position up to which the levels of the tail are worked out. */
  #worked: number;
  #bound: number;

  /**
   * @param position in the tail up to which the snapshot holds it
   * @param types how many types lie behind that
   */
  constructor(snapshot: Levels, position: number, types: number) {
    this.#snapshot = snapshot;
    this.#worked = position;
    this.#bound = Math.max(SHALLOWEST, snapshot.deepest) + types;
  }

  /** Another snapshot has taken the place of the one before. As the constructor. */
  adopt(snapshot: Levels, position: number, types: number): void {
    this.#snapshot = snapshot;
    this.#tail = undefined;
    this.#worked = position;
    this.#bound = Math.max(SHALLOWEST, snapshot.deepest) + types;
  }

  /**
   * An update as it may be admitted. What of it lies too deep and is deleted by it is taken with
   * nothing in it: so a client that has deleted it, as an undo does, can go on.
   *
   * @returns undefined when it nests too deep
   */
  vet(update: Parsed, tail: Tail, frontier: Frontier): Parsed | undefined {
    // One that waited may have been looked at before what it lies in was there.
    if (update.level !== undefined) update.level = undefined;
    if (!update.hasDeepValues && this.#bound + update.types <= MAX_NESTING) return update;
    if (!this.#isTooDeep(update, tail) && !update.hasDeepValues) return update;
    return this.#emptied(update, frontier);
  }

  /** An update was taken, from here or from elsewhere. */
  admitted({ types, level }: Parsed): void {
    if (types === 0) return;
    this.#bound = level === undefined ? this.#bound + types : Math.max(this.#bound, level);
  }

  #isTooDeep(update: Parsed, tail: Tail): boolean {
    if (update.types === 0) return false;
    this.#workOut(tail);
    if (this.#bound + update.types <= MAX_NESTING) return false;
    update.nesting ??= Nesting.of(update.bytes, update.blocks);
    update.level = update.nesting.deepest(this.#levelOf);
    return update.level > MAX_NESTING;
  }

  #workOut(tail: Tail): void {
    if (this.#worked >= tail.last) return;
    const behind = parseOutline(tail.since(this.#worked));
    this.#tail ??= new Levels();
    const levels = this.#tail;
    Nesting.of(behind.bytes, behind.blocks).forEach(
      this.#levelOf,
      (client, start, end, level, isType) => {
        levels.add(client, start, end, level);
        if (isType && level > levels.deepest) levels.deepest = level;
      },
    );
    this.#worked = tail.last;
    this.#bound = Math.max(SHALLOWEST, this.#snapshot.deepest, levels.deepest);
  }

  readonly #levelOf = (client: number, clock: number): number =>
    this.#tail?.at(client, clock) ?? this.#snapshot.at(client, clock) ?? SHALLOWEST;

  /** @returns undefined when something that lies too deep is new and not deleted */
  #emptied(update: Parsed, frontier: Frontier): Parsed | undefined {
    const isDeleted = (client: number, start: number, end: number): boolean =>
      isWithin(update.deletes.get(client) ?? [], start, end) ||
      isInSet(frontier.deletes, client, start, end);
    const tooDeep = new Levels();
    let isRefused = false;
    update.nesting?.forEach(this.#levelOf, (client, start, end, level, isType) => {
      if (!isType || level <= MAX_NESTING || end <= frontier.clock(client)) return;
      if (isDeleted(client, start, end)) tooDeep.add(client, start, end, level);
      else isRefused = true;
    });
    if (isRefused) return undefined;
    const struct = newStruct();
    const parts = [];
    for (const { client, start, count, from } of update.blocks) {
      const reader = new Reader(update.bytes, from);
      const chunks = [];
      let clock = start;
      for (let i = 0; i < count; i++, clock += struct.length) {
        const at = reader.pos;
        readStruct(reader, struct);
        const end = clock + struct.length;
        const isDeep =
          (struct.kind === KIND_TYPE && tooDeep.at(client, clock) !== undefined) ||
          (struct.isDeepValue && end > frontier.clock(client));
        if (isDeep && !isDeleted(client, clock, end)) return undefined;
        chunks.push(
          isDeep && struct.kind !== KIND_SKIP
            ? emptied(update.bytes.subarray(at, struct.contentStart), struct.length)
            : update.bytes.subarray(at, reader.pos),
        );
      }
      parts.push({ client, start, count, chunks });
    }
    return parseUpdate(assemble(parts, update.deletes));
  }
}

/** @param ranges ascending, neither touching nor overlapping */
function isWithin(ranges: readonly number[], start: number, end: number): boolean {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle * 2]! <= start) low = middle + 1;
    else high = middle;
  }
  return low > 0 && end <= ranges[low * 2 - 1]!;
}

function isInSet(set: RangeSet, client: number, start: number, end: number): boolean {
  const outside: number[] = [];
  set.subtractFrom(client, start, end, outside);
  return outside.length === 0;
}
