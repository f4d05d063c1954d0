/**
 * When a room's tail is merged into its snapshot, and what becomes of it.
 *
 * Invariants: one compaction of a room at a time; one that fails costs nothing but
 * its work, and is not tried again before the tail is twice as large.
 */
import type { Logger } from 'pino';
import type { Clock } from './clock.js';
import { compactRoom, SnapshotReplaced } from './compact/compaction.js';
import { TooLargeToMerge } from './compact/over-budget.js';
import { isDue, isDueWhenIdle } from './compact/policy.js';
import type { Workers } from './compact/workers.js';
import type { Contents } from './contents.js';
import type { CompactionMeasures } from './measures.js';
import { MergePostponed, type Merges } from './merges.js';
import type { Snapshots } from './snapshots.js';
import type { Quarantined, SnapshotMeta, Storage } from './storage/storage.js';
import { traced } from './trace.js';

/** What the compactors of all rooms share. */
export interface CompactorDependencies {
  readonly storage: Storage;
  readonly workers: Workers;
  readonly merges: Merges;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onQuarantine: (room: string, entries: readonly Quarantined[]) => void;
  readonly compactions: CompactionMeasures;
}

/** The room, as far as its compactions go. */
export interface CompactedRoom {
  readonly name: string;
  /** The store has this snapshot. */
  compacted(snapshot: SnapshotMeta): void;
  /** Takes over the store's snapshot, if that is another than the one known. */
  refresh(): Promise<void>;
  /** Nothing runs any more. */
  compactionEnded(): void;
}

const FULL_EVERY_MS = 30_000;

export class Compactor {
  readonly #deps: CompactorDependencies;
  readonly #room: CompactedRoom;
  readonly #contents: Contents;
  /** Entries that were found unusable, until a compaction has moved them to the quarantine. */
  #unusable: readonly Quarantined[];
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Bytes of the tail below which it is not tried again. */
  #from = 0;
  /** When it may be tried next only because the document is full. */
  #fullFrom = 0;

  constructor(
    deps: CompactorDependencies,
    room: CompactedRoom,
    contents: Contents,
    unusable: readonly Quarantined[],
  ) {
    this.#deps = deps;
    this.#room = room;
    this.#contents = contents;
    this.#unusable = unusable;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** While people edit: begins when it is due. */
  consider(): void {
    const contents = this.#contents;
    if (this.#isClosed || this.isRunning || contents.head <= (contents.snapshot?.seq ?? 0)) return;
    if (contents.tail.size < this.#from) return;
    if (isDue(contents.uncompacted) || this.#unusable.length > 0) void this.#run();
  }

  /**
   * When there is no room for more: anything that was deleted since is enough, now and
   * then. Each writes the whole document, and who is refused can ask for it at will.
   */
  considerWhenFull(): void {
    const { uncompacted, tail } = this.#contents;
    const now = Math.floor(this.#deps.clock.now());
    if (this.#isClosed || this.isRunning || tail.size < this.#from || now < this.#fullFrom) return;
    if (uncompacted.updates === 0) return;
    this.#fullFrom = now + FULL_EVERY_MS;
    void this.#run();
  }

  /** When the last one has left: less is enough. @returns whether it has begun */
  considerWhenIdle(): boolean {
    const contents = this.#contents;
    if (!isDueWhenIdle(contents.uncompacted) || contents.tail.size < this.#from) return false;
    void this.#run();
    return true;
  }

  /** Because somebody says so. @returns whether the snapshot reaches as far as the log did */
  async now(): Promise<boolean> {
    await this.#running;
    const contents = this.#contents;
    if (this.#isClosed) return false;
    const { head } = contents;
    if (head > (contents.snapshot?.seq ?? 0)) await this.#run();
    return (contents.snapshot?.seq ?? 0) >= head;
  }

  async #run(): Promise<void> {
    this.#running ??= this.#merge();
    await this.#running;
  }

  /** Never rejects: a room whose compaction fails is served from its tail. */
  async #merge(): Promise<void> {
    const { storage, workers, merges, snapshots, clock, logger, compactions } = this.#deps;
    const { name: room } = this.#room;
    const contents = this.#contents;
    const { updates } = contents.uncompacted;
    const about = { room, life: contents.life, size: contents.size };
    const start = clock.now();
    try {
      const { snapshot, isFaithful, poisoned } = await traced(
        'cowrite.compact',
        () => ({ 'cowrite.room': room, 'cowrite.updates': updates }),
        async () =>
          await merges.run(about, (begin) =>
            compactRoom({
              begin,
              storage,
              workers,
              snapshots,
              room,
              base: contents.snapshot,
              upTo: contents.head,
              unusable: this.#unusable,
              isWanted: () => !this.#isClosed,
            }),
          ),
      );
      this.#from = 0;
      this.#unusable = [];
      this.#room.compacted(snapshot);
      const ms = Math.round(clock.now() - start);
      compactions.times.add(ms);
      compactions.bytes += snapshot.size;
      logger.debug({ room, updates, bytes: snapshot.size, ms }, 'compacted');
      if (!isFaithful) {
        const message = 'a document reads differently once reloaded; its log was kept aside';
        logger.warn({ room }, message);
      }
      if (poisoned.length > 0) {
        const found = poisoned.map(({ seq, author, reason }) => ({ seq, author, reason }));
        logger.error({ room, found }, 'entries of the log were set aside');
        this.#deps.onQuarantine(room, poisoned);
      }
    } catch (error) {
      await this.#failed(error);
    } finally {
      this.#running = undefined;
      this.#room.compactionEnded();
    }
  }

  async #failed(error: unknown): Promise<void> {
    // Closing kills the worker; the next one to open the room begins again.
    if (this.#isClosed) return;
    const { logger, compactions } = this.#deps;
    const { name: room } = this.#room;
    if (error instanceof SnapshotReplaced) {
      compactions.outrun++;
      try {
        await this.#room.refresh();
        return;
      } catch (cause) {
        logger.warn({ err: cause, room }, 'the store could not be asked for its snapshot');
      }
    }
    this.#from = Math.max(1, this.#contents.tail.size * 2);
    if (error instanceof MergePostponed) {
      logger.info({ room }, `not compacted: ${error.message}`);
      return;
    }
    if (error instanceof TooLargeToMerge) {
      compactions.tooLarge++;
      const { needs, memory, message } = error;
      logger.warn({ room, needs, memory }, `${message}; it is served from its log`);
      return;
    }
    compactions.failures++;
    logger.error({ err: error, room }, 'a compaction failed; the room goes on without');
  }
}
