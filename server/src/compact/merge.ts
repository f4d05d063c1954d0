/**
 * Merges a snapshot and the updates behind it into one document.
 *
 * Invariant: in what comes out nothing is pending, no types are nested too deep,
 * and nothing lives in a deleted type. An update that would bring such a thing is
 * mended in the document, while it is applied, and set aside. So a hostile log
 * costs one more pass than an honest one, however many of its updates are wrong.
 * Only what throws breaks the document, and makes another pass necessary.
 */
import * as Y from 'yjs';
import { assemble, EMPTY_UPDATE } from '../update/assemble.js';
import { DEEPEST } from '../update/nesting-limits.js';
import { parseUpdate, UNBOUNDED } from '../update/parse.js';
import type { Parsed } from '../update/parsed.js';
import { levelIn, type SharedType } from './levels-of.js';
import { inertCopy, inertFill, Losses } from './set-aside.js';

/** An update that must be kept, because not everything in it is in the document as it says it. */
export interface SetAside {
  readonly index: number;
  readonly reason: string;
}

export interface Merged {
  readonly doc: Y.Doc;
  readonly setAside: readonly SetAside[];
  /** How many documents it took. */
  readonly passes: number;
}

const TOO_DEEP = 'it nests shared types too deep';
const STRUCTS_PENDING = 'it leaves structs pending';
const DELETES_PENDING = 'it leaves deletions pending';
const LEFTOVERS = 'it deletes a type in which Yjs would leave something alive, and throw';
const INSIDE = 'it writes inside something that was set aside';

/** Puts an update into a document. No update is known that makes Yjs's own throw here; tests bring one. */
export type Apply = (doc: Y.Doc, update: Uint8Array) => void;

export function merge(
  snapshot: Uint8Array | undefined,
  updates: readonly Uint8Array[],
  apply: Apply = Y.applyUpdate,
): Merged {
  const doc = mergeAtOnce(snapshot, updates, apply);
  if (doc !== undefined) return { doc, setAside: [], passes: 1 };
  const merged = mergeOneByOne(snapshot, updates, apply);
  return { ...merged, passes: merged.passes + 1 };
}

function openSnapshot(snapshot: Uint8Array | undefined): Y.Doc {
  const doc = new Y.Doc();
  if (snapshot !== undefined) Y.applyUpdate(doc, snapshot);
  return doc;
}

/** @returns undefined when anything is wrong with any of the updates */
function mergeAtOnce(
  snapshot: Uint8Array | undefined,
  updates: readonly Uint8Array[],
  apply: Apply,
): Y.Doc | undefined {
  const doc = openSnapshot(snapshot);
  let isWhole = true;
  try {
    // One transaction: Yjs walks over all clients at the end of each.
    doc.transact((transaction) => {
      for (const update of updates) apply(doc, update);
      isWhole = !emptyTooDeep(transaction) && !deleteLeftovers(transaction);
    });
  } catch {
    // Which one it was is found one by one.
    return undefined;
  }
  const { pendingStructs, pendingDs } = doc.store;
  return isWhole && pendingStructs === null && pendingDs === null ? doc : undefined;
}

/** From then on a pass is not ended by what throws, but goes on in the broken document, to find what else does. */
const EXACT_PASSES = 8;

function mergeOneByOne(
  snapshot: Uint8Array | undefined,
  updates: readonly Uint8Array[],
  apply: Apply,
): Merged {
  /** How often each has thrown, and what it said. */
  const thrown = new Map<number, { times: number; reason: string }>();
  for (let passes = 1; ; passes++) {
    const doc = openSnapshot(snapshot);
    const losses = new Losses(doc);
    const setAside: SetAside[] = [];
    let isSound = true;
    for (const [index, update] of updates.entries()) {
      const before = thrown.get(index);
      if (before !== undefined && !isSound) continue;
      const parsed = parseUpdate(update, UNBOUNDED);
      const isInside = losses.areMetBy(parsed);
      try {
        const mended = take(doc, standIn(doc, parsed, before?.times ?? 0), apply);
        const reason = before?.reason ?? mended ?? (isInside ? INSIDE : undefined);
        if (reason === undefined) continue;
        setAside.push({ index, reason });
        if (mended !== LEFTOVERS || isInside) losses.add(parsed);
      } catch (error) {
        const reason = `applying it throws: ${error instanceof Error ? error.message : String(error)}`;
        thrown.set(index, { reason, times: (before?.times ?? 0) + 1 });
        isSound = false;
        if (passes < EXACT_PASSES) break;
      }
    }
    if (isSound) return { doc, setAside, passes };
  }
}

/** The update; its items with nothing in them, if it has thrown; its clocks alone, if they have too. */
function standIn(doc: Y.Doc, update: Parsed, timesThrown: number): Parsed {
  if (timesThrown === 0) return update;
  return parseUpdate(timesThrown === 1 ? inertCopy(update) : inertFill(doc, update), UNBOUNDED);
}

/**
 * Applies an update and mends what it breaks. What is set aside deletes nothing:
 * its structs come first, and its deletions only when nothing is wrong with those.
 *
 * @returns what was wrong
 */
function take(doc: Y.Doc, update: Parsed, apply: Apply): string | undefined {
  let reason: string | undefined;
  doc.transact((transaction) => {
    apply(doc, structsOf(update));
    if (doc.store.pendingStructs !== null) {
      reason = STRUCTS_PENDING;
      doc.store.pendingStructs = null;
      Y.applyUpdate(doc, inertFill(doc, update));
    }
    if (emptyTooDeep(transaction)) reason ??= TOO_DEEP;
    if (reachesTooFar(doc, update)) reason ??= DELETES_PENDING;
    if (reason === undefined) apply(doc, deletionsOf(update));
    if (deleteLeftovers(transaction)) reason ??= LEFTOVERS;
  });
  return reason;
}

function structsOf({ bytes, blocks }: Parsed): Uint8Array {
  const parts = blocks.map(({ client, start, count, from, to }) => {
    return { client, start, count, chunks: [bytes.subarray(from, to)] };
  });
  return parts.length === 0 ? EMPTY_UPDATE : assemble(parts, []);
}

function deletionsOf({ deletes }: Parsed): Uint8Array {
  return deletes.size === 0 ? EMPTY_UPDATE : assemble([], deletes);
}

function reachesTooFar(doc: Y.Doc, { deletes }: Parsed): boolean {
  for (const [client, ranges] of deletes) {
    if (ranges.at(-1)! > Y.getState(doc.store, client)) return true;
  }
  return false;
}

/**
 * Deletes the new types that lie deeper than anything that is admitted, and with them what is
 * inside: a log that was tampered with may hold such. @returns whether there are any
 */
function emptyTooDeep(transaction: Y.Transaction): boolean {
  const tooDeep: Y.Item[] = [];
  const inside = new Map<SharedType, number>();
  for (const [client, structs] of transaction.doc.store.clients) {
    const known = transaction.beforeState.get(client) ?? 0;
    for (let i = structs.length - 1; i >= 0 && structs[i]!.id.clock >= known; i--) {
      const struct = structs[i]!;
      if (!isType(struct) || struct.deleted) continue;
      if (levelIn(struct.parent as SharedType, inside) > DEEPEST) tooDeep.push(struct);
    }
  }
  for (const item of tooDeep) item.delete(transaction);
  return tooDeep.length > 0;
}

type TypeItem = Y.Item & { content: Y.ContentType };

function isType(struct: Y.Item | Y.GC): struct is TypeItem {
  return struct instanceof Y.Item && struct.content instanceof Y.ContentType;
}

/**
 * Whoever deletes a type deletes what is in it, but Yjs misses the front of a map
 * entry of several units that was split in two, and throws on it when it collects
 * the type. No client writes such an entry, but crafted updates do.
 *
 * @returns whether anything was left
 */
function deleteLeftovers(transaction: Y.Transaction): boolean {
  const deleted = new Set<TypeItem>();
  Y.iterateDeletedStructs(transaction, transaction.deleteSet, (struct) => {
    if (isType(struct)) deleted.add(struct);
  });
  let isAnyLeft = false;
  for (const { content } of deleted) {
    for (const child of children(content.type)) {
      if (!child.deleted) {
        child.delete(transaction);
        isAnyLeft = true;
      }
      // The loop comes to those that are added meanwhile.
      if (isType(child)) deleted.add(child);
    }
  }
  return isAnyLeft;
}

/** Exactly those that Yjs visits when it collects the type. */
function* children(type: Y.ContentType['type']): Generator<Y.Item> {
  for (let item = type._start; item !== null; item = item.right) yield item;
  for (const last of type._map.values()) {
    for (let item: Y.Item | null = last; item !== null; item = item.left) yield item;
  }
}
