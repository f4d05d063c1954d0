/**
 * Names to rooms. Invariant: at most one live room a name. A room is in the map
 * from the moment its loading begins until it is at rest; it is taken out in the
 * same turn in which it is found to be at rest, so nobody can enter one that is
 * being closed. One that is deleted is taken out at once, also while it loads.
 */
import type { Timer } from './clock.js';
import { RoomDeleted } from './load.js';
import { REPLACED, Room, type RoomDependencies, type RoomOwner } from './room.js';

export interface RoomsOptions extends RoomDependencies {
  /** Milliseconds that an empty room stays in memory. */
  readonly idle: number;
  /** Milliseconds that loading a room may take. */
  readonly loadTimeout: number;
}

/** The room could not be loaded; the client may try again. */
export class LoadFailed extends Error {
  override readonly name = 'LoadFailed';
}

/** A name and its room: loads once, goes when nobody has been in it for a while. */
class Entry implements RoomOwner {
  readonly #rooms: Rooms;
  /** While it loads. */
  opening: Promise<Room> | undefined;
  room: Room | undefined;
  /** What is being read may be of before that. */
  isDeleted = false;
  /** What is being read may be of a server that answers for the store no more, or of a document that was replaced. */
  isStale = false;
  /** Something of its log was set aside. */
  isQuarantined = false;
  #idle: Timer | undefined;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
  }

  loaded(room: Room): void {
    this.room = room;
    this.opening = undefined;
    room.start(this);
  }

  entered(): void {
    this.#idle?.cancel();
    this.#idle = undefined;
  }

  atRest(room: Room): void {
    this.#idle?.cancel();
    this.#idle = this.#rooms.afterIdle(() => {
      this.#idle = undefined;
      if (!room.isAtRest || room.compactWhenIdle()) return;
      this.ended(room);
    });
  }

  ended(room: Room): void {
    this.close();
    this.#rooms.forget(room.name, this);
  }

  close(): void {
    this.#idle?.cancel();
    this.room?.close();
  }
}

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #entries = new Map<string, Entry>();
  #closed = false;

  constructor(options: RoomsOptions) {
    this.#options = {
      ...options,
      onQuarantine: (name, entries) => {
        const entry = this.#entries.get(name);
        if (entry !== undefined) entry.isQuarantined = true;
        options.onQuarantine(name, entries);
      },
    };
  }

  /** Rooms in memory, those being loaded included. */
  get size(): number {
    return this.#entries.size;
  }

  /** How many of them are loaded. */
  get states(): { readonly open: number; readonly loading: number } {
    const open = [...this.live()].length;
    return { open, loading: this.size - open };
  }

  /** How many of them have had something of their log set aside since they are here. */
  get quarantined(): number {
    return [...this.#entries.values()].filter(({ isQuarantined }) => isQuarantined).length;
  }

  /** Every room that is loaded. */
  *live(): Iterable<Room> {
    for (const { room } of this.#entries.values()) if (room !== undefined) yield room;
  }

  /** The room of that name, if it is loaded. */
  at(name: string): Room | undefined {
    return this.#entries.get(name)?.room;
  }

  /**
   * The room of that name, loaded. Enter it in the same turn in which this
   * resolves: an empty room does not stay.
   *
   * @throws {RoomDeleted}
   * @throws {LoadFailed}
   */
  async open(name: string): Promise<Room> {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = new Entry(this);
      this.#entries.set(name, entry);
      entry.opening = this.#load(name, entry);
    }
    return entry.room ?? (await entry.opening!);
  }

  async #load(name: string, entry: Entry): Promise<Room> {
    const { clock, logger, log, loadTimeout } = this.#options;
    let timer: Timer | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = clock.after(loadTimeout, () => reject(new Error(`no answer in ${loadTimeout} ms`)));
    });
    const opening = Room.open(name, this.#options);
    try {
      const room = await Promise.race([opening, timeout]);
      if (entry.isDeleted) throw new RoomDeleted();
      if (entry.isStale) throw new Error('what is in the store is another one meanwhile');
      entry.loaded(room);
      return room;
    } catch (error) {
      // The next to come tries again: nothing of the failed load stays, also when it ends after all.
      this.forget(name, entry);
      opening.then(
        (room) => room.close(),
        (late: unknown) => late,
      );
      if (entry.isDeleted || error instanceof RoomDeleted) {
        // Nothing can be written to it any more.
        log.claim(name, Number.POSITIVE_INFINITY);
        throw new RoomDeleted();
      }
      logger.error({ err: error, room: name }, 'a room could not be loaded');
      throw new LoadFailed('the room could not be loaded', { cause: error });
    } finally {
      timer?.cancel();
    }
  }

  /** The room was removed from the store: it ends, and whoever waits for it is told. */
  deleted(name: string): void {
    this.#options.merges.forget(name);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.isDeleted = true;
    entry.room?.deleted();
    this.forget(name, entry);
  }

  /** Another server answers for the store: all rooms end, and whoever comes next has them loaded from it. */
  reload(): void {
    for (const [name, entry] of [...this.#entries]) {
      entry.isStale = true;
      entry.room?.reload();
      this.forget(name, entry);
    }
  }

  /** Another document is in the store under this name: who waits for the room comes again. */
  replaced(name: string): void {
    this.#options.merges.forget(name);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.isStale = true;
    entry.room?.deleted(REPLACED);
    this.forget(name, entry);
  }

  /** @returns undefined once no room is unloaded any more */
  afterIdle(call: () => void): Timer | undefined {
    return this.#closed ? undefined : this.#options.clock.after(this.#options.idle, call);
  }

  /** The name is free for another, unless another has it already. */
  forget(name: string, entry: Entry): void {
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }

  /** No room is unloaded or compacted any more. */
  close(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) entry.close();
  }
}
