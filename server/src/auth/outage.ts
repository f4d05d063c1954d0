/** Tells the log once that something has begun to fail, and once that it works again. */
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';

export class Outage {
  readonly #logger: Logger;
  readonly #what: string;
  #isOn = false;

  /** @param what such as `AUTH_URL` */
  constructor(logger: Logger, what: string) {
    this.#logger = logger;
    this.#what = what;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  failed(error: unknown): void {
    if (!this.#isOn)
      this.#logger.error({ err: error }, `${this.#what} gives no answer that can be used`);
    this.#isOn = true;
  }

  worked(): void {
    if (this.#isOn) this.#logger.info(`${this.#what} answers again`);
    this.#isOn = false;
  }
}

const LINE_EVERY_MS = 60_000;

/**
 * Tells the log that single questions are answered in a way that nobody can use: the first at
 * once, and then a line a minute that says how many there were. One client can be the cause.
 */
export class OddAnswers {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #what: string;
  #toldAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /** @param what such as `AUTH_URL` */
  constructor(logger: Logger, clock: Clock, what: string) {
    this.#logger = logger;
    this.#clock = clock;
    this.#what = what;
  }

  add(reason: string): void {
    const now = this.#clock.now();
    if (now - this.#toldAt < LINE_EVERY_MS) {
      this.#untold++;
      return;
    }
    const more = this.#untold;
    this.#toldAt = now;
    this.#untold = 0;
    this.#logger.warn(
      { reason, ...(more > 0 && { more }) },
      `${this.#what} did not say who a client is; it is told to try again`,
    );
  }
}
