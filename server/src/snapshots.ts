/**
 * Snapshots and their differences as frames, in one cache that all rooms share
 * and whose bytes are bounded. A thousand clients that ask for the same thing at
 * once cost one read or one computation.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Workers } from './compact/workers.js';
import type { Codec } from './dialect.js';
import type { Frame } from './frame.js';
import type { SnapshotMeta, Storage } from './storage/storage.js';

interface Cached {
  readonly bytes: Uint8Array;
  readonly frames: Map<Codec, Frame>;
}

export interface SnapshotsOptions {
  readonly storage: Storage;
  readonly workers: Workers;
  /** Bytes of all snapshots and differences that are kept. */
  readonly maxBytes: number;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #cache: LRUCache<string, Cached, () => Promise<Uint8Array | undefined>>;

  /** Counts how often seqs began to mean something else. */
  #generation = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ bytes }) => bytes.length + 1,
      ignoreFetchAbort: true,
      allowStaleOnFetchAbort: true,
      fetchMethod: async (_key, _stale, { context }) => {
        const bytes = await context();
        return bytes && { bytes, frames: new Map() };
      },
    });
  }

  /**
   * @returns the snapshot's bytes, not to be written into; undefined when it is not the room's any more
   * @throws {DamagedSnapshot} or whatever the store throws
   */
  async bytes(room: string, meta: SnapshotMeta): Promise<Uint8Array | undefined> {
    return (await this.#snapshot(room, meta))?.bytes;
  }

  /**
   * Its bytes, for whoever hands them over to another thread. They are not kept here: what they
   * are merged into is going to take their place.
   *
   * @returns undefined when it is not the room's any more @throws as {@link bytes}
   */
  async own(room: string, meta: SnapshotMeta): Promise<Uint8Array | undefined> {
    const cached = this.#cache.peek(this.#keyOf(room, meta));
    return cached?.bytes.slice() ?? (await this.#options.storage.readSnapshot(room, meta.seq));
  }

  /** The whole snapshot as a step 2. */
  async whole(room: string, meta: SnapshotMeta, codec: Codec): Promise<Frame | undefined> {
    const cached = await this.#snapshot(room, meta);
    return cached && frameOf(cached, codec);
  }

  /** What of the snapshot a state vector lacks, as a step 2; the whole of it when computing that would take long. */
  async difference(
    room: string,
    meta: SnapshotMeta,
    stateVector: Uint8Array,
    codec: Codec,
  ): Promise<Frame | undefined> {
    const snapshot = await this.#snapshot(room, meta);
    if (snapshot === undefined) return undefined;
    const digest = createHash('sha256').update(stateVector).digest('base64');
    const key = `${this.#keyOf(room, meta)}\n${digest}`;
    const difference = await this.#cache.fetch(key, {
      context: () => this.#options.workers.diff({ snapshot: snapshot.bytes, stateVector }),
    });
    return frameOf(difference ?? snapshot, codec);
  }

  /** Puts in a snapshot that was just made, so that the next join need not read it. */
  put(room: string, meta: SnapshotMeta, bytes: Uint8Array): void {
    this.#cache.set(this.#keyOf(room, meta), { bytes, frames: new Map() });
  }

  drop(room: string, meta: SnapshotMeta): void {
    this.#cache.delete(this.#keyOf(room, meta));
  }

  /** What was read before is not what the store has now; also what is on its way is not kept under the new ones. */
  clear(): void {
    this.#generation++;
    this.#cache.clear();
  }

  /** A room's name holds no line feed, so no two keys are the same. */
  #keyOf(room: string, { seq }: SnapshotMeta): string {
    return `${this.#generation}\n${seq}\n${room}`;
  }

  async #snapshot(room: string, meta: SnapshotMeta): Promise<Cached | undefined> {
    return await this.#cache.fetch(this.#keyOf(room, meta), {
      context: () => this.#options.storage.readSnapshot(room, meta.seq),
    });
  }
}

function frameOf(cached: Cached, codec: Codec): Frame {
  let frame = cached.frames.get(codec);
  if (frame === undefined) {
    frame = codec.encode({ type: 'step2', update: cached.bytes });
    cached.frames.set(codec, frame);
  }
  return frame;
}
