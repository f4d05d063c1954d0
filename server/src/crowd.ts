/**
 * How many are here, and how often they come: connections in all, by address and by user,
 * and attempts by address.
 *
 * Invariants: every {@link Crowd.enter} that returns a place is ended by leaving it once; what is
 * remembered of addresses that have nobody here is bounded. Addresses of this machine
 * are not counted: a proxy that is not trusted would be everybody.
 */

import { ownerOf } from './address.js';
import { isLoopback } from './auth/origin.js';
import { Bucket, type Rate } from './bucket.js';
import type { Clock } from './clock.js';

export interface CrowdLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxConnectionsPerUser: number;
  readonly attemptsPerAddress: Rate;
}

/** What was reached. */
export type CrowdLimit = 'connections' | 'connections-per-address' | 'connections-per-user';

/** Somebody's place among them. */
export interface Place {
  leave(): void;
}

/** Addresses whose attempts are remembered. */
const MAX_REMEMBERED = 10_000;

export class Crowd {
  readonly #limits: CrowdLimits;
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, number>();
  readonly #byUser = new Map<string, number>();
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

  /** @param user undefined where nobody knows */
  enter(address: string, user: string | undefined): Place | CrowdLimit {
    const { maxConnections, maxConnectionsPerAddress, maxConnectionsPerUser } = this.#limits;
    const owner = isLoopback(address) ? undefined : ownerOf(address);
    if (this.#size >= maxConnections) return 'connections';
    if (countOf(this.#byAddress, owner) >= maxConnectionsPerAddress)
      return 'connections-per-address';
    if (countOf(this.#byUser, user) >= maxConnectionsPerUser) return 'connections-per-user';
    this.#size++;
    add(this.#byAddress, owner, 1);
    add(this.#byUser, user, 1);
    let isHere = true;
    return {
      leave: () => {
        if (!isHere) return;
        isHere = false;
        this.#size--;
        add(this.#byAddress, owner, -1);
        add(this.#byUser, user, -1);
      },
    };
  }
}

function countOf(counts: ReadonlyMap<string, number>, key: string | undefined): number {
  return key === undefined ? 0 : (counts.get(key) ?? 0);
}

function add(counts: Map<string, number>, key: string | undefined, by: number): void {
  if (key === undefined) return;
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
