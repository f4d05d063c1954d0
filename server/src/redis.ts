/**
 * Connections to Redis, as storage, relay and presence use them.
 *
 * Invariants: no call hangs. While the connection is away calls reject at once;
 * when it breaks, or Redis stops answering, those in flight reject as well, and
 * whether they were carried out is not known. Nothing is sent twice by itself.
 * The connection is made again in the background, for ever. A connection is ready only
 * to a primary, the same one for all connections to an address (redis-group.ts).
 *
 * Every key and channel begins with a prefix of the deployment's own. Redis
 * Cluster and Sentinel are not supported.
 */
import { createHash } from 'node:crypto';
import { connect as connectTcp, isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { AbstractConnector, Command, Redis, type RedisOptions as Settings } from 'ioredis';
import { CertificateUnusable, readPem, tlsReason } from './certificates.js';
import { systemClock } from './clock.js';
import { DEFAULT_LOOK_MS, type GroupMember, RedisGroup } from './redis-group.js';
import { type RedisInfo, ReplicaRedis, UnusableRedis, whyUnusable } from './redis-signs.js';
import { REDIS_FORM, readRedisUrl, type ServiceAddress, shownUrl } from './service-url.js';

export interface RedisOptions {
  /** Begins every key and channel: letters, digits, `-` and `_`, then a colon. */
  readonly prefix?: string;
  /** Milliseconds that an answer or a connection may take. */
  readonly timeout?: number;
  /** Milliseconds from one question whether the server is still a primary to the next. */
  readonly lookMs?: number;
  /** Hears, in one line each, when Redis goes away, when it is back, and what is wrong with its settings. */
  readonly onWarning?: (line: string) => void;
}

export const DEFAULT_PREFIX = 'cowrite:';
export const DEFAULT_TIMEOUT_MS = 5_000;

/** No prefix is the beginning of another, so that no deployment reaches another's keys. */
const PREFIX = /^[A-Za-z0-9_-]+:$/;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;

/** Milliseconds until attempt `times` to connect again, 1 for the first. */
export function retryDelay(times: number, random: number): number {
  const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(times - 1, 20));
  return ceiling * (0.5 + random / 2);
}

/** @throws {TypeError} when it is none */
export function checkPrefix(prefix = DEFAULT_PREFIX): string {
  if (PREFIX.test(prefix)) return prefix;
  throw new TypeError(`a prefix in Redis is letters, digits, - and _, then a colon: not ${prefix}`);
}

/**
 * A connection that is being made.
 *
 * @param url `redis://` or `rediss://`, `user:password@` where it needs one, host, port, `/<database>`,
 *   with TLS `?cacert=<file>&cert=<file>&key=<file>`
 * @param purpose what it is for: its name in Redis's list of clients and in warnings
 * @param onConnected called before each new connection is used
 * @throws {UnusableRedis} where a file that the address names cannot be used
 */
export function connectRedis(
  url: string,
  purpose: string,
  options: RedisOptions,
  onConnected?: (info: RedisInfo) => void,
): Redis {
  const { timeout = DEFAULT_TIMEOUT_MS, lookMs = DEFAULT_LOOK_MS } = options;
  const { onWarning = () => undefined } = options;
  const address = readRedisUrl(url);
  const [server] = address?.hosts ?? [];
  // Told without the address: it may hold a password.
  if (server === undefined) throw new TypeError(`Redis's address is ${REDIS_FORM}`);
  const place = { url: url.trim().replace(/\?.*$/s, ''), tls: new Certificates(address!) };
  const member = RedisGroup.join(`${url.split(':')[0]} ${server.host} ${server.port}`, {
    lookMs,
    redis: () => redis,
    probe: async () => await probe(place, timeout),
    onUnusable: (reason) => void redis.emit('error', reason),
  });
  const redis: Redis = new Redis(place.url, {
    Connector: connectorOf(place.tls, (info) => {
      const isUsable = member.connected(info);
      if (isUsable) onConnected?.(info);
      return isUsable;
    }),
    connectionName: `cowrite-${purpose}`,
    connectTimeout: timeout,
    commandTimeout: timeout,
    // A connection on which nothing is answered is given up, with what is in flight on it.
    socketTimeout: timeout,
    disconnectTimeout: 200,
    keepAlive: 10_000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // Not a number of retries: 0 is what makes calls in flight reject when the connection breaks.
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: 500,
    retryStrategy: (times) => retryDelay(times, Math.random()),
    // Called with each error that Redis answers. What is to be made again is the group's to say.
    reconnectOnError: (error) => {
      member.answered(error);
      return false;
    },
  });
  members.set(redis, member);

  // One line an outage, however many attempts it takes.
  let awaySince: number | undefined;
  const away = (reason: string) => {
    if (awaySince !== undefined) return;
    awaySince = systemClock.now();
    onWarning(`Redis at ${shownUrl(url)} (${purpose}) is away: ${reason}; trying until it is back`);
  };
  redis.on('error', (error: Error) => away(reasonOf(error)));
  redis.on('close', () => {
    member.disconnected();
    if (!isClosing.has(redis)) away('the connection was closed');
  });
  redis.on('ready', () => {
    if (awaySince === undefined) return;
    const seconds = Math.ceil((systemClock.now() - awaySince) / 1000);
    awaySince = undefined;
    onWarning(`Redis at ${shownUrl(url)} (${purpose}) is back after ${seconds} s`);
  });
  return redis;
}

const isClosing = new WeakSet<Redis>();
const members = new WeakMap<Redis, GroupMember>();

/** @returns the `run_id` of the primary that the address leads to now, if there is one and it is known. Never rejects. */
async function probe({ url, tls }: Place, timeout: number): Promise<string | undefined> {
  let server: string | undefined;
  const redis = new Redis(url, {
    Connector: connectorOf(tls, (info) => {
      if (whyUnusable(info) === undefined) server = info.run_id;
      return true;
    }),
    connectionName: 'cowrite_probe',
    connectTimeout: timeout,
    commandTimeout: timeout,
    disconnectTimeout: 200,
    lazyConnect: true,
    retryStrategy: () => null,
  });
  // That nothing is there, the other connections tell.
  redis.on('error', () => undefined);
  await redis.connect().catch(() => undefined);
  redis.disconnect();
  return server;
}

interface Place {
  /** For ioredis, which would take parameters for options of its own. */
  readonly url: string;
  readonly tls: Certificates;
}

/** What the address's files say. They may be replaced at any time, and one after the other. */
class Certificates {
  readonly #parameters: ServiceAddress['parameters'];
  #last: ConnectionOptions;

  /** @throws {UnusableRedis} */
  constructor({ parameters }: ServiceAddress) {
    this.#parameters = parameters;
    try {
      this.#last = this.#read();
    } catch (cause) {
      if (!(cause instanceof CertificateUnusable)) throw cause;
      throw new UnusableRedis(cause.message, { cause });
    }
  }

  /** As they are now, or as they were when they could last be read. */
  get current(): ConnectionOptions {
    try {
      this.#last = this.#read();
    } catch (error) {
      if (!(error instanceof CertificateUnusable)) throw error;
    }
    return this.#last;
  }

  #read(): ConnectionOptions {
    const [ca, cert, key] = ['cacert', 'cert', 'key'].map((name) => this.#parameters.get(name));
    return {
      ...(ca && { ca: readPem('cacert', ca, 'CERTIFICATE') }),
      ...(cert && { cert: readPem('cert', cert, 'CERTIFICATE') }),
      ...(key && { key: readPem('key', key, 'PRIVATE KEY') }),
    };
  }
}

/** Connects as ioredis does by itself, and says what it is connected to before the connection is used. */
function connectorOf(certificates: Certificates, check: (info: RedisInfo) => boolean) {
  return class extends AbstractConnector {
    readonly #settings: Settings;

    constructor(settings: unknown) {
      super((settings as Settings).disconnectTimeout ?? 0);
      this.#settings = settings as Settings;
    }

    override check(info: RedisInfo): boolean {
      return check(info);
    }

    override async connect() {
      this.connecting = true;
      // So that a disconnect in the same turn counts.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      if (!this.connecting) throw new Error('the connection was closed');
      const { host = 'localhost', port = 6379, family, tls } = this.#settings;
      const place = { host, port, ...(family !== undefined && { family }) };
      // Several names may be behind one address.
      const name = isIP(host) ? {} : { servername: host };
      this.stream = tls
        ? connectTls({ ...place, ...name, ...certificates.current })
        : connectTcp(place);
      this.stream.once('error', (error) => {
        this.firstError = error;
      });
      return this.stream;
    }
  };
}

/** Somebody else is connected to another server: looks at once where the address leads. */
export function lookAround(redis: Redis): void {
  members.get(redis)?.lookAround();
}

/** Resolves once it is known whether the first attempt succeeded: undefined, or why it did not. */
export async function firstAttempt(
  redis: Redis,
  timeout = DEFAULT_TIMEOUT_MS,
): Promise<Error | undefined> {
  if (redis.status === 'ready') return undefined;
  return await new Promise((resolve) => {
    const settle = (outcome: Error | undefined) => {
      late.cancel();
      redis.off('ready', ready).off('error', settle).off('close', closed);
      resolve(outcome);
    };
    const ready = () => settle(undefined);
    const closed = () => settle(new Error('the connection was closed'));
    // It may be connected and still load its data, for however long that takes.
    const late = systemClock.after(2 * timeout, () => settle(new Error('it is not ready yet')));
    redis.on('ready', ready).on('error', settle).on('close', closed);
  });
}

/**
 * Like {@link firstAttempt}, for what can begin while Redis is away.
 *
 * @throws {UnusableRedis} when what is there can never be used
 */
export async function begin(redis: Redis, timeout?: number): Promise<void> {
  const failure = await firstAttempt(redis, timeout);
  // A replica is a primary in a moment, or the address leads to another.
  if (failure instanceof UnusableRedis && !(failure instanceof ReplicaRedis)) throw failure;
}

/** Resolves once the connection is gone. What is in flight on it rejects. */
export async function endConnection(redis: Redis): Promise<void> {
  isClosing.add(redis);
  members.get(redis)?.leave();
  const isOpen = ['connecting', 'connect', 'ready'].includes(redis.status);
  const ended = isOpen
    ? new Promise<void>((resolve) => redis.once('end', () => resolve()))
    : undefined;
  redis.disconnect();
  await ended;
}

/** A Lua script: all of it happens, at once, before anything else; its text is sent only where Redis does not know it. */
export class Script {
  readonly #lua: string;
  readonly #sha: string;

  constructor(lua: string) {
    this.#lua = lua;
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  /** @returns strings as Buffers, which may be views into larger ones */
  async run(
    redis: Redis,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    try {
      return await send(redis, 'EVALSHA', [this.#sha, keys.length, ...keys, ...args]);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return await send(redis, 'EVAL', [this.#lua, keys.length, ...keys, ...args]);
    }
  }
}

/** Not as arguments of a call: a hundred thousand of those overflow the stack. */
async function send(
  redis: Redis,
  command: string,
  args: (string | number | Buffer)[],
): Promise<unknown> {
  return await redis.sendCommand(new Command(command, args, { replyEncoding: null }));
}

/** For Redis: the same bytes, not copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Connection errors to several addresses at once have a code and no message. */
export function reasonOf(error: Error): string {
  const ofTls = tlsReason(error, 'cacert');
  return ofTls || error.message || (error as NodeJS.ErrnoException).code || error.name;
}
