/**
 * Snapshots and their differences as frames, in one cache that all rooms share
 * and whose bytes are bounded. What is large is cut into pieces once, by a worker. A thousand clients that ask for the same thing at
 * once cost one read or one computation.
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

export interface SnapshotsOptions {
  readonly storage: Storage;
  readonly workers: Workers;
  /** Bytes of all snapshots and differences that are kept. */
  readonly maxBytes: number;
  readonly logger?: Logger;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** Of snapshots that are sent in one message; forgotten with their bytes. */
  readonly #framed = new WeakMap<Uint8Array, MessagePieces>();
  readonly #cache: LRUCache<string, Cached, () => Promise<Cached | undefined>>;

  /** Counts how often seqs began to mean something else. */
  #generation = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (cached) =>
        (cached instanceof MessagePieces ? cached.bytes : cached.length) + 1,
      ignoreFetchAbort: true,
      allowStaleOnFetchAbort: true,
      fetchMethod: async (_key, _stale, { context }) => await context(),
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
    if (known instanceof MessagePieces) return known;
    const bytes = await this.bytes(room, meta);
    if (bytes === undefined) return undefined;
    // The bytes themselves: they are cached already, and cost no second time.
    if (bytes.length <= LARGE_MESSAGE) return this.#small(bytes);
    const pieces = await this.#cache.fetch(key, { context: async () => await this.#cut(bytes) });
    return (pieces as MessagePieces | undefined) ?? new MessagePieces([bytes]);
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
    const difference = await this.#cache.fetch(key, {
      context: async () => {
        const pieces = await this.#options.workers.diffInPieces({ snapshot, stateVector });
        return pieces && new MessagePieces(pieces);
      },
    });
    return (difference as MessagePieces | undefined) ?? (await this.whole(room, meta));
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
    if (pieces !== undefined)
      this.#cache.set(this.#keyOfPieces(room, meta), new MessagePieces(pieces));
  }

  drop(room: string, meta: SnapshotMeta): void {
    this.#cache.delete(this.#keyOf(room, meta));
    this.#cache.delete(this.#keyOfPieces(room, meta));
  }

  /** What was read before is not what the store has now; also what is on its way is not kept under the new ones. */
  clear(): void {
    this.#generation++;
    this.#cache.clear();
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
