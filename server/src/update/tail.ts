/**
 * The updates behind a room's snapshot, kept per client, so that any stretch of
 * them leaves as one update by copying bytes. Each has a position, counted up in the
 * order in which this instance took them in.
 *
 * Invariant: a client's structs in the tail are contiguous, because the log is
 * causally closed and holds nothing twice (admit.ts). `Y.mergeUpdates` decodes
 * every struct and sorts all inputs for each; this costs a `memcpy`.
 */
import type { Change } from './admit.js';
import { assemble, EMPTY_UPDATE, type Part } from './assemble.js';
import { Reader } from './bytes.js';
import { canonicalise, type Ranges } from './ranges.js';
import type { Run } from './sameness.js';
import type { StateVector } from './state-vector.js';
import { cutStruct, newStruct, readStruct } from './struct.js';

/** Numbers per entry of a client's index: position, first clock, first byte, structs before it. */
const ENTRY = 4;
const ORDER = 2;
/** Bytes of a deleted range in an update, at most, without its client. */
const DELETED_BYTES = 10;
/** Shared by all that have nothing: many rooms stay empty, and an array of its own weighs as much as their clock. Not to be written into. */
const NONE: number[] = [];

/** One client's structs, grown by doubling. Entry i ends where entry i + 1 begins. */
interface Column {
  bytes: Uint8Array;
  used: number;
  count: number;
  end: number;
  index: number[];
}

export class Tail {
  /** Undefined while nothing was written. */
  #columns: Map<number, Column> | undefined;
  /** Flat: position, client. Whose structs came when, so that the newest are found without a look at all. */
  #order: number[] = NONE;
  /** Flat: position, client, start, end. Ascending in position. */
  #deletes: number[] = NONE;
  #first: number;
  #last: number;
  #size = 0;
  /** Stretches that were asked for since the last append. */
  #merged: Map<string, Uint8Array> | undefined;

  /** @param position what the snapshot holds ends here; the tail begins behind it */
  constructor(position: number) {
    this.#first = position;
    this.#last = position;
  }

  /** The position before the first that is kept. */
  get base(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }

  /** Bytes of structs and deletions, without their index. */
  get size(): number {
    return this.#size;
  }

  /** What of {@link size} lies behind `position`. */
  sizeBehind(position: number): number {
    let size = this.#deletes.length - firstBehind(this.#deletes, position);
    for (const { used, index } of this.#columns?.values() ?? []) {
      const entry = firstBehind(index, position);
      if (entry < index.length) size += used - index[entry + 2]!;
    }
    return size;
  }

  /** Copies the change: the frame that it came in can be freed. */
  append(position: number, change: Change): void {
    this.#last = position;
    this.#merged = undefined;
    if (this.#order === NONE && change.parts.length > 0) this.#order = [];
    if (this.#deletes === NONE && change.deletes.length > 0) this.#deletes = [];
    for (const part of change.parts) {
      this.#appendPart(position, part);
      this.#order.push(position, part.client);
    }
    for (const [client, ranges] of change.deletes) {
      for (let i = 0; i < ranges.length; i += 2) {
        this.#deletes.push(position, client, ranges[i]!, ranges[i + 1]!);
        this.#size += ENTRY;
      }
    }
  }

  /** Passes over entries that could not be used. */
  skipTo(position: number): void {
    this.#last = Math.max(this.#last, position);
    this.#merged = undefined;
  }

  #appendPart(position: number, part: Change['parts'][number]): void {
    this.#columns ??= new Map();
    let column = this.#columns.get(part.client);
    if (column === undefined) {
      column = { bytes: new Uint8Array(0), used: 0, count: 0, end: part.start, index: [] };
      this.#columns.set(part.client, column);
    }
    const size = part.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (column.used + size > column.bytes.length) {
      const grown = new Uint8Array(Math.max(64, size, column.bytes.length * 2, column.used + size));
      grown.set(column.bytes.subarray(0, column.used));
      column.bytes = grown;
    }
    column.index.push(position, part.start, column.used, column.count);
    for (const chunk of part.chunks) {
      column.bytes.set(chunk, column.used);
      column.used += chunk.length;
    }
    column.count += part.count;
    column.end = part.end;
    this.#size += size;
  }

  /**
   * Everything behind `position` as one update, without the structs that `vector`
   * already has. Equal calls between two appends give the same array: do not
   * write into it.
   *
   * @param position from {@link base} to {@link last}
   * @param to the last position of the stretch
   */
  since(position: number, vector?: StateVector, to = this.#last): Uint8Array {
    if (position < this.#first)
      throw new RangeError(`the tail begins behind ${this.#first}, not ${position}`);
    if (position >= to) return EMPTY_UPDATE;
    const known = vector === undefined ? '' : this.#relevant(vector);
    const key = `${position};${to};${known}`;
    const before = this.#merged?.get(key);
    if (before !== undefined) return before;
    const parts: Part[] = [];
    for (const client of this.#writersSince(position)) {
      const part = sliceColumn(
        client,
        this.#columns!.get(client)!,
        position,
        to,
        vector?.get(client) ?? 0,
      );
      if (part !== undefined) parts.push(part);
    }
    const merged = assemble(parts, this.#deletesSince(position, to));
    if (this.#merged === undefined || this.#merged.size >= MAX_MERGED) this.#merged = new Map();
    this.#merged.set(key, merged);
    return merged;
  }

  /**
   * Positions at which what lies behind `position` is cut into stretches of about `bytes`, the last
   * of them {@link last}. Each can be integrated once those before it are; one entry may have more.
   */
  stops(position: number, bytes: number): number[] {
    const stops: number[] = [];
    const order = this.#order;
    const deletes = this.#deletes;
    /** Of each client: the next of its entries. */
    const entries = new Map<number, number>();
    let size = 0;
    let before = position;
    let o = firstBehind(order, position, ORDER);
    let d = firstBehind(deletes, position);
    while (o < order.length || d < deletes.length) {
      const at = Math.min(order[o] ?? this.#last, deletes[d] ?? this.#last);
      let added = 0;
      for (; order[o] === at; o += ORDER) {
        const client = order[o + 1]!;
        const { index, used } = this.#columns!.get(client)!;
        const entry = entries.get(client) ?? firstBehind(index, position);
        added += (index[entry + ENTRY + 2] ?? used) - index[entry + 2]!;
        entries.set(client, entry + ENTRY);
      }
      for (; deletes[d] === at; d += ENTRY) added += DELETED_BYTES;
      if (size > 0 && size + added > bytes) {
        stops.push(before);
        size = 0;
      }
      size += added;
      before = at;
    }
    stops.push(this.#last);
    return stops;
  }

  /** In the order of the columns where it is most of them: equal stretches are equal bytes. */
  #writersSince(position: number): Iterable<number> {
    if (this.#columns === undefined) return [];
    const first = firstBehind(this.#order, position, ORDER);
    if ((this.#order.length - first) / ORDER >= this.#columns.size) return this.#columns.keys();
    const writers = new Set<number>();
    for (let i = first; i < this.#order.length; i += ORDER) writers.add(this.#order[i + 1]!);
    return writers;
  }

  /** The part of a state vector that makes a difference here: equal keys, equal answers. */
  #relevant(vector: StateVector): string {
    const known: number[] = [];
    for (const [client, column] of this.#columns ?? []) {
      const clock = vector.get(client) ?? 0;
      if (clock > column.index[1]!) known.push(client, Math.min(clock, column.end));
    }
    return known.join();
  }

  #deletesSince(position: number, to: number): Map<number, Ranges> {
    const deletes = new Map<number, Ranges>();
    const end = to >= this.#last ? this.#deletes.length : firstBehind(this.#deletes, to);
    for (let i = firstBehind(this.#deletes, position); i < end; i += ENTRY) {
      const client = this.#deletes[i + 1]!;
      const ranges = deletes.get(client);
      if (ranges === undefined) deletes.set(client, [this.#deletes[i + 2]!, this.#deletes[i + 3]!]);
      else ranges.push(this.#deletes[i + 2]!, this.#deletes[i + 3]!);
    }
    for (const ranges of deletes.values()) canonicalise(ranges);
    return deletes;
  }

  /** Forgets everything up to and with `position`. */
  trim(position: number): void {
    if (position <= this.#first) return;
    for (const [client, column] of this.#columns ?? []) {
      const entry = firstBehind(column.index, position);
      if (entry === column.index.length) {
        this.#size -= column.used;
        this.#columns?.delete(client);
      } else if (entry > 0) {
        const from = column.index[entry + 2]!;
        const before = column.index[entry + 3]!;
        column.bytes = column.bytes.slice(from, column.used);
        column.used -= from;
        column.count -= before;
        column.index.splice(0, entry);
        for (let i = 0; i < column.index.length; i += ENTRY) {
          column.index[i + 2]! -= from;
          column.index[i + 3]! -= before;
        }
        this.#size -= from;
      }
    }
    this.#order = this.#order.slice(firstBehind(this.#order, position, ORDER));
    const kept = firstBehind(this.#deletes, position);
    this.#size -= kept;
    this.#deletes = this.#deletes.slice(kept);
    this.#first = Math.min(position, this.#last);
    this.#merged = undefined;
  }

  /** What is kept of a client from an entry on that holds `clock`, or else from the first; undefined for nothing. */
  run(client: number, clock: number): Run | undefined {
    const column = this.#columns?.get(client);
    if (column === undefined) return undefined;
    const entry = lastStartingAt(column.index, clock);
    return {
      bytes: column.bytes.subarray(0, column.used),
      client,
      start: column.index[entry + 1]!,
      from: column.index[entry + 2]!,
      count: column.count - column.index[entry + 3]!,
    };
  }

  /** Bytes of the entries that hold the clocks from `start` to `end`. */
  sizeOf(client: number, start: number, end: number): number {
    const column = this.#columns?.get(client);
    if (column === undefined || end <= column.index[1]!) return 0;
    const { index, used } = column;
    const behind = lastStartingAt(index, end - 1) + ENTRY;
    return (index[behind + 2] ?? used) - index[lastStartingAt(index, start) + 2]!;
  }

  /** The position of the entry that brought a clock which {@link run} has. */
  positionOf(client: number, clock: number): number {
    const { index } = this.#columns!.get(client)!;
    return index[lastStartingAt(index, clock)]!;
  }

  /** Whether `vector` has every struct that the tail has. */
  isCoveredBy(vector: StateVector): boolean {
    for (const [client, column] of this.#columns ?? []) {
      if ((vector.get(client) ?? 0) < column.end) return false;
    }
    return true;
  }
}

/** Merged stretches kept between two appends: what a crowd that reconnects asks for. */
const MAX_MERGED = 16;

/** First entry of a flat list, with so many numbers an entry, that lies behind `position`. */
function firstBehind(entries: readonly number[], position: number, numbers = ENTRY): number {
  let low = 0;
  let high = entries.length / numbers;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle * numbers]! <= position) low = middle + 1;
    else high = middle;
  }
  return low * numbers;
}

/** Last entry whose first clock is at or before `clock`; the first entry where none is. */
function lastStartingAt(entries: readonly number[], clock: number): number {
  let low = 1;
  let high = entries.length / ENTRY;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle * ENTRY + 1]! <= clock) low = middle + 1;
    else high = middle;
  }
  return (low - 1) * ENTRY;
}

function sliceColumn(
  client: number,
  column: Column,
  position: number,
  to: number,
  known: number,
): Part | undefined {
  const { index } = column;
  const unseen = firstBehind(index, position);
  // Most often to the end.
  const isLast = index.length === 0 || index.at(-ENTRY)! <= to;
  const stop = isLast ? index.length : firstBehind(index, to);
  if (unseen >= stop) return undefined;
  const end = isLast ? column.end : index[stop + 1]!;
  if (known >= end) return undefined;
  const used = isLast ? column.used : index[stop + 2]!;
  const last = isLast ? column.count : index[stop + 3]!;
  const entry = Math.max(unseen, lastStartingAt(index, known));
  let clock = index[entry + 1]!;
  let count = last - index[entry + 3]!;
  if (known <= clock) {
    const chunks = [column.bytes.subarray(index[entry + 2]!, used)];
    return { client, start: clock, count, chunks };
  }
  const reader = new Reader(column.bytes.subarray(0, used), index[entry + 2]!);
  const chunks: Uint8Array[] = [];
  const struct = newStruct();
  for (;;) {
    const start = reader.pos;
    readStruct(reader, struct);
    const structEnd = clock + struct.length;
    if (structEnd > known) {
      if (clock < known) {
        chunks.push(cutStruct(reader.bytes, start, client, clock, known - clock));
        clock = known;
      } else reader.pos = start;
      break;
    }
    clock = structEnd;
    count--;
  }
  chunks.push(reader.bytes.subarray(reader.pos));
  return { client, start: clock, count, chunks };
}
