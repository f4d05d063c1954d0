/** What a worker does, be it a thread or a process: one task in, one result out. */
import { admit, type Missing } from '../update/admit.js';
import { cutUpdate, LARGE_MESSAGE } from '../update/cut.js';
import { vetWhole } from '../update/depth.js';
import { Frontier } from '../update/frontier.js';
import { parseOutline, parseUpdate, UNBOUNDED } from '../update/parse.js';
import { UpdateRefused } from '../update/refused.js';
import { type CompareTask, compare } from './compare.js';
import { type CompactResult, type CompactTask, compact, type DiffTask, diff } from './job.js';
import { type Packed, pack, unpack } from './packed.js';
import { type ViewTask, view } from './view.js';
import { mostHeapFor, priceOf, weigh } from './weight.js';
import { whole } from './whole.js';

/** What a document is made of, on its way to a worker. */
export interface DocumentTask {
  readonly snapshot: Uint8Array | undefined;
  readonly updates: Packed;
  /** Bytes of heap that making the document may take. */
  readonly heap: number;
}

/** An update with too many references to be admitted in one go. */
export interface CutTask {
  readonly update: Uint8Array;
  /** Whether it has to bring all that it needs. */
  readonly isWhole: boolean;
}

export type CutResult =
  | { readonly pieces: Packed }
  | { readonly missing: Missing }
  /** Why it is none that an honest client writes. */
  | { readonly refusal: string }
  | { readonly isTooDeep: true };

/** A task on its way to a worker. */
export type Task =
  | ({ readonly kind: 'cut' } & CutTask)
  | ({ readonly kind: 'diff'; readonly inPieces: boolean } & DiffTask)
  /** Of an update that was admitted: the messages that it is sent in. */
  | { readonly kind: 'divide'; readonly update: Uint8Array }
  | ({ readonly kind: 'compare' } & CompareTask)
  | ({ readonly kind: 'compact' } & DocumentTask)
  | ({ readonly kind: 'view' } & DocumentTask & Omit<ViewTask, 'snapshot' | 'updates'>);

/** In the place of a result: the document was not made. */
export interface TooDear {
  /** Bytes of heap that it is thought to need. */
  readonly needsHeap: number;
}

/** A snapshot, and the pieces that it is sent in where it is large. */
export type Compacted = CompactResult & { readonly pieces: readonly Uint8Array[] | undefined };

/** Bytes of a snapshot that is cut when it is made; a larger one would take too much memory then, and is cut when somebody comes. */
const MAX_CUT_AT_ONCE = 32 * 1024 * 1024;

export default function run(task: Task): unknown {
  if (task.kind === 'diff') {
    const rest = diff(task);
    return task.inPieces ? cutUpdate(rest) : rest;
  }
  if (task.kind === 'divide') return cutUpdate(task.update);
  if (task.kind === 'compare') return compare(task);
  if (task.kind === 'cut') return cut(task);
  const parts = takeParts(task);
  const needsHeap = heapOf(parts, task.heap);
  if (task.kind === 'compact') {
    if (needsHeap > task.heap) return { needsHeap } satisfies TooDear;
    const result = compact(parts);
    const { length } = result.update;
    const isCut = length > LARGE_MESSAGE && length <= MAX_CUT_AT_ONCE;
    const pieces = isCut ? cutUpdate(result.update) : undefined;
    return { ...result, pieces } satisfies Compacted;
  }
  if (needsHeap > task.heap) {
    // That takes no document.
    return task.form === 'update' ? whole(parts) : { needsHeap };
  }
  return view({ ...task, ...parts });
}

function cut({ update, isWhole }: CutTask): CutResult {
  try {
    const outline = parseOutline(update);
    // What is not whole lies in what the room has, which the room says of each piece.
    const vetted = isWhole ? vetWhole(outline) : outline;
    if (vetted === undefined) return { isTooDeep: true };
    const pieces = cutUpdate(vetted.bytes);
    const missing = isWhole ? missingFrom(pieces) : undefined;
    return missing === undefined ? { pieces: pack(pieces) } : { missing };
  } catch (error) {
    // What kind of error it is would be lost on the way.
    if (error instanceof UpdateRefused) return { refusal: error.message };
    throw error;
  }
}

/** What is needed first that none of them brings. */
function missingFrom(pieces: readonly Uint8Array[]): Missing | undefined {
  const frontier = new Frontier();
  for (const piece of pieces) {
    const { missing } = admit(frontier, parseUpdate(piece, UNBOUNDED), undefined, 'all or nothing');
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** The task lets go of them, so that they are garbage once they are in the document. */
function takeParts(task: { -readonly [K in keyof DocumentTask]: DocumentTask[K] }): CompactTask {
  const { snapshot, updates } = task;
  task.snapshot = undefined;
  task.updates = NOTHING;
  return { snapshot, updates: unpack(updates) };
}

const NOTHING: Packed = { bytes: new Uint8Array(0), ends: new Uint32Array(0) };

function heapOf({ snapshot, updates }: CompactTask, enough: number): number {
  const all = snapshot === undefined ? updates : [snapshot, ...updates];
  const atMost = mostHeapFor(
    all.reduce((sum, { length }) => sum + length, 0),
    'made',
  );
  return atMost <= enough ? atMost : priceOf(weigh(all)).heap;
}
