/**
 * The token that a provider shows at the door, and a new one before it ends.
 *
 * Owns when the application is asked for one: before each attempt to connect, and while
 * connected some time before the last one ends. A token that is no JSON Web Token, or
 * has no `exp`, is not renewed while connected: nobody knows when it ends.
 *
 * A page's date may be wrong by minutes, and may be corrected at any moment. So a token's end is
 * fixed on the steady clock when the token comes; the date only tells how old the token was by
 * then, and is not believed where it contradicts the token.
 *
 * Invariant: one question at a time waits for its answer, and an answer that comes
 * after {@link Token.stop} renews nothing.
 */
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';
import { tokenProblem } from './protocol/index.js';

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
/** Milliseconds from one question to the next for a token that has ended, and is still good enough. */
const OVERDUE = 10_000;
/** Milliseconds by which a token may seem older than it is: `iat` counts whole seconds. */
const ROUNDING = 2_000;
/** Milliseconds: a longer `setTimeout` rings at once. */
const MAX_WAIT = 2 ** 31 - 1;

export class Token {
  readonly #source: TokenSource;
  readonly #clock: Clock;
  readonly #listener: TokenListener;
  #shown = '';
  /** When the one that is shown came, and when it ends, by the steady clock; null if nobody knows. */
  #cameAt = 0;
  #endsAt: number | null = null;
  /** When the application was asked last. */
  #askedAt = Number.NEGATIVE_INFINITY;
  /** For how long the server took one that does not say when it was made, if it was not to its end. */
  #life = Number.POSITIVE_INFINITY;
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
    const before = this.#askedAt;
    this.#askedAt = this.#clock.now();
    const token = await (this.#source as () => string | Promise<string>)();
    if (typeof token !== 'string') throw new TypeError('token() did not return a string');
    // One that was asked for earlier may come later; one that no server takes is not shown.
    const isNext = question === this.#asked && token !== this.#shown;
    if (isNext && tokenProblem(token) === undefined) this.#came(token, before);
    return token;
  }

  /** @param before when the application was asked before, and had another token */
  #came(token: string, before: number): void {
    const now = this.#clock.now();
    const left = timeLeft(token, this.#clock.date().getTime(), now - before, this.#life);
    this.#shown = token;
    this.#cameAt = now;
    this.#endsAt = left === null ? null : now + left;
  }

  /** The server took it: from now on it is renewed before it ends. */
  start(): void {
    this.stop();
    if (this.canRenew) this.#schedule();
  }

  /** The server has ended the connection because of the token. */
  ended(): void {
    const now = this.#clock.now();
    if (this.#endsAt !== null && now < this.#endsAt) this.#life = now - this.#cameAt;
  }

  /** The connection is gone. */
  stop(): void {
    this.#turn++;
    this.#alarm.set(null);
  }

  #schedule(): void {
    if (this.#endsAt === null) return;
    const now = this.#clock.now();
    this.#alarm.set(now + Math.min(renewalWait(this.#endsAt - now), MAX_WAIT));
  }

  async #renew(turn: number): Promise<void> {
    const before = this.#shown;
    try {
      const token = await this.#ask();
      if (turn !== this.#turn) return;
      const problem = tokenProblem(token);
      // The server would end the session: the one that it has is good for a while.
      if (problem !== undefined) throw new TypeError(problem);
      if (token !== before) this.#listener.renewed(token);
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.#listener.failed(new Error('there is no new token', { cause }));
    }
    this.#schedule();
  }
}

/**
 * @param left milliseconds until the token ends
 * @returns milliseconds until it is to be renewed
 */
export function renewalWait(left: number): number {
  if (left <= 0) return OVERDUE;
  return left > 2 * AHEAD ? left - AHEAD : Math.min(left, Math.max(PATIENCE, left / 2));
}

/**
 * How long a JSON Web Token that has just come is good for (RFC 7519, `exp`, `iat`, `nbf`).
 *
 * @param date the page's, in milliseconds since 1970; may be wrong
 * @param maxAge milliseconds since there was another in its place
 * @param maxLife milliseconds for which one is good that does not say when it was made
 * @returns milliseconds; null when it does not say
 */
export function timeLeft(
  token: string,
  date: number,
  maxAge: number,
  maxLife: number,
): number | null {
  const { exp, iat, nbf } = claimsOf(token) ?? {};
  if (!isTime(exp)) return null;
  const end = exp * 1000;
  const start = [iat, nbf].find((time): time is number => isTime(time) && time < exp);
  if (start === undefined) return Math.min(end > date ? end - date : 2 * AHEAD, maxLife);
  const life = end - start * 1000;
  // An application may keep tokens. Where the date says that it is older than it can be, the date is wrong.
  const age = Math.max(0, date - start * 1000);
  return age > life || age > maxAge + ROUNDING ? life : life - age;
}

function isTime(claim: unknown): claim is number {
  return Number.isFinite(claim);
}

/** Whose a JSON Web Token is (RFC 7519, `sub`); null when it does not say. */
export function subjectOf(token: string): string | null {
  const sub = claimsOf(token)?.sub;
  return typeof sub === 'string' ? sub : null;
}

function claimsOf(token: string): { [name in 'exp' | 'iat' | 'nbf' | 'sub']?: unknown } | null {
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
