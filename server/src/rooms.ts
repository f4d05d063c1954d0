/**
 * Names to rooms. Invariant: at most one live room a name. A room is in the map
 * from the moment its loading begins until it is at rest; it is taken out in the
 * same turn in which it is found to be at rest, so nobody can enter one that is
 * being closed.
 */
import type { Timer } from './clock.js';
import { Room, type RoomDependencies } from './room.js';

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

interface Entry {
  readonly opening: Promise<Room>;
  room: Room | undefined;
  idle: Timer | undefined;
}

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #entries = new Map<string, Entry>();
  #closed = false;

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  /** Rooms in memory, those being loaded included. */
  get size(): number {
    return this.#entries.size;
  }

  /** Every room that is loaded. */
  *live(): Iterable<Room> {
    for (const { room } of this.#entries.values()) if (room !== undefined) yield room;
  }

  /**
   * The room of that name, loaded. Enter it in the same turn in which this
   * resolves: an empty room does not stay.
   *
   * @throws {LoadFailed}
   */
  async open(name: string): Promise<Room> {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { opening: this.#load(name), room: undefined, idle: undefined };
      this.#entries.set(name, entry);
    }
    return await entry.opening;
  }

  async #load(name: string): Promise<Room> {
    const { clock, logger, loadTimeout } = this.#options;
    let timer: Timer | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = clock.after(loadTimeout, () => reject(new Error(`no answer in ${loadTimeout} ms`)));
    });
    const opening = Room.open(name, this.#options);
    try {
      const room = await Promise.race([opening, timeout]);
      this.#loaded(room, this.#entries.get(name)!);
      return room;
    } catch (error) {
      // The next to come tries again: nothing of the failed load stays, also when it ends after all.
      this.#entries.delete(name);
      opening.then(
        (room) => room.close(),
        (late: unknown) => late,
      );
      logger.error({ err: error, room: name }, 'a room could not be loaded');
      throw new LoadFailed('the room could not be loaded', { cause: error });
    } finally {
      timer?.cancel();
    }
  }

  /** Apart, so that what the room keeps of this is not all that its loading needed. */
  #loaded(room: Room, entry: Entry): void {
    entry.room = room;
    room.start();
    room.onLost = () => {
      entry.idle?.cancel();
      if (this.#entries.get(room.name) === entry) this.#entries.delete(room.name);
      room.close();
    };
    room.onIdle = () => this.#considerUnloading(entry, room);
    room.onIdle();
  }

  #considerUnloading(entry: Entry, room: Room): void {
    entry.idle?.cancel();
    entry.idle = undefined;
    if (!room.isAtRest || this.#closed) return;
    entry.idle = this.#options.clock.after(this.#options.idle, () => {
      entry.idle = undefined;
      if (!room.isAtRest || room.compactWhenIdle()) return;
      room.close();
      if (this.#entries.get(room.name) === entry) this.#entries.delete(room.name);
    });
  }

  /** No room is unloaded or compacted any more. */
  close(): void {
    this.#closed = true;
    for (const { room, idle } of this.#entries.values()) {
      idle?.cancel();
      room?.close();
    }
  }
}
