/**
 * Somebody in a room without a socket: writes there for the HTTP API, by the same
 * admission as a session, and leaves.
 */
import { CLOSE } from '@cowrite/client/protocol';
import type { Dialect } from '../dialect.js';
import { takeLargeUpdate } from '../large-update.js';
import { RoomDeleted } from '../load.js';
import { DocumentFull, type Room } from '../room.js';
import type { Rooms } from '../rooms.js';
import type { Turns } from '../turns.js';
import { admit, type Missing } from '../update/admit.js';
import { Frontier } from '../update/frontier.js';
import type { Parsed } from '../update/parsed.js';
import { TooDeep } from '../update/refused.js';
import { Bystander } from './bystander.js';

/** Whose word an entry is, as the log keeps it. */
const AUTHOR = 'the HTTP API';

/** The room has ended while somebody was in it. */
export class RoomEnded extends Error {
  override readonly name = 'RoomEnded';
}

/** Only what nothing was ever written to can be made. */
export class RoomExists extends Error {
  override readonly name = 'RoomExists';

  constructor() {
    super('something is in this room already');
  }
}

/** What a whole document cannot lack. */
export class Incomplete extends Error {
  override readonly name = 'Incomplete';

  constructor({ client, clock }: Missing) {
    super(`it needs what client ${client} wrote at ${clock}, which is not there`);
  }
}

export class Visit extends Bystander {
  readonly author = AUTHOR;
  readonly receivedAt: number;
  // It never asks for the document, so that nothing is fanned out to it.
  readonly connection = { buffered: 0, send: () => undefined, close: () => undefined };
  readonly dialect: Dialect = {
    name: 'cowrite.v1',
    codec: { decode: unspoken, encode: unspoken },
    acknowledges: false,
    movesWhenTold: false,
  };
  readonly room: Room;
  /** Rejects when the room ends. */
  readonly #ended: Promise<never>;
  #end: (reason: Error) => void = () => undefined;
  #isOver = false;
  #saved: { readonly position: number; resolve(): void } | undefined;

  private constructor(room: Room, now: number) {
    super();
    this.room = room;
    this.receivedAt = now;
    this.#ended = new Promise((_, reject) => {
      this.#end = reject;
    });
    // Nobody may be waiting when it does.
    this.#ended.catch(() => undefined);
  }

  /**
   * In the room from before `act` until it has ended.
   *
   * @param now by the clock
   * @throws {RoomDeleted}
   * @throws {LoadFailed}
   * @throws {RoomEnded}
   */
  static async to<T>(
    rooms: Rooms,
    name: string,
    now: number,
    act: (visit: Visit) => Promise<T>,
  ): Promise<T> {
    const room = await rooms.open(name);
    const visit = new Visit(room, now);
    room.enter(visit);
    try {
      return await Promise.race([act(visit), visit.#ended]);
    } finally {
      visit.#isOver = true;
      room.leave(visit);
    }
  }

  /**
   * Writes what of the update is new and can be admitted. Resolves once it is on disk.
   *
   * @param makes whether the room is to be made of it: nothing may be in the room, and it may lack
   *   nothing; otherwise nothing of it is written
   * @returns what kept a part of it out
   * @throws {UpdateRefused} also when it nests too deep
   * @throws {DocumentFull}
   * @throws {StoreFull}
   * @throws {RoomExists}
   * @throws {Incomplete}
   */
  async write(bytes: Uint8Array, turns: Turns, makes: boolean): Promise<Missing | undefined> {
    const { room } = this;
    let isChecked = false;
    let isVetted = false;
    const check = (whole: Parsed): void => {
      // Once: its own first parts are not to keep the last ones out.
      if (isChecked) return;
      if (makes && isWritten(room)) throw new RoomExists();
      if (room.hasNoRoomFor(whole)) throw new DocumentFull();
      if (!isVetted && room.vet(whole) === undefined) throw new TooDeep();
      if (makes) checkWhole(whole);
      isChecked = true;
    };
    const missing = await new Promise<Missing | undefined>((resolve, reject) => {
      takeLargeUpdate(bytes, {
        turns,
        guard: (piece) => {
          if (this.#isOver) return false;
          try {
            piece();
            return true;
          } catch (error) {
            reject(error);
            return false;
          }
        },
        vet: (whole) => {
          const vetted = room.vet(whole);
          isVetted = vetted !== undefined;
          return vetted;
        },
        compare: (whole) => room.compare(whole),
        admitPart: (part, whole) => {
          check(whole);
          room.write(this, part);
          return true;
        },
        admit: (whole) => {
          check(whole);
          resolve(room.write(this, whole));
        },
        onDone: () => undefined,
      });
    });
    await new Promise<void>((resolve) => {
      this.#saved = { position: room.last, resolve };
      room.tellSaved(this);
    });
    return missing;
  }

  /** Nobody writes in the name of another who is there. */
  mayWrite(client: number): boolean {
    const owner = this.room.awareness.ownerOf(client);
    return owner === undefined || !owner.hasWritten(client);
  }

  saved(durable: number): boolean {
    if (this.#saved !== undefined && durable < this.#saved.position) return false;
    this.#saved?.resolve();
    return true;
  }

  close(code: number, reason: string): void {
    this.#isOver = true;
    this.#end(code === CLOSE.deleted ? new RoomDeleted() : new RoomEnded(reason));
    this.room.leave(this);
  }
}

function unspoken(): never {
  throw new Error('nothing is said to a visit');
}

/** @throws {Incomplete} */
export function checkWhole(whole: Parsed): void {
  const { missing } = admit(new Frontier(), whole, undefined, 'all or nothing');
  if (missing !== undefined) throw new Incomplete(missing);
}

/** A revived room begins with the seq of its revival. */
export function isWritten({ last, life }: Room): boolean {
  return last > life;
}
