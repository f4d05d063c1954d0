/**
 * The way of updates of all rooms to the store: group commit.
 *
 * Invariants: one commit is in flight at a time, and one begins at most every
 * {@link LogOptions.commitInterval}; a room's entries are committed in the order
 * of their admission; `committed` is called only after the store has resolved. A commit
 * that fails is tried again as it was, under its number, until it succeeds or the
 * log is closed: an update that was admitted is never given up while the process
 * lives, unless its room is deleted, and none is written twice. When the store fails over, what
 * was not written waits for the rooms that are loaded in the place of those that ended, which
 * admit it again (stranded.ts).
 */
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';
import type { LogMeasures } from './measures.js';
import type { NewEntry, Storage } from './storage/storage.js';
import { Stranded } from './stranded.js';
import { traced } from './trace.js';

/** A room as the log sees it. */
export interface LogRoom {
  readonly name: string;
  /** The life of the room that its entries were admitted to, as the store counts it. */
  readonly life: number;
  /** Which of the documents of its name they were admitted to. */
  readonly generation: number;
  /** The oldest entries that were not committed yet are on disk; the first of them has this seq. */
  committed(firstSeq: number, entries: readonly NewEntry[]): void;
  /** The room was removed: entries of it were not written, and never will be. */
  deleted(): void;
  /** More waits unsaved than the server will hold: the room must take no more for now. */
  overflowed(): void;
}

/** How many updates of a room the store has not taken. */
export interface UnsavedRoom {
  readonly room: string;
  readonly updates: number;
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
  readonly measures: LogMeasures;
}

interface Waiting {
  readonly room: LogRoom;
  readonly entries: NewEntry[];
  /** When the oldest of them was admitted, or one before it. */
  readonly since: number;
}

/** What an entry costs beside its bytes, so that a flood of tiny ones is bounded too. */
const ENTRY_OVERHEAD = 200;
/** A batch, with how many entries were ever appended when it was put together. */
interface Commit {
  readonly number: number;
  readonly batch: readonly Waiting[];
  readonly upTo: number;
}

/** What one commit may be: what gathers while the store is away comes to it in several. */
const MAX_COMMIT_ENTRIES = 10_000;
const MAX_COMMIT_BYTES = 8 * 1024 * 1024;

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export class Log {
  readonly #options: LogOptions;
  readonly #waiting = new Map<LogRoom, Waiting>();
  #isCommitting = false;
  /** The commit that is under way, or has failed and is tried again before any other. */
  #unfinished: Commit | undefined;
  #commits = 0;
  #unsavedBytes = 0;
  #lastCommit = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #failures = 0;
  /** Entries that were ever appended, and how many of them are on disk. */
  #appended = 0;
  #durable = 0;
  #flushes: { readonly upTo: number; readonly resolve: () => void }[] = [];
  readonly #stranded = new Stranded();

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Bytes that are admitted and not on disk yet. */
  get unsavedBytes(): number {
    return this.#unsavedBytes;
  }

  /** What is admitted and not on disk yet, by room. */
  get unsaved(): UnsavedRoom[] {
    const updates = new Map<string, number>();
    const waiting = [...(this.#unfinished?.batch ?? []), ...this.#waiting.values()];
    for (const { name, entries } of [
      ...waiting.map(({ room, entries }) => ({ name: room.name, entries })),
      ...this.#stranded.all,
    ]) {
      updates.set(name, (updates.get(name) ?? 0) + entries.length);
    }
    return [...updates].map(([room, count]) => ({ room, updates: count }));
  }

  /** Milliseconds since the oldest of it was admitted; 0 for nothing. */
  get oldestUnsaved(): number {
    const now = this.#options.clock.now();
    const unsaved = [
      ...(this.#unfinished?.batch ?? []),
      ...this.#waiting.values(),
      ...this.#stranded.all,
    ];
    return unsaved.reduce((oldest, { since }) => Math.max(oldest, now - since), 0);
  }

  /** True from a failed commit until the next that succeeds. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Whether so much waits that no room may take more. */
  get full(): boolean {
    return this.#unsavedBytes >= this.#options.maxUnsavedBytes;
  }

  /** @param entry the next of its room, as admitted; its bytes are not copied and must not change until they are saved */
  append(room: LogRoom, entry: NewEntry): void {
    const waiting = this.#waiting.get(room);
    if (waiting === undefined) {
      const since = this.#options.clock.now();
      this.#waiting.set(room, { room, entries: [entry], since });
    } else waiting.entries.push(entry);
    this.#appended++;
    this.#unsavedBytes += entry.update.length + ENTRY_OVERHEAD;
    this.#schedule();
    if (this.full) room.overflowed();
  }

  /** The store has failed over, and every room has ended: what they had admitted does not belong to what the store has now. */
  strand(): void {
    for (const { room, entries, since } of this.#unfinished?.batch ?? []) {
      this.#stranded.add({ name: room.name, generation: room.generation, entries, since });
    }
    for (const { room, entries, since } of this.#waiting.values()) {
      this.#stranded.add({ name: room.name, generation: room.generation, entries, since });
    }
    this.#unfinished = undefined;
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    // Those were of the server before.
    this.#failures = 0;
  }

  /** The rooms that {@link claim} has something for. */
  get stranded(): readonly string[] {
    return this.#stranded.names;
  }

  /**
   * What ended rooms of this name had admitted and the store has not taken. The room in their
   * place admits it again, in this turn; where that is of another document there is nothing for it.
   */
  claim(name: string, generation: number): readonly NewEntry[] {
    const rooms = this.#stranded.take(name);
    for (const { update } of rooms.flatMap(({ entries }) => entries)) {
      this.#unsavedBytes -= update.length + ENTRY_OVERHEAD;
    }
    if (rooms.length > 0) this.#options.clock.soon(() => this.#settle());
    return rooms.filter((room) => room.generation === generation).flatMap(({ entries }) => entries);
  }

  /** Resolves once everything appended before the call is on disk. While the store fails, it waits. */
  async flush(): Promise<void> {
    const upTo = this.#appended;
    if (this.#durable === upTo) return;
    await new Promise<void>((resolve) => this.#flushes.push({ upTo, resolve }));
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isCommitting) return;
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
    const { storage, clock, logger, measures } = this.#options;
    this.#timer = undefined;
    // What it was to commit has been stranded meanwhile.
    if (this.#isCommitting || (this.#unfinished ?? this.#waiting.keys().next().value) === undefined)
      return;
    this.#unfinished ??= this.#next();
    const commit = this.#unfinished;
    const { number, batch, upTo } = commit;
    this.#isCommitting = true;
    this.#lastCommit = clock.now();
    let seqs: readonly number[];
    try {
      const appends = batch.map(({ room: { name, life }, entries }) => ({
        room: name,
        life,
        entries,
      }));
      seqs = await traced(
        'cowrite.append',
        () => ({ 'cowrite.commit': number, 'cowrite.rooms': batch.length }),
        async () => await storage.append({ number, appends }),
      );
    } catch (error) {
      this.#isCommitting = false;
      if (this.#unfinished !== commit) {
        this.#goOn();
        return;
      }
      this.#failures++;
      measures.failures++;
      logger.error(
        { err: error, failures: this.#failures, unsavedBytes: this.#unsavedBytes },
        'the store did not take a commit; it is tried again',
      );
      this.#schedule();
      return;
    }
    this.#isCommitting = false;
    // It was stranded: the server that took it is not the store any more.
    if (this.#unfinished !== commit) {
      this.#goOn();
      return;
    }
    if (this.#failures > 0) {
      logger.info({ failures: this.#failures }, 'the store takes writes again');
      this.#failures = 0;
    }
    const now = clock.now();
    measures.commits.add(now - this.#lastCommit);
    this.#unfinished = undefined;
    for (const { entries, since } of batch) {
      measures.appends.add(now - since);
      for (const { update } of entries) this.#unsavedBytes -= update.length + ENTRY_OVERHEAD;
    }
    for (const [i, { room, entries }] of batch.entries()) {
      try {
        if (seqs[i] === 0) room.deleted();
        else room.committed(seqs[i]!, entries);
      } catch (cause) {
        // What went wrong in one room is not the others' affair.
        logger.error({ err: cause, room: room.name }, 'a room failed');
      }
    }
    this.#durable = upTo;
    this.#flushed();
    this.#goOn();
  }

  #goOn(): void {
    if (this.#waiting.size > 0) this.#schedule();
  }

  #flushed(): void {
    const flushed = this.#flushes.filter(({ upTo }) => upTo <= this.#durable);
    this.#flushes = this.#flushes.filter(({ upTo }) => upTo > this.#durable);
    for (const { resolve } of flushed) resolve();
  }

  /** Nothing waits any more, though perhaps none of it was committed under the count that it was appended with. */
  #settle(): void {
    if (this.#unfinished !== undefined || this.#waiting.size > 0 || !this.#stranded.isEmpty) return;
    this.#durable = this.#appended;
    this.#flushed();
  }

  #next(): Commit {
    const batch: Waiting[] = [];
    const names = new Set<string>();
    let count = 0;
    let bytes = 0;
    for (const { room, entries, since } of [...this.#waiting.values()]) {
      if (count >= MAX_COMMIT_ENTRIES || bytes >= MAX_COMMIT_BYTES) break;
      // A room that was lost and the one in its place: one after the other, each room once a commit.
      if (names.has(room.name)) continue;
      names.add(room.name);
      let taken = 0;
      while (
        taken < entries.length &&
        count + taken < MAX_COMMIT_ENTRIES &&
        bytes < MAX_COMMIT_BYTES
      ) {
        bytes += entries[taken++]!.update.length;
      }
      count += taken;
      batch.push({ room, entries: entries.splice(0, taken), since });
      if (entries.length === 0) this.#waiting.delete(room);
    }
    const isAll = this.#waiting.size === 0 && this.#stranded.isEmpty;
    const upTo = isAll ? this.#appended : this.#durable;
    return { number: ++this.#commits, batch, upTo };
  }
}
