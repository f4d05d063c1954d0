/**
 * The only place that builds documents. Runs in a worker that may be killed at
 * any time; nothing it does touches a room before the room takes its result.
 *
 * `compact` merges a snapshot and the entries behind it into a new snapshot,
 * reloads what it encoded and compares, and sets aside every entry that throws,
 * leaves something pending or nests types too deep.
 */
import { createHash } from 'node:crypto';
import * as Y from 'yjs';
import { admit, cutBlock } from '../update/admit.js';
import { assemble, EMPTY_UPDATE } from '../update/assemble.js';
import { Reader, uintSize, Writer } from '../update/bytes.js';
import { Frontier } from '../update/frontier.js';
import { parseUpdate } from '../update/parse.js';
import { canonicalise, type Ranges } from '../update/ranges.js';
import { decodeStateVector, encodeStateVector } from '../update/state-vector.js';
import {
  KIND_BITS,
  KIND_DELETED,
  KIND_GC,
  KIND_SKIP,
  MAX_NESTING,
  newStruct,
  readStruct,
} from '../update/struct.js';

export interface CompactTask {
  readonly kind: 'compact';
  readonly snapshot: Uint8Array | undefined;
  readonly updates: readonly Uint8Array[];
}

export interface CompactResult {
  readonly update: Uint8Array;
  readonly stateVector: Uint8Array;
  readonly deletes: Uint8Array;
  /** Whether it reads, once loaded, as the log read. Honest clients' documents do. */
  readonly isFaithful: boolean;
  /** Index of each update that was set aside, and why. */
  readonly poisoned: readonly { readonly index: number; readonly reason: string }[];
}

export interface DiffTask {
  readonly kind: 'diff';
  readonly snapshot: Uint8Array;
  readonly stateVector: Uint8Array;
}

export type Task = CompactTask | DiffTask;

export function compact({ snapshot, updates }: Omit<CompactTask, 'kind'>): CompactResult {
  const poisoned = new Map<number, string>();
  const merged = encode(loadAll(snapshot, updates) ?? loadOneByOne(snapshot, updates, poisoned));
  // The merged document is garbage by now: the check loads another of its size.
  const { update, stateVector, deletes, isFaithful } = settle(merged);
  return {
    update,
    stateVector,
    deletes,
    isFaithful,
    poisoned: [...poisoned].map(([index, reason]) => ({ index, reason })),
  };
}

/** The structs and deletions of a snapshot that a state vector lacks: by bytes, without a document. */
export function diff({ snapshot, stateVector }: Omit<DiffTask, 'kind'>): Uint8Array {
  const parsed = parseUpdate(snapshot);
  const vector = decodeStateVector(stateVector);
  const parts = [];
  for (const block of parsed.blocks) {
    const known = Math.max(vector.get(block.client) ?? 0, block.start);
    if (known < block.end) parts.push(cutBlock(snapshot, block, known, block.end));
  }
  return assemble(parts, parsed.deletes);
}

/** @returns undefined when anything is wrong with any of the updates */
function loadAll(
  snapshot: Uint8Array | undefined,
  updates: readonly Uint8Array[],
): Y.Doc | undefined {
  const doc = openSnapshot(snapshot);
  try {
    // One transaction: Yjs walks over all clients at the end of each.
    doc.transact(() => {
      for (const update of updates) Y.applyUpdate(doc, update);
    });
  } catch {
    // What exactly threw is found by loadOneByOne.
    return undefined;
  }
  const all = new Map([...doc.store.clients.keys()].map((client) => [client, 0]));
  return whatIsWrong(doc, all) === undefined ? doc : undefined;
}

/** A document whose transaction threw is broken halfway, so it is built anew without what broke it. */
function loadOneByOne(
  snapshot: Uint8Array | undefined,
  updates: readonly Uint8Array[],
  poisoned: Map<number, string>,
): Y.Doc {
  for (;;) {
    const doc = openSnapshot(snapshot);
    let isWhole = true;
    for (const [index, update] of updates.entries()) {
      const reason = poisoned.has(index)
        ? applyInert(doc, update)
        : tryApply(doc, update, before(doc, update));
      if (reason === undefined) continue;
      poisoned.set(index, reason);
      isWhole = false;
      break;
    }
    if (isWhole) return doc;
  }
}

/** The clocks of the update's own clients: what it adds lies behind them. */
function before(doc: Y.Doc, update: Uint8Array): Map<number, number> {
  return new Map(
    parseUpdate(update).blocks.map(({ client }) => [client, Y.getState(doc.store, client)]),
  );
}

function openSnapshot(snapshot: Uint8Array | undefined): Y.Doc {
  const doc = new Y.Doc();
  if (snapshot !== undefined) Y.applyUpdate(doc, snapshot);
  return doc;
}

function tryApply(doc: Y.Doc, update: Uint8Array, before: Map<number, number>): string | undefined {
  try {
    Y.applyUpdate(doc, update);
  } catch (error) {
    return `applying it throws: ${error instanceof Error ? error.message : String(error)}`;
  }
  return whatIsWrong(doc, before);
}

/** @param before the clients to look at, and the clocks from which on */
function whatIsWrong(doc: Y.Doc, before: ReadonlyMap<number, number>): string | undefined {
  if (doc.store.pendingStructs !== null) return 'it leaves structs pending';
  if (doc.store.pendingDs !== null) return 'it leaves deletions pending';
  for (const [client, from] of before) {
    const structs = doc.store.clients.get(client) ?? [];
    for (let i = structs.length - 1; i >= 0; i--) {
      const struct = structs[i]!;
      if (struct.id.clock + struct.length <= from) break;
      if (struct instanceof Y.Item && struct.content instanceof Y.ContentType) {
        if (depth(struct) > MAX_NESTING) return 'it nests shared types too deep';
      }
    }
  }
  return undefined;
}

/** The parser's own limit: a client sends its whole document in one update. */
function depth(item: Y.Item): number {
  let levels = 1;
  let parent = (item.parent as Y.AbstractType<unknown>)._item;
  while (parent !== null && levels <= MAX_NESTING) {
    levels++;
    parent = (parent.parent as Y.AbstractType<unknown>)._item;
  }
  return levels;
}

/**
 * The same items at the same places with nothing in them. A set-aside update
 * leaves no hole: what others wrote beside it stays where it is, later updates of
 * its author still follow, and a client that sends it again is told that it is
 * known. Where even that cannot be applied, its clocks are filled with GC structs.
 *
 * @returns why not even those could be applied: never, in a document that holds together
 */
function applyInert(doc: Y.Doc, update: Uint8Array): string | undefined {
  const from = before(doc, update);
  if (from.size === 0) return undefined;
  if (tryApply(doc, inertCopy(update), from) === undefined) return undefined;
  Y.applyUpdate(doc, inertFill(doc, update));
  return undefined;
}

function inertCopy(update: Uint8Array): Uint8Array {
  const struct = newStruct();
  const parts = parseUpdate(update).blocks.map(({ client, start, count, from }) => {
    const reader = new Reader(update, from);
    const chunks = Array.from({ length: count }, () => {
      const at = reader.pos;
      readStruct(reader, struct);
      return struct.kind === KIND_GC || struct.kind === KIND_SKIP
        ? update.subarray(at, reader.pos)
        : emptied(update.subarray(at, struct.contentStart), struct.length);
    });
    return { client, start, count, chunks };
  });
  return assemble(parts, []);
}

/** An item with its references, and deleted content of its length. */
function emptied(head: Uint8Array, length: number): Uint8Array {
  const writer = new Writer(head.length + uintSize(length));
  writer.raw(head);
  writer.bytes[0] = (head[0]! & ~KIND_BITS) | KIND_DELETED;
  writer.uint(length);
  return writer.bytes;
}

function inertFill(doc: Y.Doc, update: Uint8Array): Uint8Array {
  const parts = [];
  for (const { client, end } of parseUpdate(update).blocks) {
    const start = Y.getState(doc.store, client);
    if (start >= end) continue;
    const writer = new Writer(1 + uintSize(end - start));
    writer.bytes[writer.pos++] = KIND_GC;
    writer.uint(end - start);
    parts.push({ client, start, count: 1, chunks: [writer.bytes] });
  }
  return parts.length === 0 ? EMPTY_UPDATE : assemble(parts, []);
}

/** A document as bytes, and as what those bytes must read like. */
interface Encoded {
  readonly update: Uint8Array;
  readonly stateVector: Uint8Array;
  readonly deletes: Uint8Array;
  /** A digest of what every shared type shows. */
  readonly shown: string;
}

function encode(doc: Y.Doc): Encoded {
  return {
    update: Y.encodeStateAsUpdate(doc),
    stateVector: encodeStateVector(sortedVector(doc)),
    deletes: encodeDeletes(doc),
    shown: digest(doc),
  };
}

/** Crafted items may read differently once reloaded, and then the same ever after. */
const MAX_RELOADS = 3;

/**
 * Loads what was encoded and compares. Where it differs, what was loaded is what
 * every later reader would see, so that is encoded and compared in its turn.
 *
 * @throws {Error} when it does not load, or holds other clocks
 */
function settle(merged: Encoded): Encoded & { isFaithful: boolean } {
  let encoded = merged;
  for (let reload = 0; reload < MAX_RELOADS; reload++) {
    const again = encode(loadWhole(encoded.update));
    if (!same(again.stateVector, encoded.stateVector)) {
      throw new Error('the new snapshot holds other clocks');
    }
    if (same(again.deletes, encoded.deletes) && again.shown === encoded.shown) {
      const { missing } = admit(new Frontier(), parseUpdate(encoded.update));
      if (missing !== undefined) throw new Error('the new snapshot is not complete');
      return { ...encoded, isFaithful: reload === 0 };
    }
    encoded = again;
  }
  return { ...encoded, isFaithful: false };
}

function loadWhole(update: Uint8Array): Y.Doc {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) {
    throw new Error('the new snapshot does not load completely');
  }
  return doc;
}

function sortedVector(doc: Y.Doc): Map<number, number> {
  const vector = Y.decodeStateVector(Y.encodeStateVector(doc));
  return new Map([...vector].sort(([a], [b]) => a - b));
}

function encodeDeletes(doc: Y.Doc): Uint8Array {
  const sections: [number, Ranges][] = [];
  for (const [client, items] of Y.createDeleteSetFromStructStore(doc.store).clients) {
    const ranges = items.flatMap(({ clock, len }) => [clock, clock + len]);
    canonicalise(ranges);
    sections.push([client, ranges]);
  }
  sections.sort(([a], [b]) => a - b);
  return assemble([], sections);
}

/** What every root type shows, item by item, whatever runs the items are merged in. */
function digest(doc: Y.Doc): string {
  const hash = createHash('sha256');
  for (const [name, type] of [...doc.share].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify([name, sequence(type)]));
    for (const [key, item] of [...type._map].sort(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(JSON.stringify([key, lastUnit(item)]));
    }
  }
  return hash.digest('hex');
}

type SharedType = Y.Doc['share'] extends Map<string, infer T> ? T : never;

/** The units of a list in document order, as runs of consecutive clocks. */
function sequence(type: SharedType): string {
  const runs: (number | boolean)[] = [];
  let client = -1;
  let next = -1;
  let deleted = false;
  for (let item = type._start; item !== null; item = item.right) {
    if (item.id.client !== client || item.id.clock !== next || item.deleted !== deleted) {
      runs.push(next, item.id.client, item.id.clock, item.deleted);
    }
    client = item.id.client;
    deleted = item.deleted;
    next = item.id.clock + item.length;
  }
  runs.push(next);
  return runs.join();
}

function lastUnit(item: Y.Item): string {
  return `${item.id.client},${item.id.clock + item.length},${item.deleted}`;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
