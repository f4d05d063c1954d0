/**
 * What runs in a worker that may be killed at any time; nothing it does touches
 * a room before the room takes its result. Documents are built here and in
 * merge.ts, and nowhere else.
 *
 * `compact` merges a snapshot and the entries behind it into a new snapshot,
 * reloads what it encoded and compares.
 *
 * Invariant: at most one document is in memory at a time, and of what comes in and goes out
 * nothing that is not needed any more.
 */
import * as Y from 'yjs';
import { admit, cutBlock } from '../update/admit.js';
import { assemble } from '../update/assemble.js';
import { Frontier } from '../update/frontier.js';
import type { Levels } from '../update/levels.js';
import { parseOutline, parseUpdate, UNBOUNDED } from '../update/parse.js';
import { canonicalise, type Ranges } from '../update/ranges.js';
import { encodeReach } from '../update/reach.js';
import { decodeStateVector, encodeStateVector } from '../update/state-vector.js';
import { digest } from './digest.js';
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

/** @param task is emptied: its bytes are not kept in memory beside the result's */
export function compact(task: CompactTask): CompactResult {
  const { merged, poisoned, passes } = mergeAndEncode(task as Emptied<CompactTask>);
  // The merged document is garbage by now: the check loads another of its size.
  const { update, stateVector: vector, levels, deletes, isFaithful } = settle(merged);
  const stateVector = encodeReach(vector, levels);
  return { update, stateVector, deletes, isFaithful, poisoned, passes };
}

type Emptied<T> = { -readonly [K in keyof T]: T[K] };

function mergeAndEncode(task: Emptied<CompactTask>) {
  const size = (task.snapshot?.length ?? 0) + sizeOf(task.updates);
  const { doc, setAside, passes } = merge(task.snapshot, task.updates);
  task.snapshot = undefined;
  task.updates = [];
  return { merged: encode(doc, size), poisoned: setAside, passes };
}

function sizeOf(updates: readonly Uint8Array[]): number {
  return updates.reduce((sum, { length }) => sum + length, 0);
}

/** The structs and deletions of a snapshot that a state vector lacks: by bytes, without a document. */
export function diff({ snapshot, stateVector }: DiffTask): Uint8Array {
  const parsed = parseOutline(snapshot);
  const vector = decodeStateVector(stateVector);
  const parts = [];
  for (const block of parsed.blocks) {
    const known = Math.max(vector.get(block.client) ?? 0, block.start);
    if (known < block.end) parts.push(cutBlock(snapshot, block, known, block.end));
  }
  return assemble(parts, parsed.deletes);
}

/** What a document holds, and what it shows: what its bytes must read like. */
interface Description {
  readonly stateVector: Uint8Array;
  readonly deletes: Uint8Array;
  readonly levels: Levels;
  /** A digest of what every shared type shows. */
  readonly shown: string;
}

interface Encoded extends Description {
  readonly update: Uint8Array;
}

function describe(doc: Y.Doc): Description {
  return {
    stateVector: encodeStateVector(sortedVector(doc)),
    levels: levelsOf(doc),
    deletes: encodeDeletes(doc),
    shown: digest(doc),
  };
}

function encode(doc: Y.Doc, about: number): Encoded {
  return { ...describe(doc), update: bytesOf(doc, about) };
}

/** @param about how many bytes it may be: an encoder that grows has twice as many in the end */
function bytesOf(doc: Y.Doc, about: number): Uint8Array {
  const encoder = new Y.UpdateEncoderV1();
  encoder.restEncoder.cbuf = new Uint8Array(about + SLACK);
  // By its name V2, but the encoder says which.
  return Y.encodeStateAsUpdateV2(doc, undefined, encoder);
}

const SLACK = 1_024;

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
    const again = reloaded(encoded);
    if (again === undefined) {
      const { missing } = admit(new Frontier(), parseUpdate(encoded.update, UNBOUNDED));
      if (missing !== undefined) throw new Error('the new snapshot is not complete');
      return { ...encoded, isFaithful: reload === 0 };
    }
    encoded = again;
  }
  return { ...encoded, isFaithful: false };
}

/** @returns undefined when it reads as it should, otherwise how it reads */
function reloaded({ update, stateVector, deletes, shown }: Encoded): Encoded | undefined {
  const doc = loadWhole(update);
  const again = describe(doc);
  if (!same(again.stateVector, stateVector)) {
    throw new Error('the new snapshot holds other clocks');
  }
  if (same(again.deletes, deletes) && again.shown === shown) return undefined;
  return { ...again, update: bytesOf(doc, update.length) };
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

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
