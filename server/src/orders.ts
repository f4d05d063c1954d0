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
import { Session } from './session.js';
import type { Storage } from './storage/storage.js';

export interface OrdersOptions {
  readonly storage: Pick<Storage, 'remove' | 'revive'>;
  readonly rooms: Pick<Rooms, 'deleted' | 'replaced' | 'at'>;
  readonly cooldowns: Pick<Cooldowns, 'undeleted' | 'reauthorized'>;
  readonly doors: () => Pick<Doors, 'reconsider'>;
  /** Those that are here now. */
  readonly sessions: () => readonly Session[];
  /** Undefined where there are none. */
  readonly others: Pick<Instances, 'order'> | undefined;
  readonly logger: Logger;
}

export interface KickOptions {
  /** Only this user; everybody if left out. */
  readonly user?: string | undefined;
  /** Only the session that holds this awareness client id: one person, also where users are not known. */
  readonly client?: number | undefined;
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
  kick: 'sessions are kicked',
  'kick-client': 'the session of a client is kicked',
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

  /**
   * Everybody in a room, one user, or one client.
   *
   * @throws {TypeError} for what is no room's name, no user's id or no client's, and for both of these
   */
  kick(room: string, { user, client, reason = KICKED }: KickOptions = {}): Ended {
    const name = nameOf(room);
    if (user !== undefined) checkUser(user);
    if (client === undefined) return this.#everywhere({ kind: 'kick', room: name, user, reason });
    if (user !== undefined) throw new TypeError('either a user or a client is kicked, not both');
    if (!Number.isSafeInteger(client) || client < 0) {
      throw new TypeError('a client is a whole number: what `doc.clientID` is in its page');
    }
    return this.#everywhere({ kind: 'kick-client', room: name, client, reason });
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
    const { doors, rooms, cooldowns } = this.#options;
    if (order.kind === 'undelete') cooldowns.undeleted(order.room);
    else if (order.kind === 'recheck') cooldowns.reauthorized(order.user);
    // Whoever is at the door of a deleted room finds it so when it is loaded.
    if (order.kind === 'kick' || order.kind === 'recheck') doors().reconsider(order);
    const concerned = this.#concerned(order);
    for (const session of concerned) {
      if (order.kind === 'kick' || order.kind === 'kick-client') session.kick(order.reason);
      else if (order.kind === 'delete') session.close(CLOSE.deleted, DELETED);
      else if (order.kind === 'recheck') session.recheck();
    }
    if (order.kind === 'delete') rooms.deleted(order.room);
    // Who waits for the room to be loaded has nothing of the old document.
    else if (order.kind === 'replace') rooms.replaced(order.room);
    return concerned.length;
  }

  #concerned(order: Order): readonly Session[] {
    const { rooms, sessions } = this.#options;
    if (order.kind !== 'kick-client') {
      return sessions().filter(({ roomName, user }) => isAbout(order, roomName, user?.id));
    }
    const holder = rooms.at(order.room)?.awareness.ownerOf(order.client);
    return holder instanceof Session ? [holder] : [];
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
