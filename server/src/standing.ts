/**
 * Who a session is and what it may do, over time: until when, with which newer token, and
 * what is said when it is asked about again.
 *
 * Invariants: one question at a time is under way, and at most one begins in a second, about
 * the newest token; while it cannot be found out, what was said last holds, and it is
 * tried again.
 */
import { CLOSE } from '@cowrite/client/protocol';
import { checkToken } from './auth/credentials.js';
import { type Access, AuthRefused, type Identity, type User } from './auth/identity.js';
import type { Clock, Timer } from './clock.js';
import { within } from './within.js';

/** What somebody came with. */
export interface Credentials {
  readonly token: string | undefined;
  readonly cookie: string | undefined;
}

export interface StandingOptions {
  /** Its access is not `none`. */
  readonly identity: Identity;
  /** What it came with, where the same may mean something else later; undefined where it cannot. */
  readonly brought: Credentials | undefined;
  readonly clock: Clock;
  /** Milliseconds for an answer. */
  readonly patience: number;
}

export interface StandingListener {
  /** @throws {AuthRefused} */
  identify(brought: Credentials): Promise<Identity>;
  onAccess(access: Access): void;
  /** It is not in any more. */
  onEnd(code: number, reason: string): void;
  onError(error: unknown): void;
}

/** Milliseconds from one question to the next; and after one that had no answer. */
const PACE_MS = 1_000;
const RETRY_MS = 2_000;
/** Milliseconds: a longer `setTimeout` rings at once. */
const MAX_TIMER = 2 ** 31 - 1;

export class Standing {
  readonly #clock: Clock;
  readonly #listener: StandingListener;
  #identity: Identity;
  #brought: Credentials | undefined;
  /** Rings when the identity ends. */
  #expiry: Timer | undefined;
  readonly #patience: number;
  /** A newer token, to be asked about next. */
  #newer: Credentials | undefined;
  /** What was said last is doubtful: what that was about is to be asked about again, before all else. */
  #isDoubtful = false;
  /** What is being asked about. */
  #asked: Credentials | undefined;
  #pause: Timer | undefined;
  #isClosed = false;

  constructor(options: StandingOptions, listener: StandingListener) {
    this.#identity = options.identity;
    this.#brought = options.brought;
    this.#clock = options.clock;
    this.#patience = options.patience;
    this.#listener = listener;
  }

  get user(): User | undefined {
    return this.#identity.user;
  }

  get access(): Access {
    return this.#identity.access;
  }

  /** From now on it ends in time. */
  start(): void {
    this.#watchExpiry();
  }

  /** Looks at the time itself, because a busy loop is late for its timers. @returns whether it holds */
  check(): boolean {
    if (!this.#isClosed && this.#left <= 0) this.#watchExpiry();
    return !this.#isClosed;
  }

  get #left(): number {
    const { expiresAt } = this.#identity;
    return expiresAt === undefined
      ? Number.POSITIVE_INFINITY
      : expiresAt.getTime() - this.#clock.date();
  }

  #watchExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const left = this.#left;
    if (left <= 0) this.#end(CLOSE.unauthenticated, 'the token has expired');
    else if (left < Number.POSITIVE_INFINITY) {
      this.#expiry = this.#clock.after(Math.min(left, MAX_TIMER), () => this.#watchExpiry());
    }
  }

  #end(code: number, reason: string): void {
    this.close();
    this.#listener.onEnd(code, reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#expiry?.cancel();
    this.#pause?.cancel();
  }

  /** It goes on with this token, if that is good. */
  renew(token: string): void {
    try {
      checkToken(token);
    } catch (error) {
      this.#refused(error);
      return;
    }
    this.#newer = { token, cookie: this.#brought?.cookie };
    this.#ask();
  }

  /** What was said of it may not be true any more. */
  recheck(): void {
    if (this.#brought === undefined) {
      this.#end(CLOSE.unauthenticated, 'come back with a new token');
    } else {
      this.#isDoubtful = true;
      // That cannot wait, whatever tokens were brought in between.
      this.#pause?.cancel();
      this.#pause = undefined;
      this.#ask();
    }
  }

  #ask(): void {
    if (this.#asked !== undefined || this.#pause !== undefined) return;
    const isAgain = this.#isDoubtful;
    const question = isAgain ? this.#brought : this.#newer;
    if (question === undefined) return;
    if (isAgain) this.#isDoubtful = false;
    else this.#newer = undefined;
    this.#asked = question;
    void this.#answer(question, isAgain);
  }

  async #answer(question: Credentials, isAgain: boolean): Promise<void> {
    const { identity, error } = await this.#identified(question);
    this.#asked = undefined;
    if (this.#isClosed) return;
    if (identity !== undefined) {
      if (this.#brought !== undefined) this.#brought = question;
      // An answer from before it became doubtful: the same is asked again.
      if (this.#isDoubtful) return this.#ask();
      this.#goOnAs(identity);
      this.#askAfter(PACE_MS);
    } else if (error instanceof AuthRefused && error.kind === 'unavailable') {
      if (isAgain) this.#isDoubtful = true;
      else this.#newer ??= question;
      this.#askAfter(RETRY_MS);
    } else {
      this.#refused(error);
    }
  }

  /** Whoever does not answer in time counts as one that is away. */
  async #identified(question: Credentials): Promise<{ identity?: Identity; error?: unknown }> {
    try {
      const asked = this.#listener.identify(question);
      const identity = await within(this.#patience, this.#clock, asked);
      if (identity !== undefined) return { identity };
      return { error: new AuthRefused('unavailable', 'nobody answers') };
    } catch (error) {
      return { error };
    }
  }

  #askAfter(ms: number): void {
    if (this.#isClosed) return;
    this.#pause = this.#clock.after(ms, () => {
      this.#pause = undefined;
      this.#ask();
    });
  }

  #refused(error: unknown): void {
    if (!(error instanceof AuthRefused)) this.#listener.onError(error);
    else if (error.kind === 'forbidden') this.#end(CLOSE.forbidden, error.message);
    else this.#end(CLOSE.unauthenticated, error.message);
  }

  #goOnAs(identity: Identity): void {
    if (identity.user?.id !== this.user?.id) {
      this.#end(CLOSE.unauthenticated, 'the new token is of another user');
    } else if (identity.access === 'none') {
      this.#end(CLOSE.forbidden, 'this room is not open to you any more');
    } else {
      const isOther = identity.access !== this.access;
      this.#identity = identity;
      this.#watchExpiry();
      if (isOther && !this.#isClosed) this.#listener.onAccess(identity.access);
    }
  }
}
