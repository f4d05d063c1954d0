/**
 * Connections to Redis, as storage, relay and presence use them.
 *
 * Invariants: no call hangs. While the connection is away calls reject at once;
 * when it breaks, or Redis stops answering, those in flight reject as well, and
 * whether they were carried out is not known. Nothing is sent twice by itself.
 * The connection is made again in the background, for ever.
 *
 * Every key and channel begins with a prefix of the deployment's own. Redis
 * Cluster and Sentinel are not supported.
 */
import { createHash } from 'node:crypto';
import { Command, Redis } from 'ioredis';
import { systemClock } from './clock.js';
import { REDIS_FORM, readRedisUrl, shownUrl } from './service-url.js';

export interface RedisOptions {
  /** Begins every key and channel: letters, digits, `-` and `_`, then a colon. */
  readonly prefix?: string;
  /** Milliseconds that an answer or a connection may take. */
  readonly timeout?: number;
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
 * @param url `redis://` or `rediss://`, `user:password@` where it needs one, host, port, `/<database>`
 * @param purpose what it is for: its name in Redis's list of clients and in warnings
 */
export function connectRedis(url: string, purpose: string, options: RedisOptions): Redis {
  const { timeout = DEFAULT_TIMEOUT_MS, onWarning = () => undefined } = options;
  // Told without the address: it may hold a password.
  if (readRedisUrl(url) === undefined) throw new TypeError(`Redis's address is ${REDIS_FORM}`);
  const redis = new Redis(url, {
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
    // It was demoted: the address may lead to its successor by now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });

  // One line an outage, however many attempts it takes.
  let awaySince: number | undefined;
  const away = (reason: string) => {
    if (awaySince !== undefined) return;
    awaySince = systemClock.now();
    onWarning(`Redis at ${shownUrl(url)} (${purpose}) is away: ${reason}; trying until it is back`);
  };
  redis.on('error', (error: Error) => away(reasonOf(error)));
  redis.on('close', () => {
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

/** Resolves once the connection is gone. What is in flight on it rejects. */
export async function endConnection(redis: Redis): Promise<void> {
  isClosing.add(redis);
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
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
