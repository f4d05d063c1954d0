/**
 * Snapshots and their differences as frames, in one cache that all open rooms share and whose
 * memory is bounded. What is large is cut into pieces once, by a worker. A thousand clients that
 * ask for the same thing at once cost one read or one computation.
 *
 * Invariants: an entry counts with what it costs beside its bytes, which of small documents is
 * most of it. What is made of a snapshot goes with it, and it with its room: of a room that is not
 * open nothing is kept.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Workers } from './compact/workers.js';
import { MessagePieces } from './message-pieces.js';
import type { SnapshotMeta, Storage } from './storage/storage.js';
import { LARGE_MESSAGE } from './update/cut.js';

/** A snapshot's bytes, or what is sent of one. */
type Cached = Uint8Array | MessagePieces;

/** What an entry costs beside its bytes and its key, as measured with 50,000 small ones: in the heap and outside of it. */
const ENTRY_BYTES = 2_000;

export interface SnapshotsOptions {
  readonly storage: Storage;
  readonly workers: Workers;
  /** Memory of all snapshots and differences that are kept, in bytes. */
  readonly maxBytes: number;
  readonly logger?: Logger;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** Of snapshots that are sent in one message; forgotten with their bytes. */
  readonly #framed = new WeakMap<Uint8Array, MessagePieces>();
  readonly #cache: LRUCache<string, Cached, () => Promise<Cached | undefined>>;
  /** Under the key of a snapshot, those of what was made of it, or is being made. */
  readonly #made = new Map<string, Set<string>>();

  /** Counts how often seqs began to mean something else. */
  #generation = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (cached, key) =>
        (isMade(cached) ? cached.bytes : cached.length) + key.length + ENTRY_BYTES,
      ignoreFetchAbort: true,
      allowStaleOnFetchAbort: true,
      fetchMethod: async (_key, _stale, { context }) => await context(),
      disposeAfter: (cached, key) => {
        if (isMade(cached)) this.#forgetMade(key);
      },
    });
  }

  /**
   * @returns the snapshot's bytes, not to be written into; undefined when it is not the room's any more
   * @throws {DamagedSnapshot} or whatever the store throws
   */
  async bytes(room: string, meta: SnapshotMeta): Promise<Uint8Array | undefined> {
    const key = this.#keyOf(room, meta);
    const read = async () => await this.#options.storage.readSnapshot(room, meta.seq);
    return (await this.#cache.fetch(key, { context: read })) as Uint8Array | undefined;
  }

  /**
   * Its bytes, for whoever hands them over to another thread. They are not kept here: what they
   * are merged into is going to take their place.
   *
   * @returns undefined when it is not the room's any more @throws as {@link bytes}
   */
  async own(room: string, meta: SnapshotMeta): Promise<Uint8Array | undefined> {
    const cached = this.#cache.peek(this.#keyOf(room, meta));
    if (cached instanceof Uint8Array) return new Uint8Array(cached);
    return await this.#options.storage.readSnapshot(room, meta.seq);
  }

  /** The whole snapshot. */
  async whole(room: string, meta: SnapshotMeta): Promise<MessagePieces | undefined> {
    const key = this.#keyOfPieces(room, meta);
    // Its bytes are not read where the pieces are there.
    const known = this.#cache.get(key);
    if (known !== undefined && isMade(known)) return known;
    const bytes = await this.bytes(room, meta);
    if (bytes === undefined) return undefined;
    // The bytes themselves: they are cached already, and cost no second time.
    if (bytes.length <= LARGE_MESSAGE) return this.#small(bytes);
    const pieces = await this.#make(key, async () => await this.#cut(bytes));
    return pieces ?? new MessagePieces([bytes]);
  }

  /** What of the snapshot a state vector lacks; the whole of it when computing that would take long. */
  async difference(
    room: string,
    meta: SnapshotMeta,
    stateVector: Uint8Array,
  ): Promise<MessagePieces | undefined> {
    const snapshot = await this.bytes(room, meta);
    if (snapshot === undefined) return undefined;
    const digest = createHash('sha256').update(stateVector).digest('base64');
    const key = `${this.#keyOf(room, meta)}\n${digest}`;
    const difference = await this.#make(key, async () => {
      const pieces = await this.#options.workers.diffInPieces({ snapshot, stateVector });
      return pieces && new MessagePieces(pieces);
    });
    return difference ?? (await this.whole(room, meta));
  }

  /**
   * Puts in a snapshot that was just made, so that the next join need not read it.
   *
   * @param pieces what it is sent in, where it is large
   */
  put(
    room: string,
    meta: SnapshotMeta,
    bytes: Uint8Array,
    pieces?: readonly Uint8Array[] | undefined,
  ): void {
    this.#cache.set(this.#keyOf(room, meta), bytes);
    if (pieces === undefined) return;
    const key = this.#keyOfPieces(room, meta);
    this.#noteMade(key);
    this.#cache.set(key, new MessagePieces(pieces));
  }

  /** The snapshot is not the room's any more, or the room is not open any more. */
  drop(room: string, meta: SnapshotMeta): void {
    const own = this.#keyOf(room, meta);
    this.#cache.delete(own);
    const made = this.#made.get(own) ?? [];
    this.#made.delete(own);
    // Also what is still being made: it is not kept then.
    for (const key of made) this.#cache.delete(key);
  }

  /** What was read before is not what the store has now; also what is on its way is not kept under the new ones. */
  clear(): void {
    this.#generation++;
    this.#cache.clear();
    this.#made.clear();
  }

  /** @returns what is kept under this key, or is made now */
  async #make(
    key: string,
    make: () => Promise<MessagePieces | undefined>,
  ): Promise<MessagePieces | undefined> {
    // Dropped while it was read: the room is not open any more, or has another.
    if (!this.#cache.has(ownKey(key))) return await make();
    this.#noteMade(key);
    try {
      return (await this.#cache.fetch(key, { context: make })) as MessagePieces | undefined;
    } finally {
      // Dropped meanwhile, it may be in the making again.
      if (this.#cache.has(key)) this.#noteMade(key);
      else this.#forgetMade(key);
    }
  }

  #noteMade(key: string): void {
    const own = ownKey(key);
    this.#made.set(own, (this.#made.get(own) ?? new Set()).add(key));
  }

  #forgetMade(key: string): void {
    const own = ownKey(key);
    const made = this.#made.get(own);
    if (made?.delete(key) && made.size === 0) this.#made.delete(own);
  }

  #small(bytes: Uint8Array): MessagePieces {
    let pieces = this.#framed.get(bytes);
    if (pieces === undefined) {
      pieces = new MessagePieces([bytes]);
      this.#framed.set(bytes, pieces);
    }
    return pieces;
  }

  /** @returns undefined where it has to be sent whole */
  async #cut(bytes: Uint8Array): Promise<MessagePieces | undefined> {
    const { workers, logger } = this.#options;
    try {
      return new MessagePieces(await workers.divide(bytes));
    } catch (error) {
      logger?.warn({ err: error }, 'a snapshot could not be cut into pieces: it is sent whole');
      return undefined;
    }
  }

  /** A room's name holds no line feed, so no two keys are the same. */
  #keyOf(room: string, { seq }: SnapshotMeta): string {
    return `${this.#generation}\n${seq}\n${room}`;
  }

  /** No state vector has this digest. */
  #keyOfPieces(room: string, meta: SnapshotMeta): string {
    return `${this.#keyOf(room, meta)}\npieces`;
  }
}

function isMade(cached: Cached): cached is MessagePieces {
  return cached instanceof MessagePieces;
}

/** @param key of what was made of a snapshot: that of the snapshot, and one line more */
function ownKey(key: string): string {
  return key.slice(0, key.lastIndexOf('\n'));
}
