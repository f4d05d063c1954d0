/**
 * Clients that were closed and come back at once: y-websocket before 3.1 takes no close code for
 * final, and 3.1 not 1009. Once a socket has opened they wait 100 ms before the next one, so each
 * of them would cost ten sockets a second, for as long as what they were closed for lasts. A
 * refused upgrade makes them wait longer each time, up to 2.5 s, and costs next to nothing.
 *
 * Invariants: what is remembered is bounded; a client is known by everything that it brings to
 * the upgrade, its token and cookies among it, so that nobody is refused for somebody else who
 * comes from the same address, or is told of a room that is not theirs.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CLOSE } from '@cowrite/client/protocol';
import type { Clock } from './clock.js';

/** What an upgrade is answered instead. */
export interface Cooldown {
  readonly status: 403 | 409 | 410 | 413 | 503;
  readonly message: string;
  /** Whole seconds. */
  readonly retryAfter: number;
}

/** Whose it is. */
export interface ClosedClient {
  /** As {@link clientKey} names it. */
  readonly key: string;
  readonly room: string;
  readonly user: string | undefined;
}

interface Entry extends ClosedClient {
  readonly code: number;
  readonly reason: string;
  /** The length of it, in milliseconds. */
  readonly length: number;
  readonly until: number;
}

/** How long clients wait, in milliseconds. */
interface Lengths {
  readonly first: number;
  readonly longest: number;
  /** After a pause of this length a client starts again with the first. */
  readonly forget: number;
}

const FINAL: Lengths = { first: 10_000, longest: 60_000, forget: 600_000 };
/** What was wrong is this server's, and may be better at any moment. */
const PASSING: Lengths = { first: 1_000, longest: 10_000, forget: 60_000 };
const MAX_REMEMBERED = 10_000;

const STATUS: Readonly<Record<number, Cooldown['status']>> = {
  [CLOSE.internal]: 503,
  [CLOSE.tryAgainLater]: 503,
  [CLOSE.conflict]: 409,
  [CLOSE.deleted]: 410,
  [CLOSE.tooLarge]: 413,
  [CLOSE.messageTooBig]: 413,
};

export class Cooldowns {
  readonly #clock: Clock;
  /** In the order in which they were closed. */
  readonly #clients = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#clients.size;
  }

  closed(client: ClosedClient, code: number, reason: string): void {
    const now = this.#clock.now();
    const length = this.#lengthFor(client, code, now);
    this.#clients.delete(client.key);
    this.#clients.set(client.key, { ...client, code, reason, length, until: now + length });
    if (this.#clients.size > MAX_REMEMBERED) {
      const [oldest] = this.#clients.keys();
      this.#clients.delete(oldest!);
    }
  }

  #lengthFor({ key, user }: ClosedClient, code: number, now: number): number {
    const lengths = lengthsOf(code);
    const { first, longest, forget } = lengths;
    // Another one may look the same, and is not to wait for long.
    if (user === undefined && lengths === FINAL) return first;
    // Who was kicked was in, and would be in again for as long as it takes to be kicked again.
    if (code === CLOSE.forbidden) return longest;
    const last = this.#clients.get(key);
    if (last === undefined || lengthsOf(last.code) !== lengths || now > last.until + forget) {
      return first;
    }
    // Several tabs, closed at once: they have come once.
    if (now < last.until) return last.length;
    return Math.min(last.length * 2, longest);
  }

  undeleted(room: string): void {
    this.#end((entry) => entry.room === room && entry.code === CLOSE.deleted);
  }

  /** What the user may do has changed. */
  reauthorized(user: string): void {
    this.#end((entry) => entry.user === user);
  }

  #end(isConcerned: (entry: Entry) => boolean): void {
    for (const [key, entry] of this.#clients) if (isConcerned(entry)) this.#clients.delete(key);
  }

  /** @returns undefined for a client that may try */
  of(key: string): Cooldown | undefined {
    const entry = this.#clients.get(key);
    const left = (entry?.until ?? 0) - this.#clock.now();
    if (entry === undefined || left <= 0) return undefined;
    return {
      status: STATUS[entry.code] ?? 403,
      message: `this room was closed to this client a moment ago: ${entry.reason}`,
      retryAfter: Math.ceil(left / 1_000),
    };
  }
}

function lengthsOf(code: number): Lengths {
  return STATUS[code] === 503 ? PASSING : FINAL;
}

const TELLING = [
  'authorization',
  'cookie',
  'sec-websocket-protocol',
  'origin',
  'user-agent',
  'accept-language',
] as const;

/** Who comes to which room, as far as can be told before anybody is asked; holds no token. */
export function clientKey(
  room: string,
  address: string,
  { url, headers }: IncomingMessage,
): string {
  const told = TELLING.map((name) => headers[name]);
  const hash = createHash('sha256').update(JSON.stringify([room, address, url, ...told]));
  return hash.digest('base64url').slice(0, 22);
}
