/** A few connections to the primary, made as they are needed. Who comes when all are taken waits for one. */
import { systemClock } from '../clock.js';
import type { Connection } from './postgres-connection.js';
import { FailedOver } from './postgres-primary.js';
import type { Servers } from './postgres-servers.js';

export class Pool {
  readonly #servers: Servers;
  readonly #deadlineMs: number;
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  /** How many more calls may run. */
  #free: number;
  readonly #max: number;
  #untilIdle: () => void = () => undefined;

  constructor(servers: Servers, deadlineMs: number, max: number) {
    this.#servers = servers;
    this.#deadlineMs = deadlineMs;
    this.#max = max;
    this.#free = max;
  }

  /** A call is everything that has to be done on one connection, each transaction of it ended. */
  async use<T>(call: (connection: Connection) => Promise<T>): Promise<T> {
    const { primary } = this.#servers;
    await this.#enter();
    let connection = this.#idle.pop();
    try {
      while (connection?.isBroken) connection = this.#idle.pop();
      connection ??= await this.#servers.connect();
      // What the call is about was read from, or admitted to, the one before.
      if (this.#servers.primary !== primary) throw new FailedOver();
      return await call(connection);
    } catch (cause) {
      // Whatever state it is in, a new one is in none: it may hold a transaction that was begun.
      connection?.destroy(cause as Error);
      this.#servers.failed(cause);
      throw cause;
    } finally {
      if (connection?.isBroken === false) this.#idle.push(connection);
      this.#leave();
    }
  }

  /** Resolves once every call has ended. */
  async close(): Promise<void> {
    if (this.#free < this.#max) {
      await new Promise<void>((resolve) => {
        this.#untilIdle = resolve;
      });
    }
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  async #enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        deadline.cancel();
        resolve();
      };
      const deadline = systemClock.after(this.#deadlineMs, () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(new Error(`no connection to Postgres was free within ${this.#deadlineMs} ms`));
      });
      this.#waiting.push(enter);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next();
    else if (++this.#free === this.#max) this.#untilIdle();
  }
}
