/** What a worker does: one task in, one result out, bytes handed over and not copied. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { type CompactTask, compact, type DiffTask, diff } from './job.js';
import { type Packed, unpack } from './packed.js';
import { type ViewTask, view } from './view.js';
import { priceOf, weigh } from './weight.js';
import { whole } from './whole.js';

/** What a document is made of, on its way to a worker. */
export interface DocumentTask {
  readonly snapshot: Uint8Array | undefined;
  readonly updates: Packed;
  /** Bytes of heap that making the document may take. */
  readonly heap: number;
}

/** A task on its way to a worker. */
export type Task =
  | ({ readonly kind: 'diff' } & DiffTask)
  | ({ readonly kind: 'compact' } & DocumentTask)
  | ({ readonly kind: 'view' } & DocumentTask & Omit<ViewTask, 'snapshot' | 'updates'>);

/** In the place of a result: the document was not made. */
export interface TooDear {
  /** Bytes of heap that it is thought to need. */
  readonly needsHeap: number;
}

export default function run(task: Task): unknown {
  if (task.kind === 'diff') return handedOver(diff(task));
  const parts = takeParts(task);
  const needsHeap = heapOf(parts, task.heap);
  if (task.kind === 'compact') {
    if (needsHeap > task.heap) return { needsHeap } satisfies TooDear;
    const result = compact(parts);
    const update = own(result.update);
    return moved({ ...result, update }, update);
  }
  if (needsHeap > task.heap) {
    // That takes no document.
    return task.form === 'update' ? handedOver(whole(parts)) : { needsHeap };
  }
  const shown = view({ ...task, ...parts });
  return shown && handedOver(shown);
}

/** The task lets go of them, so that they are garbage once they are in the document. */
function takeParts(task: { -readonly [K in keyof DocumentTask]: DocumentTask[K] }): CompactTask {
  const { snapshot, updates } = task;
  task.snapshot = undefined;
  task.updates = NOTHING;
  return { snapshot, updates: unpack(updates) };
}

const NOTHING: Packed = { bytes: new Uint8Array(0), ends: new Uint32Array(0) };
/** More than any content takes for each of its bytes: below that nothing need be weighed. */
const MOST_PER_BYTE = 64;

function heapOf({ snapshot, updates }: CompactTask, enough: number): number {
  const all = snapshot === undefined ? updates : [snapshot, ...updates];
  const atMost = MOST_PER_BYTE * all.reduce((sum, { length }) => sum + length, 0);
  return atMost <= enough ? atMost : priceOf(weigh(all)).heap;
}

function handedOver(bytes: Uint8Array): unknown {
  const alone = own(bytes);
  return moved(alone, alone);
}

function moved(value: object, bytes: Uint8Array<ArrayBuffer>): unknown {
  return move({ [transferableSymbol]: [bytes.buffer], [valueSymbol]: value } as never);
}

/** Only a whole buffer can be handed over. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : bytes.slice();
}
