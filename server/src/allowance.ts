/**
 * How often one session may send what: document messages by their size, everything else, and
 * questions for the document, each of which is answered with as much as there is.
 *
 * Nobody loses anything by it: what is over the rate is read, or answered, later.
 */
import type { Message } from '@cowrite/client/protocol';
import { Bucket, type Rate } from './bucket.js';

export interface SessionRates {
  /** Step 2 and updates; one counts once for each KB that it has begun. */
  readonly updatesPerSession: Rate;
  /** Awareness and all other messages, pings too; one counts once for each 16 KB. */
  readonly awarenessPerSession: Rate;
  /** Answers to step 1, and to who is here. */
  readonly step1PerSession: Rate;
}

const UPDATE_UNIT = 1024;
/** A client of y-websocket sends back whatever it is told of others: in a large room much, and often. */
const OTHER_UNIT = 16 * 1024;

export class Allowance {
  readonly #rates: SessionRates;
  /** Each made when it is needed, which the first message and the first question never do: most sessions join, and then only listen. */
  #updates: Bucket | undefined;
  #others: Bucket | undefined;
  #answers: Bucket | undefined;
  #hasSpoken = false;
  #hasAsked = false;

  constructor(rates: SessionRates) {
    this.#rates = rates;
  }

  /**
   * Takes what a message costs, also if that is not there.
   *
   * @param now in milliseconds that only go forward
   * @returns milliseconds until the next may be read
   */
  pay(type: Message['type'] | 'ping', bytes: number, now: number): number {
    if (type === 'step2' || type === 'update') {
      this.#updates ??= new Bucket(this.#rates.updatesPerSession, now);
      return this.#updates.take(units(bytes, UPDATE_UNIT), now);
    }
    if (!this.#hasSpoken) {
      this.#hasSpoken = true;
      return 0;
    }
    this.#others ??= new Bucket(this.#rates.awarenessPerSession, now);
    return this.#others.take(units(bytes, OTHER_UNIT), now);
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
