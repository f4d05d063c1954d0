/**
 * What runs in a worker that may be killed at any time; nothing it does touches
 * a room before the room takes its result. Documents are built here and in
 * merge.ts, and nowhere else.
 *
 * `compact` merges a snapshot and the entries behind it into a new snapshot,
 * reloads what it encoded and compares.
 */
import { createHash } from 'node:crypto';
import * as Y from 'yjs';
import { admit, cutBlock } from '../update/admit.js';
import { assemble } from '../update/assemble.js';
import { Frontier } from '../update/frontier.js';
import type { Levels } from '../update/levels.js';
import { parseUpdate } from '../update/parse.js';
import { canonicalise, type Ranges } from '../update/ranges.js';
import { encodeReach } from '../update/reach.js';
import { decodeStateVector, encodeStateVector } from '../update/state-vector.js';
import { levelsOf } from './levels-of.js';
import { merge, type SetAside } from './merge.js';

export interface CompactTask {
  readonly snapshot: Uint8Array | undefined;
  readonly updates: readonly Uint8Array[];
}

export interface CompactResult {
  readonly update: Uint8Array;
  /** As reach.ts encodes it. */
  readonly stateVector: Uint8Array;
  readonly deletes: Uint8Array;
  /** Whether it reads, once loaded, as the log read. Honest clients' documents do. */
  readonly isFaithful: boolean;
  /** The updates of which not everything is in the snapshot as they say it: these must be kept. */
  readonly poisoned: readonly SetAside[];
  /** How many documents were filled with snapshot and updates: what a hostile log costs. */
  readonly passes: number;
}

export interface DiffTask {
  readonly snapshot: Uint8Array;
  readonly stateVector: Uint8Array;
}

export function compact({ snapshot, updates }: CompactTask): CompactResult {
  const { merged, poisoned, passes } = mergeAndEncode(snapshot, updates);
  // The merged document is garbage by now: the check loads another of its size.
  const { update, stateVector: vector, levels, deletes, isFaithful } = settle(merged);
  const stateVector = encodeReach(vector, levels);
  return { update, stateVector, deletes, isFaithful, poisoned, passes };
}

function mergeAndEncode(snapshot: Uint8Array | undefined, updates: readonly Uint8Array[]) {
  const { doc, setAside, passes } = merge(snapshot, updates);
  return { merged: encode(doc), poisoned: setAside, passes };
}

/** The structs and deletions of a snapshot that a state vector lacks: by bytes, without a document. */
export function diff({ snapshot, stateVector }: DiffTask): Uint8Array {
  const parsed = parseUpdate(snapshot);
  const vector = decodeStateVector(stateVector);
  const parts = [];
  for (const block of parsed.blocks) {
    const known = Math.max(vector.get(block.client) ?? 0, block.start);
    if (known < block.end) parts.push(cutBlock(snapshot, block, known, block.end));
  }
  return assemble(parts, parsed.deletes);
}

/** A document as bytes, and as what those bytes must read like. */
interface Encoded {
  readonly update: Uint8Array;
  readonly stateVector: Uint8Array;
  readonly deletes: Uint8Array;
  readonly levels: Levels;
  /** A digest of what every shared type shows. */
  readonly shown: string;
}

function encode(doc: Y.Doc): Encoded {
  return {
    update: Y.encodeStateAsUpdate(doc),
    stateVector: encodeStateVector(sortedVector(doc)),
    levels: levelsOf(doc),
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
