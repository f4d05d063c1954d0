/**
 * Merges of large documents, as far as memory goes: which are tried, and which are known to be
 * too large here.
 *
 * What is found out is kept in the store, so that it outlasts this process and is known to the
 * others: a document that is too large is not tried again at each open, and one at which the
 * kernel ended the process is not tried for ever. Ordinary documents cost the store nothing.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { judge } from './compact/merge-note.js';
import { OverBudget, TooLargeToMerge } from './compact/over-budget.js';
import { mostBytesIn, mostMemoryFor } from './compact/weight.js';
import type { Workers } from './compact/workers.js';
import { limitForWorkers } from './memory.js';
import type { MergeNote, Storage } from './storage/storage.js';

export interface MergesOptions {
  readonly storage: Storage;
  readonly workers: Workers;
  readonly logger: Logger;
}

/** A room that is to be merged. */
export interface MergedRoom {
  readonly room: string;
  readonly life: number;
  /** Bytes of snapshot and log. */
  readonly size: number;
}

/** Another process may be at it, or it is known to take longer than it may: not now. */
export class MergePostponed extends Error {
  override readonly name = 'MergePostponed';
}

/**
 * Says at the start that documents which may be written may be too large to merge.
 *
 * @param maxDocumentBytes what a document may have
 */
export function warnOfTooLarge(maxDocumentBytes: number, workers: Workers, logger: Logger): void {
  const needs = mostMemoryFor(maxDocumentBytes);
  const { memory } = workers;
  if (needs <= memory) return;
  logger.warn(
    { maxDocumentBytes, needs, memory },
    `a document of MAX_DOCUMENT_BYTES may be too large to merge here: give this process ${inMb(limitForWorkers(needs))} MB of memory, or set MAX_DOCUMENT_BYTES to ${mostBytesIn(memory)} at most`,
  );
}

function inMb(bytes: number): number {
  return Math.ceil(bytes / (1024 * 1024));
}

/** Rooms whose names are kept, for the figure. */
const MOST_KNOWN = 10_000;
/** A merge that took too long is tried again after so many times as long: it takes that part of a worker. */
const REST = 10;
/** By which clocks of processes may differ, and reading and writing take. */
const MARGIN_MS = 60_000;

export class Merges {
  readonly #options: MergesOptions;
  readonly #by = randomUUID();
  readonly #tooLarge = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: MergesOptions) {
    this.#options = options;
  }

  /** Rooms that were found too large to merge here since the start, and were not merged since. */
  get tooLarge(): number {
    return this.#tooLarge.size;
  }

  /** The room holds something else from now on. */
  forget(room: string): void {
    this.#tooLarge.delete(room);
  }

  /**
   * @param merge is handed what is to be called before anything is read: it throws where the merge
   *   is not to be tried
   * @throws {TooLargeToMerge}
   * @throws {MergePostponed} or whatever `merge` throws
   */
  async run<T>(about: MergedRoom, merge: (begin: () => Promise<void>) => Promise<T>): Promise<T> {
    const running = this.#run(about, merge);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Resolves once nothing more is written down of merges that the workers' end has ended. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #run<T>(about: MergedRoom, merge: (begin: () => Promise<void>) => Promise<T>): Promise<T> {
    const { room } = about;
    let before: MergeNote | undefined;
    let isNoted = false;
    const begin = async (): Promise<void> => {
      const known = await this.#begin(about);
      // It may be begun once more, with more memory.
      if (!isNoted) before = known;
      isNoted = this.#isDear(about);
    };
    try {
      const result = await merge(begin);
      if (isNoted) await this.#note(room, undefined);
      this.#tooLarge.delete(room);
      return result;
    } catch (error) {
      const found = this.#found(error, about);
      if (found !== undefined) await this.#note(room, found);
      else if (isNoted) await this.#note(room, before);
      if (error instanceof TooLargeToMerge && this.#tooLarge.size < MOST_KNOWN) {
        this.#tooLarge.add(room);
      }
      throw error;
    }
  }

  /** @returns what was remembered before @throws where it is not to be tried */
  async #begin(about: MergedRoom): Promise<MergeNote | undefined> {
    if (!this.#isDear(about)) return undefined;
    const { storage, workers } = this.#options;
    const { room, life, size } = about;
    const { memory } = workers;
    const note = await storage.mergeNote(room);
    const now = Date.now();
    const { isShared } = storage;
    const verdict = judge(note, { memory, size, life, by: this.#by, now, isShared });
    if (verdict.is === 'too-large') {
      // Two processes have not survived it: from now on that is what is known.
      if (note?.state === 'begun') {
        await storage.noteMerge(room, { ...note, state: 'too-large', until: 0 });
      }
      throw new KnownTooLarge(verdict.needs, memory);
    }
    if (verdict.is !== 'go') {
      throw new MergePostponed(
        verdict.is === 'busy'
          ? 'another server may be merging this document'
          : 'merging this document took longer than it may; it is tried again later, or when it is twice as large',
      );
    }
    await storage.noteMerge(room, {
      ...this.#noteOf(about, 'begun', now + workers.patience(size) + MARGIN_MS),
      deaths: verdict.deaths,
    });
    return note;
  }

  /** Whether it is noted: by its size, or because it was more than that let expect. */
  #isDear({ room, size }: MergedRoom): boolean {
    return this.#options.workers.isLarge(size) || this.#tooLarge.has(room);
  }

  /** What there is to be remembered of a failure; undefined where it says nothing of the document. */
  #found(error: unknown, about: MergedRoom): MergeNote | undefined {
    // What was known before is remembered already, with the memory that it was found out with.
    if (error instanceof KnownTooLarge) return undefined;
    if (error instanceof TooLargeToMerge) {
      return { ...this.#noteOf(about, 'too-large', 0), needs: error.needs };
    }
    if (error instanceof OverBudget && this.#isDear(about)) {
      const rest = REST * this.#options.workers.patience(about.size);
      return this.#noteOf(about, 'too-slow', Date.now() + rest);
    }
    return undefined;
  }

  #noteOf({ life, size }: MergedRoom, state: MergeNote['state'], until: number): MergeNote {
    const { memory } = this.#options.workers;
    return { state, life, size, memory, needs: 0, deaths: 0, by: this.#by, until };
  }

  /** Never rejects: what is not remembered is found out again. */
  async #note(room: string, note: MergeNote | undefined): Promise<void> {
    const { storage, logger } = this.#options;
    try {
      await storage.noteMerge(room, note);
    } catch (err) {
      logger.warn({ err, room }, 'what a merge has shown could not be written down');
    }
  }
}

class KnownTooLarge extends TooLargeToMerge {}
