/** Tells the log once that something has begun to fail, and once that it works again. */
import type { Logger } from 'pino';

export class Outage {
  readonly #logger: Logger;
  readonly #what: string;
  #isOn = false;

  /** @param what such as `AUTH_URL` */
  constructor(logger: Logger, what: string) {
    this.#logger = logger;
    this.#what = what;
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
