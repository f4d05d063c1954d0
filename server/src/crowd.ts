/**
 * How many are here, and how often they come: connections in all, by address, by user and by
 * room, rooms by user, and attempts by address.
 *
 * Invariants: whoever has entered leaves once; what is
 * remembered of addresses that have nobody here is bounded. Addresses of this machine
 * are not counted: a proxy that is not trusted would be everybody.
 */

import { ownerOf } from './address.js';
import { isLoopback } from './auth/origin.js';
import { Bucket, type Rate } from './bucket.js';
import type { Clock } from './clock.js';

export interface CrowdLimits {
  /** Connections; more are refused with 503. Default 100 000. */
  readonly maxConnections: number;
  /** Connections of one address, or of one /64 of IPv6; more are refused with 429. Addresses of this machine are not counted. Default 1 000. */
  readonly maxConnectionsPerAddress: number;
  /** Connections of one user; more are refused with 429. Default 200. */
  readonly maxConnectionsPerUser: number;
  /** Rooms in which one user is at a time; more are refused with 429. Default 100. */
  readonly maxRoomsPerUser: number;
  /** Sessions in one room; more are refused with 503. Default 5 000. */
  readonly maxSessionsPerRoom: number;
  /** Attempts to connect of one address; more are refused with 429. Default 20 a second, 500 at once. */
  readonly attemptsPerAddress: Rate;
}

/** What was reached. */
export type CrowdLimit =
  | 'connections'
  | 'connections-per-address'
  | 'connections-per-user'
  | 'rooms-per-user'
  | 'sessions-per-room';

/** Who comes. */
export interface Newcomer {
  readonly address: string;
  /** Undefined where nobody knows. */
  readonly user: string | undefined;
  readonly room: string;
}

/** Milliseconds of a debt that are remembered: whoever reloads a page is not to wait for a minute. */
const MAX_DEBT = 10_000;
/** Addresses whose attempts, and debtors whose debts, are remembered. */
const MAX_REMEMBERED = 10_000;

export class Crowd {
  readonly #limits: CrowdLimits;
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, number>();
  readonly #byRoom = new Map<string, number>();
  /** How many connections of a user are in which rooms. */
  readonly #byUser = new Map<string, Map<string, number>>();
  /** Until when users who left in debt are not read, in the order in which they left. */
  readonly #debts = new Map<string, number>();
  /** Sockets of any kind, also those that have not asked for anything. */
  readonly #sockets = new Map<string, number>();
  /** In the order of their last attempts. */
  readonly #attempts = new Map<string, Bucket>();
  #size = 0;

  constructor(limits: CrowdLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns whether this address may have another socket; counts it until {@link closed} */
  mayOpen(address: string): boolean {
    const owner = ownerOf(address);
    if ((this.#sockets.get(owner) ?? 0) >= 2 * this.#limits.maxConnectionsPerAddress) return false;
    add(this.#sockets, owner, 1);
    return true;
  }

  closed(address: string): void {
    add(this.#sockets, ownerOf(address), -1);
  }

  /** @returns whether this address may try again already; counts the attempt */
  mayTry(address: string): boolean {
    if (isLoopback(address)) return true;
    const owner = ownerOf(address);
    const now = this.#clock.now();
    const bucket = this.#attempts.get(owner) ?? new Bucket(this.#limits.attemptsPerAddress, now);
    this.#attempts.delete(owner);
    this.#attempts.set(owner, bucket);
    if (this.#attempts.size > MAX_REMEMBERED) {
      const [oldest] = this.#attempts.keys();
      this.#attempts.delete(oldest!);
    }
    return bucket.tryTake(1, now);
  }

  /** @returns what is full, so that it has not entered */
  enter(newcomer: Newcomer): CrowdLimit | undefined {
    const limit = this.reached(newcomer);
    if (limit === undefined) this.#count(newcomer, 1);
    return limit;
  }

  /** @param debt milliseconds for which nothing of it would have been read */
  leave(member: Newcomer, debt = 0): void {
    this.#count(member, -1);
    // Not by address: others behind it have done nothing.
    const key = member.user;
    if (debt === 0 || key === undefined) return;
    const until = Math.max(this.#clock.now() + Math.min(debt, MAX_DEBT), this.#debts.get(key) ?? 0);
    this.#debts.delete(key);
    this.#debts.set(key, until);
    if (this.#debts.size > MAX_REMEMBERED) {
      const [oldest] = this.#debts.keys();
      this.#debts.delete(oldest!);
    }
  }

  /** Milliseconds for which nothing of somebody who comes is read, because of what they did before. */
  debtOf(user: string | undefined): number {
    if (user === undefined) return 0;
    const left = (this.#debts.get(user) ?? 0) - this.#clock.now();
    if (left > 0) return left;
    this.#debts.delete(user);
    return 0;
  }

  /** @returns what is full, for somebody who would enter */
  reached({ address, user, room }: Newcomer): CrowdLimit | undefined {
    const limits = this.#limits;
    const rooms = user === undefined ? undefined : this.#byUser.get(user);
    if (this.#size >= limits.maxConnections) return 'connections';
    if ((this.#byRoom.get(room) ?? 0) >= limits.maxSessionsPerRoom) return 'sessions-per-room';
    if ((this.#byAddress.get(ownerOf(address)) ?? 0) >= limits.maxConnectionsPerAddress)
      return 'connections-per-address';
    if (rooms === undefined) return undefined;
    const connections = [...rooms.values()].reduce((sum, count) => sum + count, 0);
    if (connections >= limits.maxConnectionsPerUser) return 'connections-per-user';
    if (!rooms.has(room) && rooms.size >= limits.maxRoomsPerUser) return 'rooms-per-user';
    return undefined;
  }

  #count({ address, user, room }: Newcomer, by: number): void {
    this.#size += by;
    add(this.#byRoom, room, by);
    if (!isLoopback(address)) add(this.#byAddress, ownerOf(address), by);
    if (user === undefined) return;
    const rooms = this.#byUser.get(user) ?? new Map<string, number>();
    add(rooms, room, by);
    if (rooms.size === 0) this.#byUser.delete(user);
    else this.#byUser.set(user, rooms);
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
