/**
 * All connections of this process to one Redis address.
 *
 * An address may lead to another server after a failover, and only for new connections. The old
 * ones stay open to a server that was demoted, and some of what they carry (publishing, hearing)
 * still seems to work there. So connections to one address are renewed together.
 *
 * Invariants: no connection is used to a server that says that it is a replica. As soon as one of
 * them sees a demotion, all are made again. All are connected to the server that new connections
 * reach: whenever one reaches another server than the rest, the rest are made again. A short
 * connection looks for that now and then, because an old primary may not know that it is one.
 */
import type { Redis } from 'ioredis';
import { systemClock, type Timer } from './clock.js';
import {
  isDemotion,
  isReplica,
  parseInfo,
  type RedisInfo,
  UnusableRedis,
  whyUnusable,
} from './redis-signs.js';

/** A server that was demoted says so when it is written to, or when it is asked. */
export const DEFAULT_LOOK_MS = 2_000;
/** So many looks are one look at where the address leads. */
const LOOKS_PER_PROBE = 5;
/** However many messages say that others are elsewhere, it is looked so often at most. */
const PROBE_AT_MOST_MS = 100;
/** From one renewal for reaching different servers to the next: an address may lead to several for good. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60_000;

export class RedisGroup {
  static readonly #groups = new Map<string, RedisGroup>();
  readonly #address: string;
  readonly #members = new Set<GroupMember>();
  /** The server that the newest connection reached. */
  #newest: string | undefined;
  #pause = FIRST_PAUSE_MS;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  readonly #probing: Timer;
  #isProbing = false;
  #probedAt = Number.NEGATIVE_INFINITY;

  private constructor(address: string, { lookMs }: GroupMemberOptions) {
    this.#address = address;
    this.#probing = systemClock.every(LOOKS_PER_PROBE * lookMs, () => void this.probe());
  }

  /** @param address protocol, host and port */
  static join(address: string, options: GroupMemberOptions): GroupMember {
    let group = RedisGroup.#groups.get(address);
    if (group === undefined) {
      group = new RedisGroup(address, options);
      RedisGroup.#groups.set(address, group);
    }
    const member = new GroupMember(group, options);
    group.#members.add(member);
    return member;
  }

  leave(member: GroupMember): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#probing.cancel();
    RedisGroup.#groups.delete(this.#address);
  }

  async probe(): Promise<void> {
    const [member] = this.#members;
    const now = systemClock.now();
    if (this.#isProbing || member === undefined || now - this.#probedAt < PROBE_AT_MOST_MS) return;
    this.#probedAt = now;
    this.#isProbing = true;
    const server = await member.probe();
    this.#isProbing = false;
    if (server !== undefined) this.reached(server);
  }

  demoted(reason: string): void {
    for (const member of this.#members) member.renew(reason);
  }

  reached(server: string): void {
    this.#newest = server;
    this.compare();
  }

  /** Renews the connections to other servers than the newest connection's. */
  compare(): void {
    const others = [...this.#members].filter(
      ({ server }) => server !== undefined && server !== this.#newest,
    );
    const now = systemClock.now();
    if (others.length === 0) {
      if (now >= this.#pausedUntil) this.#pause = FIRST_PAUSE_MS;
      return;
    }
    if (now < this.#pausedUntil) return;
    this.#pausedUntil = now + this.#pause;
    this.#pause = Math.min(LAST_PAUSE_MS, 2 * this.#pause);
    for (const member of others) member.renew('new connections reach another server');
  }
}

export interface GroupMemberOptions {
  /** Milliseconds from one question whether the server is a primary to the next. */
  readonly lookMs: number;
  readonly redis: () => Redis;
  /** Connects once, for a moment. Resolves to the `run_id` of the primary that it reached, if it reached one and knows it. */
  readonly probe: () => Promise<string | undefined>;
  /** The connection is given up, or not begun, for this reason. */
  readonly onUnusable: (reason: Error) => void;
}

/** One connection of the group; it lives until {@link leave}, however often the connection is made again. */
export class GroupMember {
  /** `run_id` of the server, while it is connected and known. */
  server: string | undefined;
  readonly #group: RedisGroup;
  readonly #options: GroupMemberOptions;
  readonly #timer: Timer;
  #isLooking = false;
  /** From the renewal until the connection is closed, which takes a moment. */
  #isRenewed = false;

  constructor(group: RedisGroup, options: GroupMemberOptions) {
    this.#group = group;
    this.#options = options;
    this.#timer = systemClock.every(options.lookMs, () => void this.#look());
  }

  async probe(): Promise<string | undefined> {
    return await this.#options.probe();
  }

  /** A new connection is there. @returns whether it can be used */
  connected(info: RedisInfo): boolean {
    const unusable = whyUnusable(info);
    if (unusable !== undefined) {
      this.#options.onUnusable(unusable);
      return false;
    }
    this.server = info.run_id;
    if (this.server !== undefined) this.#group.reached(this.server);
    return true;
  }

  disconnected(): void {
    this.server = undefined;
    this.#isRenewed = false;
  }

  /** An error that Redis answered to a command. */
  answered(error: Error): void {
    if (isDemotion(error.message)) this.#group.demoted(error.message);
  }

  renew(reason: string): void {
    const redis = this.#options.redis();
    this.server = undefined;
    // In any other state it is being made already, or is not wanted any more.
    if (redis.status !== 'ready' || this.#isRenewed) return;
    this.#isRenewed = true;
    this.#options.onUnusable(new UnusableRedis(reason));
    redis.disconnect(true);
  }

  lookAround(): void {
    void this.#group.probe();
  }

  leave(): void {
    this.#timer.cancel();
    this.#group.leave(this);
  }

  async #look(): Promise<void> {
    const redis = this.#options.redis();
    // In RESP2 a connection that is subscribed takes no questions; its server is known by its run_id.
    if (this.#isLooking || redis.status !== 'ready' || redis.mode === 'subscriber') return;
    this.#isLooking = true;
    try {
      if (isReplica(parseInfo(await redis.info('replication')))) {
        this.#group.demoted('the server has become a replica');
      } else {
        this.#group.compare();
      }
    } catch {
      // Errors that Redis answers come to `answered`; a connection that breaks or is silent is made again by itself.
    } finally {
      this.#isLooking = false;
    }
  }
}
