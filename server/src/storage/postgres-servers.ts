/**
 * The servers behind an address, of which one is the primary.
 *
 * Invariant: all open connections lead to one primary, the known one. Any sign that it is not
 * that any more drops all of them at once, and what was under way fails. When the next one that
 * is found is another, those who have read or written before are told.
 */
import { crc32 } from 'node:zlib';
import { systemClock, type Timer } from '../clock.js';
import type { HostAndPort } from '../service-url.js';
import { Connection, type ConnectionOptions } from './postgres-connection.js';
import {
  FailedOver,
  isSign,
  judge,
  NotPrimary,
  nameOf,
  type ServerState,
  stateOf,
} from './postgres-primary.js';
import { statement } from './postgres-statement.js';
import { TlsFailed, waysOf } from './postgres-tls.js';
import type { Primary } from './storage.js';

export interface ServersOptions extends ConnectionOptions {
  /** Brings the database of a primary up to date before anything else is done there. */
  readonly prepare: (connection: Connection) => Promise<void>;
}

/**
 * An old primary that nobody has told goes on answering. Where the address leads by now, only a
 * new connection tells.
 */
const LOOK_EVERY_MS = 5_000;
/** However often somebody asks for it. */
const LOOK_PAUSE_MS = 500;

export class Servers {
  readonly #options: ServersOptions;
  /** Undefined for the one that the environment names. */
  readonly #hosts: readonly (HostAndPort | undefined)[];
  readonly #open = new Set<Connection>();
  readonly #look: Timer;
  #known: ServerState | undefined;
  #primary = { id: 0 };
  /** The place among the hosts of the primary, as far as is known. */
  #first = 0;
  #foundAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #listener: (() => void) | undefined;
  #isLooking = false;

  constructor(options: ServersOptions) {
    this.#options = options;
    const { hosts, parameters } = options.address;
    const host = parameters.get('host');
    const port = Number(parameters.get('port') ?? 5432);
    this.#hosts = hosts.length > 0 ? hosts : [host === undefined ? undefined : { host, port }];
    this.#look = systemClock.every(LOOK_EVERY_MS, () => {
      if (systemClock.now() - this.#foundAt >= LOOK_EVERY_MS / 2) void this.look();
    });
  }

  /** Another object after a failover. */
  get primary(): Primary {
    return this.#primary;
  }

  onFailover(listener: () => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#look.cancel();
  }

  /** Whether the address still leads to the known primary. Never rejects: calls tell what is wrong. */
  async look(): Promise<void> {
    if (this.#isLooking || systemClock.now() - this.#lookedAt < LOOK_PAUSE_MS) return;
    this.#isLooking = true;
    this.#lookedAt = systemClock.now();
    try {
      await (await this.connect()).close();
    } catch {
      // Nobody waits for this. While no primary is found, the calls of those who do are told so.
    } finally {
      this.#isLooking = false;
    }
  }

  /** Something went wrong on a connection: was it a sign? */
  failed(error: unknown): void {
    if (!isSign(error)) return;
    this.#drop(new NotPrimary((error as Error).message, { cause: error }));
  }

  /**
   * A new connection to the primary.
   *
   * @throws {NotPrimary} or whatever the last of the servers says
   */
  async connect(): Promise<Connection> {
    const { deadlineMs } = this.#options;
    const count = this.#hosts.length;
    const problems: Error[] = [];
    for (let i = 0; i < count; i++) {
      const place = (this.#first + i) % count;
      try {
        const connection = await this.#connectTo(this.#hosts[place], deadlineMs / count);
        this.#first = place;
        return connection;
      } catch (error) {
        problems.push(error as Error);
      }
    }
    if (problems.length === 1) throw problems[0]!;
    const said = problems.map(({ message }) => message).join('; ');
    throw new NotPrimary(`none of the servers is the primary: ${said}`, { cause: problems[0] });
  }

  /** With TLS, without, or first one and then the other, as the address says. */
  async #connectTo(host: HostAndPort | undefined, patienceMs: number): Promise<Connection> {
    const ways = waysOf(this.#options.address.parameters, host?.host.startsWith('/') ?? false);
    try {
      return await this.#connectBy(ways[0]!, host, patienceMs);
    } catch (first) {
      if (ways.length === 1 || !isRefusal(first)) throw first;
      try {
        return await this.#connectBy(ways[1]!, host, patienceMs);
      } catch (second) {
        const [said, saidNext] = [first, second].map((error) => (error as Error).message);
        // A server without TLS has said the same of the same connection.
        if (!isRefusal(second) || said === saidNext) throw second;
        const way = ways[1] ? 'with TLS' : 'without TLS';
        throw new Error(`${said}; ${way}: ${saidNext}`, { cause: second });
      }
    }
  }

  async #connectBy(
    isEncrypted: boolean,
    host: HostAndPort | undefined,
    patienceMs: number,
  ): Promise<Connection> {
    const { deadlineMs } = this.#options;
    const before = this.#known;
    const connection = new Connection(this.#options, host, isEncrypted);
    try {
      const state = await stateOf(connection, patienceMs);
      await this.#accept(connection, state, before);
      connection.start = statement('SELECT cowrite.begin($1, $2)', [state.started, deadlineMs]);
      return connection;
    } catch (error) {
      connection.destroy(error as Error);
      throw error;
    }
  }

  async #accept(
    connection: Connection,
    found: ServerState,
    before: ServerState | undefined,
  ): Promise<void> {
    if (found.isInRecovery) throw new NotPrimary('this server is a standby, and takes no writes');
    if (found.isReadOnly) throw new NotPrimary('this server is read-only, and takes no writes');
    const isNews = this.#known === undefined || judge(this.#known, found, before) === 'other';
    if (isNews) await this.#options.prepare(connection);
    // Another connection may have found it meanwhile.
    const verdict = this.#known === undefined ? 'same' : judge(this.#known, found, before);
    if (verdict === 'stale') {
      throw new NotPrimary('this server was the primary before another one took its place');
    }
    const isFirst = this.#known === undefined;
    this.#known = found;
    this.#foundAt = systemClock.now();
    const id = crc32(nameOf(found));
    if (isFirst) this.#primary.id = id;
    if (verdict === 'other') {
      this.#primary = { id };
      this.#drop(new FailedOver());
    }
    for (const other of this.#open) if (other.isBroken) this.#open.delete(other);
    this.#open.add(connection);
    if (verdict === 'other') this.#listener?.();
  }

  /** Whatever they are on, they are on the wrong server. */
  #drop(reason: Error): void {
    for (const connection of this.#open) connection.destroy(reason);
    this.#open.clear();
  }
}

/** Of this way to connect: TLS that fails, or a server that lets nobody in so; a pooler says 08P01. */
function isRefusal(error: unknown): boolean {
  const { code = '' } = error as { readonly code?: string };
  return error instanceof TlsFailed || ['28000', '08P01'].includes(code);
}
