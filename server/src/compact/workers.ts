/**
 * Runs jobs on documents beside the event loop, within a budget of time and memory.
 * A job over its budget is killed with its worker; the next one gets a new worker.
 *
 * Memory: all jobs together may take `memory`. Most documents are small beside that, and take
 * turns in a thread that stays for a while. One that might need more than that has gets a process of
 * its own, which first weighs what it got, and makes no document that would not fit.
 *
 * Invariant: no thread is given what it could run out of its heap with. Node does not survive that
 * every time; a process that does takes only itself.
 */
import { Piscina } from 'piscina';
import type { Contradiction } from '../update/known.js';
import { OutOfMemory, runApart } from './apart.js';
import type { CompareTask } from './compare.js';
import type { CompactResult, CompactTask, DiffTask } from './job.js';
import { OverBudget, TooLargeToMerge } from './over-budget.js';
import { pack } from './packed.js';
import type { ViewTask } from './view.js';
import { mostHeapFor, outsideOf, priceBySize } from './weight.js';
import type { Compacted, CutResult, CutTask, Task, TooDear } from './worker.js';

export interface WorkerOptions {
  /** Worker threads at most. */
  readonly threads: number;
  /** Milliseconds from a job's start until it is killed; a large document has longer. */
  readonly budget: number;
  /** MB of memory that all of them may take. */
  readonly memory: number;
  /** A worker died of something that no job has heard of. */
  readonly onError?: (error: unknown) => void;
}

/** A compiled file, also when this module is run from its source. */
export const WORKER_ENTRY = new URL('../../dist/compact/entry.cjs', import.meta.url).href;
/**
 * A thread that has merged a large document keeps hundreds of megabytes of garbage
 * until it ends; a new one takes a tenth of a second of another core.
 */
const IDLE_MS = 1_000;
/** Where a core is shared, those who type come first. */
const NICE = 10;
/** A diff that would wait behind more than these is answered with the whole snapshot instead. */
const MAX_WAITING_DIFFS = 8;
/** So is one that no thread is free for in this many milliseconds. */
const DIFF_PATIENCE_MS = 500;
/** MB of heap for the thread that divides: what it works on lies outside of it. */
const DIVIDE_HEAP_MB = 256;
/** An honest document takes a tenth of it on a core of its own, which it has not: others come first. */
const BUDGET_MS_PER_MB = 5_000;
const MB = 1024 * 1024;
/** Of the memory of a thread, what a document may need that is not weighed before, and what its heap may grow to. */
const SMALL_PART = 1 / 4;
const SMALL_HEAP_PART = 1 / 2;

const CLOSED = 'the workers are closed';

/** What waits for one of the threads. */
type QueuedTask = Exclude<Task, { kind: 'divide' | 'compare' }>;
type Queued = QueuedTask['kind'];

export class Workers {
  readonly #options: WorkerOptions;
  /** Bytes of memory for one thread. */
  readonly #memory: number;
  #pool: Piscina;
  /** Ends the processes that are for one document each. */
  readonly #ending = new AbortController();
  /** For what nobody may wait for a merge for; opened at the first. */
  #divider: Piscina | undefined;
  /** The last update that was read in a process, beside the documents: they take turns. */
  #aside: Promise<unknown> = Promise.resolve();
  /** The last comparison: they take turns. */
  #comparing: Promise<unknown> = Promise.resolve();
  #free: number;
  #isClosed = false;
  /** Jobs that wait for a thread. Somebody waits for a diff, a view and a cut, nobody for a compaction. */
  readonly #waiting: Record<Queued, (() => void)[]> = {
    ...{ diff: [], view: [], cut: [], compact: [] },
  };

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#free = options.threads;
    this.#memory = (options.memory * MB) / options.threads;
    this.#pool = this.#open(this.#memory * SMALL_HEAP_PART, options.threads);
  }

  /** Bytes of memory that a job may take. */
  get memory(): number {
    return this.#memory;
  }

  /** Whether a document of so many bytes may need so much of the memory that it is weighed first. */
  isLarge(bytes: number): boolean {
    const { heap } = priceBySize(bytes);
    return heap > this.#memory * SMALL_PART;
  }

  /** Milliseconds that a job on a document of so many bytes may take. */
  patience(bytes: number): number {
    return this.#options.budget + (bytes / MB) * BUDGET_MS_PER_MB;
  }

  /**
   * @param read called when a thread is free, and not before: many rooms are often due
   *   at once, and if all read their logs then, the loop would stand still meanwhile. Its bytes
   *   are handed over: nobody may use them any more. Called again where the document takes more
   *   memory than its size let expect
   * @throws {OverBudget}
   * @throws {TooLargeToMerge} or whatever the job or `read` throws, such as an unreadable snapshot
   */
  async compact(
    read: () => Promise<CompactTask>,
  ): Promise<CompactResult & { readonly pieces?: readonly Uint8Array[] | undefined }> {
    const result = await this.#runDocument<Compacted>('compact', async () => {
      const { snapshot, updates } = await read();
      return { kind: 'compact', snapshot, updates: pack(updates), heap: 0 };
    });
    return result!;
  }

  /** @returns undefined when it would have to wait for longer than its answer is worth */
  async diff(task: DiffTask): Promise<Uint8Array | undefined> {
    return await this.#diff(task, false);
  }

  /** The same, cut into pieces where it is large. */
  async diffInPieces(task: DiffTask): Promise<readonly Uint8Array[] | undefined> {
    return await this.#diff(task, true);
  }

  async #diff<T>(task: DiffTask, inPieces: boolean): Promise<T | undefined> {
    if (this.#waiting.diff.length >= MAX_WAITING_DIFFS) return undefined;
    return await this.#run('diff', () => ({ kind: 'diff', inPieces, ...task }), DIFF_PATIENCE_MS);
  }

  /**
   * The messages that an update is sent in which was admitted. In a thread of its own: a whole
   * room waits for it, and a merge may take half a minute.
   *
   * @throws {OverBudget}
   */
  async divide(update: Uint8Array): Promise<readonly Uint8Array[]> {
    return await this.#runAside({ kind: 'divide', update }, update.length);
  }

  /**
   * Whether an update contradicts what is stored. In the same thread: its session is not read meanwhile.
   *
   * @param read called when its turn has come: what is compared is as large as the document. What it
   *   throws is thrown here; undefined for nothing to compare
   * @throws {OverBudget}
   */
  async compare(read: () => Promise<CompareTask | undefined>): Promise<Contradiction | undefined> {
    const compared = this.#comparing.then(async () => {
      const task = await read();
      if (task === undefined) return undefined;
      const bytes = task.stored.reduce((sum, { length }) => sum + length, task.update.length);
      return await this.#runAside<Contradiction | undefined>({ kind: 'compare', ...task }, bytes);
    });
    this.#comparing = compared.catch(() => undefined);
    return await compared;
  }

  async #runAside<T>(task: Task, bytes: number): Promise<T> {
    this.#checkOpen();
    const heap = DIVIDE_HEAP_MB * MB;
    const patience = this.patience(bytes);
    if (mostHeapFor(bytes, 'read') <= heap) {
      this.#divider ??= this.#open(heap, 1);
      return await this.#runIn(this.#divider, task, patience, []);
    }
    const read = this.#aside.then(() => this.#runApart<T>(task, heap, patience));
    this.#aside = read.catch(() => undefined);
    return await read;
  }

  /**
   * What a document shows. How many are asked for at once is for the caller to bound.
   *
   * @param read as in {@link compact}
   * @returns undefined when there is no such type in it
   * @throws {OverBudget}
   * @throws {TooLargeToMerge} not for the form `update`, or whatever the job or `read` throws
   */
  async view(read: () => Promise<ViewTask>): Promise<Uint8Array | undefined> {
    return await this.#runDocument('view', async () => {
      const { updates, ...task } = await read();
      return { kind: 'view', ...task, updates: pack(updates), heap: 0 };
    });
  }

  /** One that was taken for small by its size, and is not, gets a worker of its own if there is the memory for it. */
  async #runDocument<T>(kind: Queued, read: () => Promise<QueuedTask>): Promise<T | undefined> {
    const run = (isApart: boolean) => this.#run<T>(kind, read, Number.POSITIVE_INFINITY, isApart);
    try {
      return await run(false);
    } catch (error) {
      const mayFit =
        error instanceof TooLargeToMerge && error.needs > 0 && error.needs <= this.#memory;
      if (!mayFit) throw error;
      return await run(true);
    }
  }

  /** An update in pieces that are admitted one after the other. @throws {OverBudget} */
  async cut(task: CutTask): Promise<CutResult> {
    const patience = Number.POSITIVE_INFINITY;
    return (await this.#run<CutResult>('cut', () => ({ kind: 'cut', ...task }), patience))!;
  }

  get running(): number {
    return this.#options.threads - this.#free;
  }

  /** Jobs that wait for a thread. */
  get waiting(): number {
    return Object.values(this.#waiting).reduce((sum, { length }) => sum + length, 0);
  }

  /** Kills what runs: its result would be thrown away. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#ending.abort(new Error(CLOSED));
    const divider = this.#divider === undefined ? [] : [this.#divider];
    await Promise.all([this.#pool, ...divider].map((pool) => pool.destroy()));
  }

  async #run<T>(
    kind: Queued,
    read: () => QueuedTask | Promise<QueuedTask>,
    patience: number,
    isApart = false,
  ): Promise<T | undefined> {
    if (!(await this.#takeThread(kind, patience))) return undefined;
    try {
      return await this.#runNow(await read(), isApart);
    } finally {
      const { diff, view, cut, compact } = this.#waiting;
      const next = diff.shift() ?? view.shift() ?? cut.shift() ?? compact.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  async #runNow<T>(task: QueuedTask, isApart: boolean): Promise<T> {
    this.#checkOpen();
    const threadHeap = this.#memory * SMALL_HEAP_PART;
    if (task.kind === 'diff' || task.kind === 'cut') {
      const { length } = task.kind === 'diff' ? task.snapshot : task.update;
      const patience = this.patience(length);
      return mostHeapFor(length, 'read') <= threadHeap
        ? await this.#runIn(this.#pool, task, patience, [])
        : await this.#runApart(task, threadHeap, patience);
    }
    const { snapshot, updates } = task;
    const bytes = (snapshot?.length ?? 0) + updates.bytes.length;
    const patience = this.patience(bytes);
    const isShown = task.kind === 'view' && task.form !== 'update';
    if (mostHeapFor(bytes, isShown ? 'shown' : 'made') <= threadHeap) {
      const transfer = [updates.bytes, ...(snapshot === undefined ? [] : [snapshot])]
        .filter(({ byteLength, buffer }) => byteLength > 0 && byteLength === buffer.byteLength)
        .map(({ buffer }) => buffer);
      return await this.#runIn(this.#pool, { ...task, heap: threadHeap }, patience, transfer);
    }
    const left = this.#memory - outsideOf(bytes);
    const expected = Math.max(2 * priceBySize(bytes).heap, threadHeap);
    const heap = isApart ? left : Math.min(left, expected);
    if (heap <= 0) throw new TooLargeToMerge(outsideOf(bytes), this.#memory);
    // What others have left in the heap of the thread is memory, too.
    if (this.running === 1 && heap > threadHeap) await this.#renew();
    return await this.#afforded(heap, bytes, () =>
      this.#runApart<T | TooDear>({ ...task, heap }, heap, patience),
    );
  }

  /** @throws {TooLargeToMerge} when the worker says so, or has died of it */
  async #afforded<T>(heap: number, bytes: number, run: () => Promise<T | TooDear>): Promise<T> {
    try {
      const result = await run();
      if (!isTooDear(result)) return result;
      throw new TooLargeToMerge(result.needsHeap + outsideOf(bytes), this.#memory);
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      const needs = heap + outsideOf(bytes);
      throw new TooLargeToMerge(needs > this.#memory ? needs : 0, this.#memory);
    }
  }

  async #runIn<T>(
    pool: Piscina,
    task: Task,
    patience: number,
    transferList: ArrayBufferLike[],
  ): Promise<T> {
    return await this.#inTime(task.kind, patience, (signal) =>
      pool.run(task, { signal, transferList: transferList as never }),
    );
  }

  async #runApart<T>(task: Task, heap: number, patience: number): Promise<T> {
    this.#checkOpen();
    return await this.#inTime(task.kind, patience, (late) => {
      const signal = AbortSignal.any([late, this.#ending.signal]);
      return runApart<T>(task, { heap, patience, signal });
    });
  }

  /** The budget is for the work: it starts with it. */
  async #inTime<T>(
    kind: Task['kind'],
    patience: number,
    run: (late: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), patience);
    try {
      return await run(late.signal);
    } catch (error) {
      if (!late.signal.aborted) throw error;
      throw new OverBudget(`a ${kind} took longer than ${Math.round(patience)} ms`);
    } finally {
      clearTimeout(timer);
    }
  }

  #open(heap: number, threads: number): Piscina {
    const pool = new Piscina({
      filename: WORKER_ENTRY,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      niceIncrement: NICE,
      // A thread that waits for work with `Atomics.wait` cannot always be ended under Node 22: the
      // server's end would wait for it for ever.
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(heap / MB) },
    });
    // A worker that dies of its heap after its job was given up for its budget: nobody waits for
    // it any more, and an event `error` that nobody hears would end the process.
    pool.on('error', (error: unknown) => this.#options.onError?.(error));
    return pool;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new Error(CLOSED);
  }

  async #renew(): Promise<void> {
    const old = this.#pool;
    this.#pool = this.#open(this.#memory * SMALL_HEAP_PART, this.#options.threads);
    await old.destroy();
  }

  /** @returns false when none was free within `patience` milliseconds */
  async #takeThread(kind: Queued, patience: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    const line = this.#waiting[kind];
    return await new Promise((resolve) => {
      const turn = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const leave = (): void => {
        line.splice(line.indexOf(turn), 1);
        resolve(false);
      };
      const timer = patience === Number.POSITIVE_INFINITY ? undefined : setTimeout(leave, patience);
      line.push(turn);
    });
  }
}

function isTooDear(result: unknown): result is TooDear {
  return typeof result === 'object' && result !== null && 'needsHeap' in result;
}
