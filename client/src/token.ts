/**
 * The token that a provider shows at the door, and a new one before it ends.
 *
 * Owns when the application is asked for one: before each attempt to connect, and while
 * connected some time before the last one ends. A token that is no JSON Web Token, or
 * has no `exp`, is not renewed while connected: nobody knows when it ends.
 *
 * Invariant: one question at a time waits for its answer, and an answer that comes
 * after {@link Token.stop} renews nothing.
 */
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';

/** A token, or what gets one: called before each attempt to connect, and before the last one ends. */
export type TokenSource = string | (() => string | Promise<string>);

export interface TokenListener {
  /** There is a newer one than the one that was shown. */
  renewed(token: string): void;
  failed(error: Error): void;
}

/** Milliseconds before its end at which a token is renewed, unless its life is short. */
const AHEAD = 60_000;
/** Milliseconds from one question to the next, at least. */
const PATIENCE = 1_000;
/** Milliseconds: a longer `setTimeout` rings at once. */
const MAX_WAIT = 2 ** 31 - 1;

export class Token {
  readonly #source: TokenSource;
  readonly #clock: Clock;
  readonly #listener: TokenListener;
  #shown = '';
  readonly #alarm: Alarm;
  /** Grows with each question to the application. */
  #asked = 0;
  /** Grows with each start and stop, so that an answer knows whether it is still waited for. */
  #turn = 0;

  constructor(source: TokenSource, clock: Clock, listener: TokenListener) {
    this.#source = source;
    this.#clock = clock;
    this.#listener = listener;
    this.#alarm = new Alarm(clock, () => void this.#renew(this.#turn));
  }

  /** Whether another may be had when the server refuses this one. */
  get canRenew(): boolean {
    return typeof this.#source === 'function';
  }

  /** The token for an attempt to connect; in this turn when it is a text. */
  show(): string | Promise<string> {
    if (typeof this.#source === 'string') {
      this.#shown = this.#source;
      return this.#shown;
    }
    return this.#ask();
  }

  async #ask(): Promise<string> {
    const question = ++this.#asked;
    const token = await (this.#source as () => string | Promise<string>)();
    if (typeof token !== 'string') throw new TypeError('token() did not return a string');
    // One that was asked for earlier may come later.
    if (question === this.#asked) this.#shown = token;
    return token;
  }

  /** The server took it: from now on it is renewed before it ends. */
  start(): void {
    this.stop();
    if (this.canRenew) this.#schedule();
  }

  /** The connection is gone. */
  stop(): void {
    this.#turn++;
    this.#alarm.set(null);
  }

  #schedule(): void {
    const wait = renewalWait(this.#shown, this.#clock.date().getTime());
    if (wait !== null) this.#alarm.set(this.#clock.now() + Math.min(wait, MAX_WAIT));
  }

  async #renew(turn: number): Promise<void> {
    const before = this.#shown;
    try {
      const token = await this.#ask();
      if (turn !== this.#turn) return;
      if (token !== before) this.#listener.renewed(token);
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.#listener.failed(new Error('there is no new token', { cause }));
    }
    this.#schedule();
  }
}

/**
 * @param now milliseconds since 1970
 * @returns milliseconds until it is to be renewed; null when it has ended, or nobody knows when it will
 */
export function renewalWait(token: string, now: number): number | null {
  const end = endOf(token);
  if (end === null || end <= now) return null;
  const left = end - now;
  return left > 2 * AHEAD ? left - AHEAD : Math.min(left, Math.max(PATIENCE, left / 2));
}

/** When a JSON Web Token ends (RFC 7519, `exp`), in milliseconds since 1970; null when it does not say. */
export function endOf(token: string): number | null {
  const exp = claimsOf(token)?.exp;
  return typeof exp === 'number' ? exp * 1000 : null;
}

/** Whose a JSON Web Token is (RFC 7519, `sub`); null when it does not say. */
export function subjectOf(token: string): string | null {
  const sub = claimsOf(token)?.sub;
  return typeof sub === 'string' ? sub : null;
}

function claimsOf(token: string): { exp?: unknown; sub?: unknown } | null {
  const [, payload] = token.split('.');
  if (payload === undefined) return null;
  try {
    const binary = atob(payload.replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // Not one of those tokens. Whether it is good for anything is for the server to say.
    return null;
  }
}
