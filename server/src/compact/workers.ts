/**
 * Runs jobs on documents beside the event loop, within a budget of time and memory.
 * A job over its budget is killed with its worker; the next one gets a new worker.
 */
import { Piscina } from 'piscina';
import type { CompactResult, CompactTask, DiffTask } from './job.js';
import { pack } from './packed.js';
import type { ViewTask } from './view.js';
import type { Task } from './worker.js';

export interface WorkerOptions {
  /** Worker threads at most. */
  readonly threads: number;
  /** Milliseconds from a job's start until it is killed. */
  readonly budget: number;
  /** MB of JavaScript heap for one worker. */
  readonly heap: number;
  /** A worker died of something that no job has heard of. */
  readonly onError?: (error: unknown) => void;
}

/** The job used more time than it may. */
export class OverBudget extends Error {
  override readonly name = 'OverBudget';
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

export class Workers {
  readonly #options: WorkerOptions;
  readonly #pool: Piscina;
  #free: number;
  /** Jobs that wait for a thread. Somebody waits for a diff and for a view, nobody for a compaction. */
  readonly #waiting: Record<Task['kind'], (() => void)[]> = { diff: [], view: [], compact: [] };

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#free = options.threads;
    this.#pool = new Piscina({
      filename: WORKER_ENTRY,
      minThreads: 0,
      maxThreads: options.threads,
      idleTimeout: IDLE_MS,
      niceIncrement: NICE,
      resourceLimits: { maxOldGenerationSizeMb: options.heap },
    });
    // A worker that dies of its heap after its job was given up for its budget: nobody waits for
    // it any more, and an event `error` that nobody hears would end the process.
    this.#pool.on('error', (error: unknown) => options.onError?.(error));
  }

  /**
   * @param read called when a thread is free, and not before: many rooms are often due
   *   at once, and if all read their logs then, the loop would stand still meanwhile
   * @throws {OverBudget} or whatever the job or `read` throws, such as an unreadable snapshot
   */
  async compact(read: () => Promise<CompactTask>): Promise<CompactResult> {
    const result = await this.#run<CompactResult>(
      'compact',
      async () => {
        const { snapshot, updates } = await read();
        return { kind: 'compact', snapshot, updates: pack(updates) };
      },
      Number.POSITIVE_INFINITY,
    );
    return result!;
  }

  /** @returns undefined when it would have to wait for longer than its answer is worth */
  async diff(task: DiffTask): Promise<Uint8Array | undefined> {
    if (this.#waiting.diff.length >= MAX_WAITING_DIFFS) return undefined;
    return await this.#run('diff', () => ({ kind: 'diff', ...task }), DIFF_PATIENCE_MS);
  }

  /**
   * What a document shows. How many are asked for at once is for the caller to bound.
   *
   * @param read as in {@link compact}
   * @returns undefined when there is no such type in it
   * @throws {OverBudget} or whatever the job or `read` throws
   */
  async view(read: () => Promise<ViewTask>): Promise<Uint8Array | undefined> {
    return await this.#run(
      'view',
      async () => {
        const { updates, ...task } = await read();
        return { kind: 'view', ...task, updates: pack(updates) };
      },
      Number.POSITIVE_INFINITY,
    );
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
    await this.#pool.destroy();
  }

  async #run<T>(
    kind: Task['kind'],
    read: () => Task | Promise<Task>,
    patience: number,
  ): Promise<T | undefined> {
    if (!(await this.#takeThread(kind, patience))) return undefined;
    try {
      return await this.#runNow(await read());
    } finally {
      const { diff, view, compact } = this.#waiting;
      const next = diff.shift() ?? view.shift() ?? compact.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  async #runNow<T>(task: Task): Promise<T> {
    // The budget is for the work: it starts when the thread does.
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#options.budget);
    try {
      return await this.#pool.run(task, { signal: abort.signal });
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      throw new OverBudget(`a ${task.kind} took longer than ${this.#options.budget} ms`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns false when none was free within `patience` milliseconds */
  async #takeThread(kind: Task['kind'], patience: number): Promise<boolean> {
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
