/**
 * One provider for each room, shared by all parts of a page that use the room.
 *
 * Owns the providers and their documents: who uses them, and when they go. A
 * provider that nobody uses is kept for a while, so that going from one view to
 * the next neither reconnects nor loads the document again.
 *
 * Invariants: a room has at most one provider that is not destroyed; one that
 * nobody uses is destroyed only once it has been idle for `idleTime`, and not
 * while a change of it is unsaved and may still reach the server.
 */
import type * as Y from 'yjs';
import { type Clock, systemClock, type TimerHandle } from './clock.js';
import type { CowriteProviderOptions } from './options.js';
import { CowriteProvider } from './provider.js';
import { raw } from './raw.js';

/** The longest time that timers can wait. */
const MAX_IDLE_TIME = 2 ** 31 - 1;

/** Options of {@link CowriteProviderOptions} that are the same for all rooms. */
export interface CowriteClientOptions
  extends Omit<
    CowriteProviderOptions,
    'room' | 'doc' | 'awareness' | 'generation' | 'connect' | 'browser'
  > {
  /** Milliseconds for which a provider that nobody uses is kept; 10,000 if left out, 0 allowed. */
  readonly idleTime?: number | undefined;
}

/** The right to use a room's provider, until it is released. */
export interface RoomHandle {
  /** Shared with everybody who has the room open: release the handle instead of destroying it. */
  readonly provider: CowriteProvider;
  /** Ends this use of the room. A second call does nothing. */
  release(): void;
}

/** What a room is opened with. */
export interface OpenOptions {
  /**
   * Such as a subdocument. Stays the caller's: it is not destroyed when nobody uses the room any more.
   * Without it a document is made, or the one that the room has is shared.
   */
  readonly doc?: Y.Doc | undefined;
}

interface SharedRoom {
  readonly name: string;
  readonly provider: CowriteProvider;
  /** The document was made here, and goes with the provider. */
  readonly ownsDoc: boolean;
  users: number;
  /** Runs only while there are no users. */
  timer: TimerHandle | null;
}

/** One provider for each room, shared by all parts of a page that use the room. */
export class CowriteClient {
  readonly #options: Omit<CowriteClientOptions, 'idleTime'>;
  readonly #idleTime: number;
  readonly #clock: Clock;
  readonly #rooms = new Map<string, SharedRoom>();
  #isDestroyed = false;

  /**
   * Checks `idleTime` only. The other options are checked when a room is opened, because a
   * client may be made where no socket can be, such as while a page is rendered on a server.
   *
   * @throws {RangeError} when `idleTime` is out of range.
   */
  constructor(options: CowriteClientOptions) {
    const { idleTime = 10_000, ...shared } = options;
    if (!(idleTime >= 0 && idleTime <= MAX_IDLE_TIME)) {
      throw new RangeError(`idleTime is not between 0 and ${MAX_IDLE_TIME} milliseconds`);
    }
    raw(this);
    this.#options = shared;
    this.#idleTime = idleTime;
    this.#clock = options.clock ?? systemClock;
  }

  /** The names of the rooms that have a provider, whether or not somebody uses it. */
  get rooms(): readonly string[] {
    return [...this.#rooms.keys()];
  }

  /**
   * Uses the room until the handle is released.
   *
   * @throws {TypeError} when the room's name or another option cannot work.
   * @throws when this client is destroyed, or has the room open with another document.
   */
  open(room: string, { doc }: OpenOptions = {}): RoomHandle {
    const shared = this.#share(room, doc);
    shared.users += 1;
    this.#stopTimer(shared);
    let isReleased = false;
    return {
      provider: shared.provider,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        shared.users -= 1;
        this.#rest(shared);
      },
    };
  }

  /**
   * The room's provider, without using it: made if there is none, and kept for `idleTime`
   * unless somebody opens the room. For code that must not have to clean up, such as a render.
   *
   * @throws as {@link open} does.
   */
  peek(room: string): CowriteProvider {
    const shared = this.#share(room);
    this.#stopTimer(shared);
    this.#rest(shared);
    return shared.provider;
  }

  /**
   * Destroys all providers at once, and the documents that they made, used or not. Unsaved changes
   * are lost; to prevent that, await `whenSaved()` of the providers before.
   */
  destroy(): void {
    this.#isDestroyed = true;
    for (const shared of [...this.#rooms.values()]) this.#close(shared);
  }

  #share(room: string, doc?: Y.Doc): SharedRoom {
    if (this.#isDestroyed) throw new Error('this client is destroyed');
    const known = this.#rooms.get(room);
    if (known !== undefined) {
      const { provider, users } = known;
      const isOther = doc !== undefined && doc !== provider.doc;
      const isUsed = users > 0 || mustStay(provider);
      if (provider.status !== 'closed') {
        if (!isOther) return known;
        if (isUsed) throw new Error('the room is open with another document');
      }
      // The event that tells so is still waiting for its turn.
      this.#close(known);
    }
    const provider = new CowriteProvider({ ...this.#options, room, ...(doc && { doc }) });
    const ownsDoc = doc === undefined;
    const shared: SharedRoom = { name: room, provider, ownsDoc, users: 0, timer: null };
    this.#rooms.set(room, shared);
    // Each of these may be what an idle provider was kept for.
    provider.on('unsaved', () => this.#rest(shared));
    provider.on('status', ({ status }) => {
      if (status === 'closed') this.#close(shared);
      else this.#rest(shared);
    });
    return shared;
  }

  /** Starts the idle time, if the room has nobody and nothing to wait for. */
  #rest(shared: SharedRoom): void {
    if (shared.users > 0 || shared.timer !== null || !this.#isKept(shared)) return;
    if (mustStay(shared.provider)) return;
    shared.timer = this.#clock.setTimeout(() => {
      shared.timer = null;
      // A change made meanwhile starts the idle time again once it is saved.
      if (!mustStay(shared.provider)) this.#close(shared);
    }, this.#idleTime);
  }

  #stopTimer(shared: SharedRoom): void {
    if (shared.timer === null) return;
    this.#clock.clearTimeout(shared.timer);
    shared.timer = null;
  }

  #isKept(shared: SharedRoom): boolean {
    return this.#rooms.get(shared.name) === shared;
  }

  #close(shared: SharedRoom): void {
    if (!this.#isKept(shared)) return;
    this.#rooms.delete(shared.name);
    this.#stopTimer(shared);
    shared.provider.destroy();
    if (shared.ownsDoc && !shared.provider.doc.isDestroyed) shared.provider.doc.destroy();
  }
}

function mustStay({ unsavedHere, status }: CowriteProvider): boolean {
  return unsavedHere && status !== 'refused' && status !== 'closed';
}
