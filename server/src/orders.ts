/**
 * What an administrator wants of the sessions of a room or a user: carried out here, and told to
 * the other instances, which carry it out as well.
 */
import { CLOSE } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import { userIdProblem } from './auth/user-id.js';
import type { Cooldowns } from './cooldown.js';
import { type Doors, isAbout } from './doors.js';
import type { Instances, Order } from './instances.js';
import { DELETED } from './room.js';
import { checkRoomName } from './room-name.js';
import type { Rooms } from './rooms.js';
import type { Session } from './session.js';
import type { Storage } from './storage/storage.js';

export interface OrdersOptions {
  readonly storage: Pick<Storage, 'remove' | 'revive'>;
  readonly rooms: Pick<Rooms, 'deleted' | 'replaced'>;
  readonly cooldowns: Pick<Cooldowns, 'undeleted' | 'reauthorized'>;
  readonly doors: () => Pick<Doors, 'reconsider'>;
  /** Those that are here now. */
  readonly sessions: () => readonly Session[];
  /** Undefined where there are none. */
  readonly others: Pick<Instances, 'order'> | undefined;
  readonly logger: Logger;
}

export interface KickOptions {
  /** Only this one; everybody if left out. */
  readonly user?: string | undefined;
  /** As they are told, 123 bytes at most. */
  readonly reason?: string | undefined;
}

/** What became of sessions that were to end. */
export interface Ended {
  /** How many were here. */
  readonly sessions: number;
  /** Whether every other instance was told; also where there is none. */
  readonly isEverywhere: boolean;
}

const KICKED = 'you were removed from this document';
/** As the log says what is done. */
const LINES: Record<Order['kind'], string> = {
  kick: 'sessions are shown out',
  recheck: 'sessions are asked about again',
  delete: 'a room was deleted',
  replace: 'a document was replaced',
  undelete: 'a room was undeleted',
};

export class Orders {
  readonly #options: OrdersOptions;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Everybody in a room, or one user. @throws {TypeError} for what is no room's name, or no user's id */
  kick(room: string, { user, reason = KICKED }: KickOptions = {}): Ended {
    if (user !== undefined) checkUser(user);
    return this.#everywhere({ kind: 'kick', room: nameOf(room), user, reason });
  }

  /** @throws {TypeError} for what is no user's id */
  recheck(user: string): Ended {
    checkUser(user);
    return this.#everywhere({ kind: 'recheck', user });
  }

  /** @throws {TypeError} for what is no room's name */
  async remove(room: string): Promise<Ended> {
    const name = nameOf(room);
    // First: whoever comes in after the others have left must find it deleted.
    await this.#options.storage.remove(name);
    return this.#everywhere({ kind: 'delete', room: name });
  }

  /** The store has another document in the place of the one that was in this room. */
  replaced(room: string): Ended {
    return this.#everywhere({ kind: 'replace', room });
  }

  /** @throws {TypeError} for what is no room's name */
  async revive(room: string): Promise<boolean> {
    const name = nameOf(room);
    const isRevived = await this.#options.storage.revive(name);
    this.#everywhere({ kind: 'undelete', room: name });
    return isRevived;
  }

  /** Here only, as another instance was told. @returns how many sessions it was about */
  carryOut(order: Order): number {
    const { doors, sessions, rooms, cooldowns } = this.#options;
    if (order.kind === 'undelete') cooldowns.undeleted(order.room);
    else if (order.kind === 'recheck') cooldowns.reauthorized(order.user);
    // Whoever is at the door of a deleted room finds it so when it is loaded.
    if (order.kind === 'kick' || order.kind === 'recheck') doors().reconsider(order);
    const concerned = sessions().filter(({ roomName, user }) => isAbout(order, roomName, user?.id));
    for (const session of concerned) {
      if (order.kind === 'kick') session.kick(order.reason);
      else if (order.kind === 'delete') session.close(CLOSE.deleted, DELETED);
      else if (order.kind === 'recheck') session.recheck();
    }
    if (order.kind === 'delete') rooms.deleted(order.room);
    // Who waits for the room to be loaded has nothing of the old document.
    else if (order.kind === 'replace') rooms.replaced(order.room);
    return concerned.length;
  }

  #everywhere(order: Order): Ended {
    this.#options.logger.info(order, LINES[order.kind]);
    const sessions = this.carryOut(order);
    return { sessions, isEverywhere: this.#options.others?.order(order) ?? true };
  }
}

function checkUser(id: string): void {
  const problem = userIdProblem(id);
  if (problem !== undefined) throw new TypeError(`the user's id ${problem}`);
}

function nameOf(room: string): string {
  const checked = checkRoomName(room);
  if (!checked.ok) throw new TypeError(checked.problem);
  return checked.name;
}
