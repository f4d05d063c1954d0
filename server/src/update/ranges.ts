/**
 * Sets of clock ranges per client: what a delete set is.
 *
 * Invariant: a client's ranges are flat pairs `[start, end, start, end, …]`,
 * half-open, ascending, and neither touching nor overlapping.
 */
import { UpdateRefused } from './refused.js';

export type Ranges = number[];

/** Index of the first pair whose end is at or behind `clock`. */
function firstEndingAt(ranges: Ranges, clock: number): number {
  let low = 0;
  let high = ranges.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle * 2 + 1]! < clock) low = middle + 1;
    else high = middle;
  }
  return low * 2;
}

/**
 * Sorts and joins pairs in any order.
 *
 * @param most pairs that are sorted
 * @returns whether they already were as the invariant wants them
 * @throws {UpdateRefused} when more than `most` would have to be sorted
 */
export function canonicalise(ranges: Ranges, most = Number.POSITIVE_INFINITY): boolean {
  let canonical = true;
  for (let i = 2; i < ranges.length && canonical; i += 2) canonical = ranges[i]! > ranges[i - 1]!;
  if (canonical) return true;
  if (ranges.length / 2 > most) throw new UpdateRefused('too many deletions out of order');
  const pairs: [number, number][] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i]!, ranges[i + 1]!]);
  pairs.sort((a, b) => a[0] - b[0]);
  ranges.length = 0;
  for (const [start, end] of pairs) pushJoined(ranges, start, end);
  return false;
}

/** Appends a range that starts at or behind the start of the last one. */
function pushJoined(ranges: Ranges, start: number, end: number): void {
  const last = ranges.length - 1;
  if (last > 0 && start <= ranges[last]!) {
    if (end > ranges[last]!) ranges[last] = end;
  } else {
    ranges.push(start, end);
  }
}

const NONE: ReadonlyMap<number, Ranges> = new Map();

export class RangeSet {
  /** Undefined for none, as in most rooms: an empty map weighs as much as all else of them. */
  #clients: Map<number, Ranges> | undefined;

  get clients(): ReadonlyMap<number, Ranges> {
    return this.#clients ?? NONE;
  }

  /** Adds `[start, end)`. */
  add(client: number, start: number, end: number): void {
    const ranges = this.#clients?.get(client);
    if (ranges === undefined) {
      this.#set(client, [start, end]);
      return;
    }
    const from = firstEndingAt(ranges, start);
    let to = from;
    let low = start;
    let high = end;
    while (to < ranges.length && ranges[to]! <= end) {
      low = Math.min(low, ranges[to]!);
      high = Math.max(high, ranges[to + 1]!);
      to += 2;
    }
    if (from === ranges.length) ranges.push(low, high);
    else if (to - from === 2) {
      ranges[from] = low;
      ranges[from + 1] = high;
    } else ranges.splice(from, to - from, low, high);
  }

  /** Adds many ascending ranges in linear time, where {@link add} for each would move the array each time. */
  addAll(client: number, added: Ranges): void {
    if (added.length <= 8) {
      for (let i = 0; i < added.length; i += 2) this.add(client, added[i]!, added[i + 1]!);
      return;
    }
    const old = this.#clients?.get(client) ?? [];
    const merged: Ranges = [];
    let i = 0;
    let j = 0;
    while (i < old.length || j < added.length) {
      if (j >= added.length || (i < old.length && old[i]! <= added[j]!)) {
        pushJoined(merged, old[i]!, old[i + 1]!);
        i += 2;
      } else {
        pushJoined(merged, added[j]!, added[j + 1]!);
        j += 2;
      }
    }
    this.#set(client, merged);
  }

  #set(client: number, ranges: Ranges): void {
    this.#clients ??= new Map();
    this.#clients.set(client, ranges);
  }

  /** Pushes the parts of `[start, end)` that are not in the set onto `out`. */
  subtractFrom(client: number, start: number, end: number, out: Ranges): void {
    const ranges = this.#clients?.get(client);
    let at = start;
    if (ranges !== undefined) {
      for (let i = firstEndingAt(ranges, start); i < ranges.length && ranges[i]! < end; i += 2) {
        if (ranges[i]! > at) out.push(at, ranges[i]!);
        at = Math.max(at, ranges[i + 1]!);
      }
    }
    if (at < end) out.push(at, end);
  }
}
