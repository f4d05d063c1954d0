/**
 * The way of updates of all rooms to the store: group commit.
 *
 * Invariants: one commit is in flight at a time, and one begins at most every
 * {@link LogOptions.commitInterval}; a room's entries are committed in the order
 * of their seqs; `saved` is called only after the store has resolved. A commit
 * that fails is tried again, whole, until it succeeds or the log is closed: an
 * update that was admitted is never given up while the process lives.
 */
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';
import type { LogEntry, Storage } from './storage/storage.js';

/** A room as the log sees it. */
export interface LogRoom {
  readonly name: string;
  /** All entries up to and with `seq` are on disk. */
  saved(seq: number): void;
  /** More waits unsaved than the server will hold: the room must take no more for now. */
  overflowed(): void;
}

export interface LogOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds from the start of one commit to that of the next, at least. */
  readonly commitInterval: number;
  /** Bytes of all rooms that may wait for the store; reached only when it fails or stalls. */
  readonly maxUnsavedBytes: number;
  /** From 0 to below 1, for the jitter of retries. */
  readonly random: () => number;
}

interface Waiting {
  readonly room: LogRoom;
  readonly entries: LogEntry[];
}

/** What an entry costs beside its bytes, so that a flood of tiny ones is bounded too. */
const ENTRY_OVERHEAD = 200;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export class Log {
  readonly #options: LogOptions;
  #waiting = new Map<LogRoom, Waiting>();
  #committing: readonly Waiting[] | undefined;
  #unsavedBytes = 0;
  #lastCommit = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #failures = 0;
  /** Entries that were ever appended, and how many of them are on disk. */
  #appended = 0;
  #durable = 0;
  #flushes: { readonly upTo: number; readonly resolve: () => void }[] = [];

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Bytes that are admitted and not on disk yet. */
  get unsavedBytes(): number {
    return this.#unsavedBytes;
  }

  /** True from a failed commit until the next that succeeds. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Whether so much waits that no room may take more. */
  get full(): boolean {
    return this.#unsavedBytes >= this.#options.maxUnsavedBytes;
  }

  /** @param entry the next of its room; its bytes are not copied and must not change until they are saved */
  append(room: LogRoom, entry: LogEntry): void {
    const waiting = this.#waiting.get(room);
    if (waiting === undefined) this.#waiting.set(room, { room, entries: [entry] });
    else waiting.entries.push(entry);
    this.#appended++;
    this.#unsavedBytes += entry.update.length + ENTRY_OVERHEAD;
    this.#schedule();
    if (this.full) room.overflowed();
  }

  /** Resolves once everything appended before the call is on disk. While the store fails, it waits. */
  async flush(): Promise<void> {
    const upTo = this.#appended;
    if (this.#durable === upTo) return;
    await new Promise<void>((resolve) => this.#flushes.push({ upTo, resolve }));
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#committing !== undefined) return;
    const { clock, commitInterval } = this.#options;
    const wait =
      this.#failures > 0 ? this.#retryDelay() : this.#lastCommit + commitInterval - clock.now();
    if (wait > 0) {
      this.#timer = clock.after(wait, () => this.#commit());
    } else {
      // At the end of the turn, so that all that one turn admits is one commit.
      this.#timer = { cancel: () => undefined };
      clock.soon(() => this.#commit());
    }
  }

  #retryDelay(): number {
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
    return ceiling * (0.5 + this.#options.random() / 2);
  }

  async #commit(): Promise<void> {
    const { storage, clock, logger } = this.#options;
    this.#timer = undefined;
    const batch = [...this.#waiting.values()];
    const upTo = this.#appended;
    this.#waiting = new Map();
    this.#committing = batch;
    this.#lastCommit = clock.now();
    try {
      await storage.append(batch.map(({ room, entries }) => ({ room: room.name, entries })));
    } catch (error) {
      this.#failed(batch, error);
      return;
    }
    if (this.#failures > 0) {
      logger.info({ failures: this.#failures }, 'the store takes writes again');
      this.#failures = 0;
    }
    this.#committing = undefined;
    for (const { entries } of batch) {
      for (const { update } of entries) this.#unsavedBytes -= update.length + ENTRY_OVERHEAD;
    }
    for (const { room, entries } of batch) room.saved(entries.at(-1)!.seq);
    this.#durable = upTo;
    const flushed = this.#flushes.filter((flush) => flush.upTo <= upTo);
    this.#flushes = this.#flushes.filter((flush) => flush.upTo > upTo);
    for (const { resolve } of flushed) resolve();
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Puts the batch back in front of what came in since. */
  #failed(batch: readonly Waiting[], error: unknown): void {
    this.#failures++;
    this.#options.logger.error(
      { err: error, failures: this.#failures, unsavedBytes: this.#unsavedBytes },
      'the store did not take a commit; it is tried again',
    );
    const newer = this.#waiting;
    this.#waiting = new Map();
    for (const { room, entries } of [...batch, ...newer.values()]) {
      const waiting = this.#waiting.get(room);
      if (waiting === undefined) this.#waiting.set(room, { room, entries: [...entries] });
      else for (const entry of entries) waiting.entries.push(entry);
    }
    this.#committing = undefined;
    this.#schedule();
  }
}
