/**
 * One connection to a Postgres, which never keeps anybody waiting.
 *
 * Invariants: a call ends by its deadline, whatever the server or the network does. What
 * is broken then is the connection, for good: postgres.js would reconnect on its own and
 * go on with what it remembers, in the middle of a result or of a transaction. So each
 * `postgres()` here lives on one socket, and a new one takes its place.
 *
 * Nothing belongs to the session, since a pooler may give every transaction to another one:
 * what a transaction needs is set in it, and no statement has a name.
 */
import { connect, type Socket } from 'node:net';
import postgres from 'postgres';
import { systemClock } from '../clock.js';
import type { HostAndPort, ServiceAddress } from '../service-url.js';
import { statement, type Value } from './postgres-statement.js';
import { isAboutTls, secured } from './postgres-tls.js';

// biome-ignore lint/suspicious/noExplicitAny: what a column holds is known by who wrote the statement.
export type Row = Record<string, any>;
/** Runs one statement, or several without values, and resolves to the rows of the last that has some. */
export type Run = (sql: string, values?: readonly Value[]) => Promise<readonly Row[]>;

export interface ConnectionOptions {
  readonly address: ServiceAddress;
  /** Milliseconds after which a statement counts as failed, here and on the server. */
  readonly deadlineMs: number;
}

/** For libpq, postgres.js or the drivers of others; the server would refuse them. */
const NOT_FOR_THE_SERVER = new Set([
  'backoff',
  'channel_binding',
  'connect_timeout',
  'connection_limit',
  'debug',
  'fetch_types',
  'gssencmode',
  'host',
  'idle_timeout',
  'keep_alive',
  'keepalives',
  'keepalives_idle',
  'max',
  'max_lifetime',
  'max_pipeline',
  'pgbouncer',
  'pool_timeout',
  'port',
  'prepare',
  'target_session_attrs',
  'tcp_user_timeout',
]);
/** A commit was reported to a standby that never confirmed it. */
const UNCONFIRMED = 'SyncRepWaitForLSN';

export class Connection {
  readonly #deadlineMs: number;
  readonly #sql: postgres.Sql;
  #socket: Socket | undefined;
  readonly #parameters: ServiceAddress['parameters'];
  readonly #isEncrypted: boolean;
  /** Why no statement can run any more. */
  #broken: Error | undefined;
  /** Rejects whoever waits for an answer. */
  #reject: (reason: Error) => void = () => undefined;
  /** Runs first in each transaction, and fails where the server is not the one that was meant. */
  start: string | undefined;

  /**
   * @param server of several, this one; left out, the address or the environment says which
   * @param isEncrypted whether TLS is begun, as far as the address asks for it
   */
  constructor(
    { address, deadlineMs }: ConnectionOptions,
    server: HostAndPort | undefined,
    isEncrypted: boolean,
  ) {
    this.#deadlineMs = deadlineMs;
    const { user, password, database, parameters } = address;
    this.#parameters = parameters;
    this.#isEncrypted = isEncrypted;
    const given = [...parameters].filter(([name]) => !NOT_FOR_THE_SERVER.has(name));
    const {
      user: alsoUser,
      password: alsoPassword,
      ...atStart
    } = Object.fromEntries(given.filter(([name]) => !isAboutTls(name)));
    const isSocket = server?.host.startsWith('/');
    const options = {
      ...(server && !isSocket && { host: [server.host], port: [server.port] }),
      ...(server && isSocket && { path: `${server.host}/.s.PGSQL.${server.port}` }),
      user: user ?? alsoUser,
      pass: password ?? alsoPassword,
      database,
      // Begun before the driver has the connection.
      ssl: false,
      max: 1,
      prepare: false,
      // Ours covers connecting, too.
      connect_timeout: 0,
      idle_timeout: 0,
      max_lifetime: null,
      keep_alive: 30,
      fetch_types: false,
      types: { bigint: BIGINT, bytea: BYTEA },
      onnotice: ({ routine }: { routine?: string }) => {
        if (routine !== UNCONFIRMED) return;
        this.destroy(new Error('a commit was not confirmed by the synchronous standby'));
      },
      onclose: () => this.destroy(new Error('the connection to Postgres was closed')),
      // Poolers know the first. Whatever else the address asks for, they may refuse.
      connection: { application_name: 'cowrite', ...atStart },
      socket: (target: Target) => this.#connect(target),
    };
    this.#sql = postgres(options as never) as postgres.Sql;
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** One statement in a transaction of its own, in one round trip. */
  async one(sql: string, values?: readonly Value[]): Promise<readonly Row[]> {
    return await this.run(`${this.#begin()};${statement(sql, values)};COMMIT`);
  }

  /** @param call resolves to whether what it did is to be kept */
  async transaction(call: (run: Run) => Promise<boolean>): Promise<boolean> {
    await this.run(this.#begin());
    const isKept = await call((sql, values) => this.run(statement(sql, values)));
    await this.run(isKept ? 'COMMIT' : 'ROLLBACK');
    return isKept;
  }

  #begin(): string {
    // Before the database has its tables.
    const settings = `SET LOCAL statement_timeout = ${this.#deadlineMs}`;
    return `BEGIN ISOLATION LEVEL READ COMMITTED;${this.start ?? settings}`;
  }

  /** What the server makes of a text, as it is. @param patienceMs less than its deadline, if it is to be less */
  async run(text: string, patienceMs = this.#deadlineMs): Promise<readonly Row[]> {
    if (this.#broken !== undefined) throw this.#broken;
    const query = this.#sql.unsafe(text);
    const failed = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    const deadline = systemClock.after(patienceMs, () =>
      this.destroy(new Error(`Postgres did not answer within ${Math.round(patienceMs)} ms`)),
    );
    try {
      const results = (await Promise.race([query, failed])) as Row[] | Row[][];
      // Several statements have several results; those without rows come with the one before.
      return ('command' in results ? results : (results.at(-1) ?? [])) as readonly Row[];
    } finally {
      deadline.cancel();
    }
  }

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

  async #connect({ host: [host], port: [port], path }: Target): Promise<Socket> {
    if (this.#socket !== undefined) throw new Error('the connection to Postgres was lost');
    if (this.#broken !== undefined) throw this.#broken;
    const target = path ? { path } : { host: host!, port: port! };
    try {
      const socket = connect({ ...target, noDelay: true } as never);
      this.#socket = socket;
      await connected(socket);
      if (this.#isEncrypted && !path) {
        this.#socket = await secured(socket, host!, this.#parameters);
      }
    } catch (cause) {
      this.destroy(cause as Error);
      throw cause;
    }
    if (this.#broken !== undefined) {
      this.#socket.destroy();
      throw this.#broken;
    }
    // For what postgres.js says of a connection.
    return Object.assign(this.#socket, target);
  }
}

async function connected(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection to Postgres was given up')));
    socket.once('connect', resolve);
  });
  socket.removeAllListeners('error').removeAllListeners('close');
}

/** What postgres.js makes of the options. */
interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
  readonly path: string | false;
}

const BIGINT = { to: 20, from: [20], serialize: String, parse: Number };

/** Without the copy that postgres.js makes first. */
const BYTEA = {
  to: 17,
  from: [17],
  serialize: String,
  parse: (text: string) => Buffer.from(text.slice(2), 'hex'),
};
