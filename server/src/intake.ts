/**
 * What one socket sends, in its order, one after another. A little now and then is
 * handled at once; what is more takes turns with what others send much of. While a message
 * takes its time, or has to be earned first, those behind it wait: the few that were read
 * with it here, the others in the kernel, which in the end keeps the peer from sending.
 *
 * Invariant: the socket is read if and only if nothing waits, nothing is owed and nobody holds.
 */
import type { Clock, Timer } from './clock.js';
import type { Connection } from './transport.js';
import type { Turns } from './turns.js';

/** Whose intake it is; not closures, which every session would keep. */
export interface IntakeListener {
  /** Whether a message of so many bytes is little enough to be handled at once. */
  isPrompt(bytes: number): boolean;
  onTurn(bytes: Uint8Array): void;
  /** It took so many milliseconds, which others had to wait. */
  onHeavy(ms: number): void;
}

/** Milliseconds for which a socket is not read at most, whatever is owed. */
const MAX_DEBT = 60_000;
/** Milliseconds from which on a message is heavy. */
export const HEAVY_MS = 2;

export class Intake {
  readonly #connection: Connection;
  readonly #turns: Turns;
  readonly #clock: Clock;
  readonly #listener: IntakeListener;
  /** When what is handled now, or was last, had been received: what waits was received together. */
  #receivedAt = 0;
  /** Reasons to wait. */
  #holds = 0;
  /** Those before {@link #next} have had their turn. */
  #waiting: Uint8Array[] | undefined;
  #next = 0;
  #isQueued = false;
  /** Set until what is owed is paid, and when that will be. */
  #paying: Timer | undefined;
  #paidAt = 0;

  constructor(connection: Connection, turns: Turns, clock: Clock, listener: IntakeListener) {
    this.#connection = connection;
    this.#turns = turns;
    this.#clock = clock;
    this.#listener = listener;
  }

  get receivedAt(): number {
    return this.#receivedAt;
  }

  push(bytes: Uint8Array): void {
    if (this.#waiting === undefined) this.#receivedAt = this.#clock.now();
    const isFree = this.#holds === 0 && !this.#isQueued;
    if (isFree && this.#listener.isPrompt(bytes.length)) {
      this.#listener.onTurn(bytes);
      return;
    }
    this.#waiting ??= [];
    this.#waiting.push(bytes);
    this.#queue();
  }

  /** Nothing is handled until this is {@link release}d as often as it was held. */
  hold(): void {
    this.#holds++;
    this.#connection.pause();
  }

  release(): void {
    this.#holds--;
    this.#queue();
  }

  /**
   * Nothing is handled for so many milliseconds from now.
   *
   * @returns false when something was owed already
   */
  owe(ms: number): boolean {
    const now = this.#clock.now();
    this.#paidAt = Math.max(this.#paidAt, now + Math.min(ms, MAX_DEBT));
    const isFirst = this.#paying === undefined;
    if (isFirst) this.hold();
    // Pings that were read with the last message cannot be held back, and have to be paid for as well.
    this.#paying?.cancel();
    this.#paying = this.#clock.after(this.#paidAt - now, () => {
      this.#paying = undefined;
      this.release();
    });
    return isFirst;
  }

  /** Milliseconds until all is paid. */
  get debt(): number {
    return Math.max(0, this.#paidAt - this.#clock.now());
  }

  /** Nothing more of it is handled. */
  close(): void {
    this.#paying?.cancel();
    this.#waiting = undefined;
    this.#next = 0;
  }

  #queue(): void {
    // What waits when the server closes is not taken any more, and nobody was told that it is.
    if (this.#holds > 0 || this.#isQueued || this.#connection.isStopped) return;
    if (this.#waiting === undefined) {
      this.#connection.resume();
      return;
    }
    this.#connection.pause();
    this.#isQueued = true;
    this.#turns.take(() => this.#takeTurn());
  }

  #takeTurn(): boolean {
    if (this.#holds === 0 && !this.#connection.isStopped) this.#handleNext();
    if (this.#waiting !== undefined && this.#holds === 0 && !this.#connection.isStopped)
      return true;
    this.#isQueued = false;
    this.#queue();
    return false;
  }

  #handleNext(): void {
    const next = this.#waiting?.[this.#next++];
    if (this.#next === this.#waiting?.length) {
      this.#waiting = undefined;
      this.#next = 0;
    }
    if (next === undefined) return;
    const ms = this.#turns.timed(() => this.#listener.onTurn(next));
    if (ms > HEAVY_MS) this.#listener.onHeavy(ms);
  }
}
