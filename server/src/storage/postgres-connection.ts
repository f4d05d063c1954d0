/**
 * Connections to a Postgres that never keep anybody waiting.
 *
 * Invariant: a call ends by its deadline, whatever the server or the network does. What
 * is broken then is the connection, for good: postgres.js would reconnect on its own and
 * go on with what it remembers, in the middle of a result or of a transaction. So each
 * `postgres()` here lives on one socket, and a new one takes its place.
 */
import { connect, type Socket } from 'node:net';
import postgres from 'postgres';
import { systemClock } from '../clock.js';
import type { Row, Run } from './postgres-schema.js';

export interface ConnectionOptions {
  readonly url: string;
  /** Milliseconds after which a statement counts as failed, here and on the server. */
  readonly deadlineMs: number;
}

/** What postgres.js makes of the address. `socket` is missing in its types. */
interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
  readonly path: string | false;
}

class Connection {
  readonly #deadlineMs: number;
  readonly #sql: postgres.Sql;
  #socket: Socket | undefined;
  /** Why no statement can run any more. */
  #broken: Error | undefined;
  /** Rejects whoever waits for an answer. */
  #reject: (reason: Error) => void = () => undefined;

  constructor({ url, deadlineMs }: ConnectionOptions) {
    this.#deadlineMs = deadlineMs;
    const options = {
      max: 1,
      // Ours covers connecting, too.
      connect_timeout: 0,
      idle_timeout: 0,
      max_lifetime: null,
      keep_alive: 30,
      fetch_types: false,
      types: { bigint: BIGINT, bytea: BYTEA },
      onnotice: () => undefined,
      onclose: () => this.destroy(new Error('the connection to Postgres was closed')),
      connection: {
        application_name: 'cowrite',
        default_transaction_isolation: 'read committed',
        // Also a statement whose caller is gone must end: it may hold locks.
        statement_timeout: deadlineMs,
        idle_in_transaction_session_timeout: deadlineMs,
      },
      socket: (target: Target) => this.#connect(target),
    };
    this.#sql = postgres(url, options as never) as postgres.Sql;
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  readonly run: Run = async (sql, parameters = []) => {
    if (this.#broken !== undefined) throw this.#broken;
    const query = this.#sql.unsafe(sql, parameters as never[], { prepare: parameters.length > 0 });
    const failed = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    const deadline = systemClock.after(this.#deadlineMs, () =>
      this.destroy(new Error(`Postgres did not answer within ${this.#deadlineMs} ms`)),
    );
    try {
      return (await Promise.race([query, failed])) as readonly Row[];
    } finally {
      deadline.cancel();
    }
  };

  /** Drops it at once, without a word to the server. */
  destroy(reason: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#reject(reason);
    this.#socket?.destroy();
  }

  async close(): Promise<void> {
    const deadline = systemClock.after(this.#deadlineMs, () =>
      this.destroy(new Error('Postgres did not let go of the connection')),
    );
    await this.#sql.end();
    deadline.cancel();
  }

  /** The first of the hosts that answers. */
  async #connect({ host, port, path }: Target): Promise<Socket> {
    if (this.#socket !== undefined) throw new Error('the connection to Postgres was lost');
    const targets = path ? [{ path }] : host.map((name, i) => ({ host: name, port: port[i]! }));
    const patience = this.#deadlineMs / (targets.length + 1);
    let failure: unknown;
    for (const target of targets) {
      if (this.#broken !== undefined) break;
      const socket = connect({ ...target, noDelay: true } as never);
      this.#socket = socket;
      try {
        await connected(socket, patience);
        // postgres.js takes the name that a certificate must have from here.
        return Object.assign(socket, target);
      } catch (cause) {
        failure = cause;
      }
    }
    const cause = this.#broken ?? (failure as Error);
    this.destroy(cause);
    throw cause;
  }
}

async function connected(socket: Socket, patienceMs: number): Promise<void> {
  const timer = systemClock.after(patienceMs, () =>
    socket.destroy(new Error(`no connection to Postgres within ${Math.round(patienceMs)} ms`)),
  );
  await new Promise<void>((resolve, reject) => {
    const onClose = () => reject(new Error('the connection to Postgres was given up'));
    socket.once('error', reject).once('close', onClose);
    socket.once('connect', () => {
      socket.off('error', reject).off('close', onClose);
      resolve();
    });
  }).finally(() => timer.cancel());
}

/** A few connections, made as they are needed. Who comes when all are taken waits for one. */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  /** How many more calls may run. */
  #free: number;
  readonly #max: number;
  #untilIdle: () => void = () => undefined;

  constructor(options: ConnectionOptions, max: number) {
    this.#options = options;
    this.#max = max;
    this.#free = max;
  }

  /** A call is one statement, or several in a transaction that it ends itself. */
  async use<T>(call: (run: Run) => Promise<T>): Promise<T> {
    await this.#enter();
    let connection = this.#idle.pop();
    try {
      while (connection?.isBroken) connection = this.#idle.pop();
      connection ??= new Connection(this.#options);
      return await call(connection.run);
    } catch (cause) {
      // Whatever state it is in, a new one is in none: it may hold a transaction that was begun.
      connection?.destroy(cause as Error);
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
      const { deadlineMs } = this.#options;
      const enter = () => {
        deadline.cancel();
        resolve();
      };
      const deadline = systemClock.after(deadlineMs, () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(new Error(`no connection to Postgres was free within ${deadlineMs} ms`));
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

const BIGINT = { to: 20, from: [20], serialize: String, parse: Number };

/** Without the copy that postgres.js makes first. */
const BYTEA = {
  to: 17,
  from: [17],
  serialize: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    `\\x${Buffer.from(buffer, byteOffset, byteLength).toString('hex')}`,
  parse: (text: string) => Buffer.from(text.slice(2), 'hex'),
};
