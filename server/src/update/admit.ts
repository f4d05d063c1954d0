/**
 * Decides what of an update enters the log, and keeps the log causally closed:
 * nothing is admitted before everything it depends on.
 *
 * What is admitted is exactly what is new. Structs and deletions that the log
 * already holds are cut off, so that a reconnecting client, whose step 2 repeats
 * its whole delete set, adds only its own edits to the log and to its peers'
 * sockets. Linear in the update; nothing is integrated.
 */
import { assemble, type Part } from './assemble.js';
import { Reader } from './bytes.js';
import type { Frontier } from './frontier.js';
import type { Block, Parsed, Reference } from './parsed.js';
import type { Ranges } from './ranges.js';
import { UpdateRefused } from './refused.js';
import { cutStruct, newStruct, readStruct } from './struct.js';

/** An id that must be in the log first. */
export interface Missing {
  readonly client: number;
  readonly clock: number;
}

/** What entered the log. Byte arrays are views into the update it came from. */
export interface Change {
  /** One V1 update of exactly what is new. */
  readonly update: Uint8Array;
  readonly parts: readonly (Part & { readonly end: number })[];
  readonly deletes: readonly (readonly [number, Ranges])[];
}

/**
 * `change` is what was new, `undefined` where nothing was; `missing` is the first
 * id that kept the rest out, `undefined` where all of the update is in the log now.
 */
export interface Verdict {
  readonly change: Change | undefined;
  readonly missing: Missing | undefined;
}

/** Where an update comes from. */
export interface Sender {
  /** Whether new structs of this client may come from it. */
  mayWrite(client: number): boolean;
}

/**
 * Admits what it can of an update and moves the frontier by it.
 *
 * @throws {UpdateRefused} when structs wait for each other in a circle; the
 *   frontier is then unchanged
 */
export function admit(
  frontier: Frontier,
  update: Parsed,
  sender?: Sender,
  extent: 'what is possible' | 'all or nothing' = 'what is possible',
): Verdict {
  const plan = planStructs(frontier, update, sender);
  const { reached } = plan;
  let { missing } = plan;
  let whole = update.canonical && missing === undefined && update.skips.length === 0;

  const parts: (Part & { end: number })[] = [];
  for (let b = 0; b < update.blocks.length; b++) {
    const block = update.blocks[b]!;
    const known = frontier.clock(block.client);
    if (reached[b]! <= known) {
      whole = false;
      continue;
    }
    if (known !== block.start || reached[b] !== block.end) whole = false;
    parts.push(cutBlock(update.bytes, block, known, reached[b]!));
  }

  const knownBefore =
    update.bornDeleted.length > 0
      ? update.blocks.map(({ client }) => frontier.clock(client))
      : undefined;
  const ends =
    update.deletes.size > 0 ? new Map(parts.map((part) => [part.client, part.end])) : undefined;
  const deletes: [number, Ranges][] = [];
  for (const [client, ranges] of update.deletes) {
    const end = ends?.get(client) ?? frontier.clock(client);
    const fresh: Ranges = [];
    for (let i = 0; i < ranges.length; i += 2) {
      if (ranges[i + 1]! > end) missing ??= { client, clock: end };
      if (ranges[i]! >= end) break;
      frontier.deletes.subtractFrom(client, ranges[i]!, Math.min(ranges[i + 1]!, end), fresh);
    }
    if (!sameRanges(fresh, ranges)) whole = false;
    if (fresh.length > 0) deletes.push([client, fresh]);
  }

  const isRefused = extent === 'all or nothing' && missing !== undefined;
  if (isRefused || (parts.length === 0 && deletes.length === 0))
    return { change: undefined, missing };

  for (const part of parts) frontier.reach(part.client, part.end);
  frontier.addDeletes(deletes);
  for (const { block, start, end } of update.bornDeleted) {
    const { client } = update.blocks[block]!;
    // Only what is new: for clocks that are known, the log says whether they are deleted.
    const from = Math.max(start, knownBefore![block]!);
    const until = Math.min(end, reached[block]!);
    if (from < until) frontier.deletes.add(client, from, until);
  }
  return {
    change: { update: whole ? update.bytes : assemble(parts, deletes), parts, deletes },
    missing,
  };
}

function sameRanges(a: Ranges, b: Ranges): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** How far each block gets, and what stopped the first that did not get to its end. */
interface Plan {
  readonly reached: number[];
  readonly missing: Missing | undefined;
}

function planStructs(frontier: Frontier, update: Parsed, sender: Sender | undefined): Plan {
  let missing: Missing | undefined;
  const limits: number[] = [];
  for (const block of update.blocks) {
    const known = frontier.clock(block.client);
    let limit = block.end;
    if (block.start > known || (block.end > known && sender?.mayWrite(block.client) === false)) {
      limit = known;
      missing ??= { client: block.client, clock: known };
    }
    limits.push(limit);
  }
  for (const skip of update.skips) {
    const { client } = update.blocks[skip.block]!;
    const known = frontier.clock(client);
    if (skip.end > known && skip.start < limits[skip.block]!) {
      limits[skip.block] = Math.max(known, skip.start);
      missing ??= { client, clock: limits[skip.block]! };
    }
  }
  const open = update.references.filter(
    (ref) =>
      ref.end > frontier.clock(update.blocks[ref.block]!.client) &&
      ref.start < limits[ref.block]! &&
      ref.clock >= frontier.clock(ref.client),
  );
  if (open.length === 0) return { reached: limits, missing };
  return orderWithin(frontier, update, limits, open, missing);
}

/**
 * Plays the order of integration on clocks alone. A block stops at a reference
 * that is not met; it waits there for the block that brings it, or, when none in
 * this update does, ends there. Each reference is looked at twice at most.
 */
function orderWithin(
  frontier: Frontier,
  update: Parsed,
  limits: number[],
  open: readonly Reference[],
  firstMissing: Missing | undefined,
): Plan {
  let missing = firstMissing;
  const blockOf = new Map<number, number>();
  update.blocks.forEach((block, b) => {
    blockOf.set(block.client, b);
  });
  const stops: Reference[][] = update.blocks.map(() => []);
  for (const ref of open) stops[ref.block]!.push(ref);
  const next = stops.map(() => 0);
  const reached = update.blocks.map((block) => frontier.clock(block.client));
  /** waiting[b][s]: blocks that go on once block b stands at its stop number s. */
  const waiting: Map<number, number[]>[] = update.blocks.map(() => new Map());
  const running = update.blocks.map((_, b) => b);

  const wake = (b: number, stop: number): void => {
    const sleepers = waiting[b]!.get(stop);
    if (sleepers === undefined) return;
    waiting[b]!.delete(stop);
    running.push(...sleepers);
  };

  for (let b = running.pop(); b !== undefined; b = running.pop()) {
    const own = stops[b]!;
    const known = frontier.clock(update.blocks[b]!.client);
    for (;;) {
      const ref = own[next[b]!];
      // A struct that is known in part has its stop at the known clock, not before it.
      if (ref === undefined || Math.max(known, ref.start) >= limits[b]!) {
        reached[b] = Math.max(known, limits[b]!);
        for (const stop of [...waiting[b]!.keys()]) wake(b, stop);
        break;
      }
      reached[b] = Math.max(known, ref.start);
      wake(b, next[b]!);
      const other = blockOf.get(ref.client);
      if (other !== undefined && reached[other]! > ref.clock) {
        next[b]!++;
      } else if (other !== undefined && limits[other]! > ref.clock) {
        const stop = firstStopBehind(stops[other]!, ref.clock);
        const sleepers = waiting[other]!.get(stop);
        if (sleepers === undefined) waiting[other]!.set(stop, [b]);
        else sleepers.push(b);
        break;
      } else {
        missing ??= { client: ref.client, clock: ref.clock };
        limits[b] = reached[b]!;
      }
    }
  }

  const stuck = update.blocks.findIndex((_, b) => reached[b]! < limits[b]!);
  if (stuck >= 0 && missing === undefined) {
    throw new UpdateRefused('structs refer to each other in a circle');
  }
  return { reached, missing };
}

/** Number of the first stop that lies behind `clock`: a block standing there has `clock` itself. */
function firstStopBehind(stops: readonly Reference[], clock: number): number {
  let low = 0;
  let high = stops.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stops[middle]!.start <= clock) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The structs of a block from `known` to `end`; `end` lies between two structs,
 * `known` may lie inside one.
 */
export function cutBlock(
  bytes: Uint8Array,
  block: Block,
  known: number,
  end: number,
): Part & { end: number } {
  const { client } = block;
  if (known === block.start && end === block.end) {
    return {
      client,
      start: known,
      end,
      count: block.count,
      chunks: [bytes.subarray(block.from, block.to)],
    };
  }
  const reader = new Reader(bytes, block.from);
  const struct = newStruct();
  const chunks: Uint8Array[] = [];
  let clock = block.start;
  let count = 0;
  let from = NONE_YET;
  while (clock < end) {
    const start = reader.pos;
    readStruct(reader, struct);
    const structEnd = clock + struct.length;
    if (structEnd > known) {
      count++;
      if (clock < known) chunks.push(cutStruct(bytes, start, client, clock, known - clock));
      else if (from === NONE_YET) from = start;
    }
    clock = structEnd;
  }
  if (from !== NONE_YET) chunks.push(bytes.subarray(from, reader.pos));
  return { client, start: known, end, count, chunks };
}

const NONE_YET = -1;
