/**
 * How often one session may send what: document messages and their bytes, everything else, and
 * questions for the document, each of which is answered with as much as there is.
 *
 * Nobody loses anything by it: what is over the rate is read, or answered, later.
 */
import type { Message } from '@cowrite/client/protocol';
import { Bucket, type Rate } from './bucket.js';

export interface SessionRates {
  /** Document messages (step 2 and updates). Default 500 a second, 2 000 at once. */
  readonly updatesPerSession: Rate;
  /** Their bytes. Default 512 KiB a second, 64 MiB at once. */
  readonly updateBytesPerSession: Rate;
  /** Awareness and all other messages, pings too; one counts once for each 16 KB. Default 500 a second, 2 000 at once. */
  readonly awarenessPerSession: Rate;
  /** Answers to step 1, and to who is here. Default 1 a second, 20 at once. */
  readonly step1PerSession: Rate;
}

export type SessionLimit =
  | 'updates-per-session'
  | 'update-bytes-per-session'
  | 'awareness-per-session';

const SMALL = 1024;
const PROMPT: Rate = { perSecond: 200, burst: 32 };
/** A client of y-websocket sends back whatever it is told of others: in a large room much, and often. */
const OTHER_UNIT = 16 * 1024;

export class Allowance {
  readonly #rates: SessionRates;
  /** Each made when it is needed, which is not to join: most sessions then only listen. */
  #updates: Bucket | undefined;
  #updateBytes: Bucket | undefined;
  #others: Bucket | undefined;
  #answers: Bucket | undefined;
  #prompt: Bucket | undefined;
  /** Small messages that cost nothing: those of a client that joins. */
  #free = 5;
  #hasAsked = false;
  #reached: SessionLimit = 'updates-per-session';

  constructor(rates: SessionRates) {
    this.#rates = rates;
  }

  /**
   * Whether a message of so many bytes is handled at once; else it takes turns. People
   * who type, and whose carets move, are far below that.
   */
  isPrompt(bytes: number, now: number): boolean {
    if (this.#free > 0 && bytes <= SMALL) return true;
    this.#prompt ??= new Bucket(PROMPT, now);
    return this.#prompt.tryTake(units(bytes, SMALL), now);
  }

  /**
   * Takes what a message costs, also if that is not there.
   *
   * @param now in milliseconds that only go forward
   * @returns milliseconds until the next may be read
   */
  pay(type: Message['type'] | 'ping', bytes: number, now: number): number {
    if (this.#free > 0 && bytes <= SMALL) {
      this.#free--;
      return 0;
    }
    if (type === 'step2' || type === 'update') {
      this.#updates ??= new Bucket(this.#rates.updatesPerSession, now);
      this.#updateBytes ??= new Bucket(this.#rates.updateBytesPerSession, now);
      const wait = this.#updates.take(1, now);
      const byteWait = this.#updateBytes.take(bytes, now);
      this.#reached = byteWait > wait ? 'update-bytes-per-session' : 'updates-per-session';
      return Math.max(wait, byteWait);
    }
    this.#reached = 'awareness-per-session';
    this.#others ??= new Bucket(this.#rates.awarenessPerSession, now);
    return this.#others.take(units(bytes, OTHER_UNIT), now);
  }

  /** Why the last message has to be waited for. */
  get reached(): SessionLimit {
    return this.#reached;
  }

  /** @returns 0 if it may be answered now, which counts, or milliseconds until then */
  answer(now: number): number {
    if (!this.#hasAsked) {
      this.#hasAsked = true;
      return 0;
    }
    this.#answers ??= new Bucket(this.#rates.step1PerSession, now);
    return this.#answers.tryTake(1, now) ? 0 : this.#answers.wait(1, now);
  }
}

function units(bytes: number, unit: number): number {
  return Math.max(1, Math.ceil(bytes / unit));
}
