/** The only reader of the environment. What it returns is complete, checked and frozen. */
import { z } from 'zod';
import { TrustedProxies } from './address.js';
import { originProblem, readAllowedOrigins } from './auth/allowed-origins.js';
import type { AuthSettings } from './auth/authenticator.js';
import { isLoopback } from './auth/origin.js';
import { MIN_SECRET } from './auth/secret.js';
import type { Rate } from './bucket.js';
import { DOCUMENT_URL_FORM, isDocumentUrl } from './document-url.js';
import type { Limits } from './limits.js';
import { nearestNames } from './nearest.js';
import { REDIS_FORM, readRedisUrl, shownUrl } from './service-url.js';
import { HOST_FORM, hostOf, unitHint, valueProblem, withoutSpace } from './setting-values.js';
import { isSharedStorageUrl, STORAGE_URL_FORMS, storageUrlProblem } from './storage/open.js';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const PORT = 'a whole number from 0 to 65535';
const HTTP_URL = 'an address that begins with https:// or http:// and has no user or password';
const TOLERANCE = 'seconds from 0 to 600';
const ADMIN = `at least ${MIN_SECRET} characters, none of them a space`;
const MAX_DRAIN = 3_600;
const DRAIN = `seconds from 0 to ${MAX_DRAIN}`;
const SECRET = `at least ${MIN_SECRET} bytes`;
const REDIS_FORMS = 'redis://<host>:<port> or rediss://<host>:<port>';
const ORIGINS = 'origins such as https://app.example, with commas between them, or *';

const host = z
  .string()
  .transform(hostOf)
  .refine((name) => name !== undefined, HOST_FORM);
const httpUrl = z
  .string()
  .refine((url) => /^https?:\/\/./.test(url) && URL.canParse(url) && !hasUser(url), HTTP_URL);
const origins = z
  .string()
  .transform((list) => entriesOf(list))
  .superRefine((list, context) => {
    const problem = list.map(originProblem).find((text) => text !== undefined);
    // Of what is no list of such at all, no entry is to blame.
    if (!list.some((entry) => /[\w*]/.test(entry))) context.addIssue(ORIGINS);
    else if (problem !== undefined) context.addIssue(`${ORIGINS} (${problem})`);
  })
  .transform(readAllowedOrigins);

const PROXIES = 'addresses, nets such as 10.0.0.0/8, or loopback, with commas between them';
const proxies = z
  .string()
  .transform((list) => entriesOf(list))
  .refine(areProxies, PROXIES);
const NUMBER = 'a whole number from 1 on';
const COUNT = z.coerce.number(NUMBER).int(NUMBER).min(1, NUMBER).optional();
const MAX_HANDSHAKE = 600_000;
const HANDSHAKE = `milliseconds from 1 to ${MAX_HANDSHAKE}`;
const MAX_KEEP_ALIVE = 3_600;
const KEEP_ALIVE = `seconds from 1 to ${MAX_KEEP_ALIVE}`;
const LEAST_WORKER_MEMORY = 64;
const WORKER_MEMORY = `a whole number of MB from ${LEAST_WORKER_MEMORY} on`;
const RATE_FORM = 'how many a second, and how many at once, such as 500:2000';
const RATE = z
  .string()
  .transform(rateOf)
  .refine((rate) => rate !== undefined, RATE_FORM)
  .optional();

/** What each bound is called here. */
export const LIMIT_SETTINGS = {
  MAX_MESSAGE_BYTES: 'maxMessageBytes',
  MAX_DOCUMENT_BYTES: 'maxDocumentBytes',
  MAX_UPDATE_RATE: 'updatesPerSession',
  MAX_UPDATE_BYTES_RATE: 'updateBytesPerSession',
  MAX_AWARENESS_RATE: 'awarenessPerSession',
  MAX_STEP1_RATE: 'step1PerSession',
  MAX_AWARENESS_BYTES: 'maxAwarenessBytes',
  MAX_AWARENESS_DEPTH: 'maxAwarenessDepth',
  MAX_AWARENESS_CLIENTS: 'maxAwarenessClients',
  MAX_CONNECTIONS: 'maxConnections',
  MAX_CONNECTIONS_PER_ADDRESS: 'maxConnectionsPerAddress',
  MAX_CONNECTIONS_PER_USER: 'maxConnectionsPerUser',
  MAX_ROOMS_PER_USER: 'maxRoomsPerUser',
  MAX_SESSIONS_PER_ROOM: 'maxSessionsPerRoom',
  MAX_ATTEMPT_RATE: 'attemptsPerAddress',
  MAX_API_REQUESTS: 'maxApiRequests',
  MAX_WATCHERS: 'maxWatchers',
  HANDSHAKE_MS: 'handshakeMs',
} as const satisfies Record<string, keyof Limits>;

function entriesOf(list: string): string[] {
  const entries = list.split(',').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '');
}

function rateOf(text: string): Rate | undefined {
  const match = /^(\d{1,12}):(\d{1,12})$/.exec(text);
  const [perSecond, burst] = [Number(match?.[1]), Number(match?.[2])];
  return perSecond > 0 && burst > 0 ? { perSecond, burst } : undefined;
}

function hasUser(url: string): boolean {
  const { username, password } = new URL(url);
  return username !== '' || password !== '';
}

function areProxies(entries: readonly string[]): boolean {
  try {
    new TrustedProxies(entries);
    return entries.length > 0;
  } catch {
    return false;
  }
}

const schema = z.object({
  PORT: z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT).default(8080),
  HOST: host.default('127.0.0.1'),
  STORAGE_URL: z
    .string()
    .refine((url) => storageUrlProblem(url) === undefined, {
      error: ({ input }) => storageUrlProblem(String(input)) ?? STORAGE_URL_FORMS,
    })
    .optional(),
  ALLOW_NETWORK_FOLDER: z.enum(['on', 'off'], 'on or off').default('off'),
  REDIS_URL: z
    .string()
    .refine((url) => readRedisUrl(url) !== undefined, {
      error: ({ input }) => (/^rediss?:\/\/./.test(String(input)) ? REDIS_FORM : REDIS_FORMS),
    })
    .optional(),
  AUTH: z.enum(['none'], 'none, or left out').optional(),
  AUTH_SECRET: z
    .string()
    .refine((text) => Buffer.byteLength(text) >= MIN_SECRET, SECRET)
    .optional(),
  AUTH_JWKS_URL: httpUrl.optional(),
  AUTH_ISSUER: z.string().optional(),
  AUTH_AUDIENCE: z.string().optional(),
  AUTH_CLOCK_TOLERANCE: z.coerce.number(TOLERANCE).min(0, TOLERANCE).max(600, TOLERANCE).optional(),
  AUTH_URL: httpUrl.optional(),
  ALLOWED_ORIGINS: origins.optional(),
  TRUSTED_PROXIES: proxies.optional(),
  ADMIN_TOKEN: z
    .string()
    .refine((text) => Buffer.byteLength(text) >= MIN_SECRET && /^[\x21-\x7e]+$/.test(text), ADMIN)
    .optional(),
  MAX_MESSAGE_BYTES: COUNT,
  MAX_DOCUMENT_BYTES: COUNT,
  MAX_UPDATE_RATE: RATE,
  MAX_UPDATE_BYTES_RATE: RATE,
  MAX_AWARENESS_RATE: RATE,
  MAX_STEP1_RATE: RATE,
  MAX_AWARENESS_BYTES: COUNT,
  MAX_AWARENESS_DEPTH: COUNT,
  MAX_AWARENESS_CLIENTS: COUNT,
  MAX_CONNECTIONS: COUNT,
  MAX_CONNECTIONS_PER_ADDRESS: COUNT,
  MAX_CONNECTIONS_PER_USER: COUNT,
  MAX_ROOMS_PER_USER: COUNT,
  MAX_SESSIONS_PER_ROOM: COUNT,
  MAX_ATTEMPT_RATE: RATE,
  MAX_API_REQUESTS: COUNT,
  MAX_WATCHERS: COUNT,
  HANDSHAKE_MS: z.coerce
    .number(HANDSHAKE)
    .int(HANDSHAKE)
    .min(1, HANDSHAKE)
    .max(MAX_HANDSHAKE, HANDSHAKE)
    .optional(),
  KEEP_ALIVE_SECONDS: z.coerce
    .number(KEEP_ALIVE)
    .min(1, KEEP_ALIVE)
    .max(MAX_KEEP_ALIVE, KEEP_ALIVE)
    .optional(),
  WORKER_MEMORY_MB: z.coerce
    .number(WORKER_MEMORY)
    .int(WORKER_MEMORY)
    .min(LEAST_WORKER_MEMORY, WORKER_MEMORY)
    .optional(),
  DRAIN_SECONDS: z.coerce.number(DRAIN).min(0, DRAIN).max(MAX_DRAIN, DRAIN).optional(),
  READER_PRESENCE: z.enum(['on', 'off'], 'on or off').default('on'),
  LOG_LEVEL: z.enum(LEVELS, `one of ${LEVELS.join(', ')}`).default('info'),
  LOG_FORMAT: z.enum(['json', 'pretty'], 'json or pretty').optional(),
  METRICS_PORT: z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT).optional(),
  METRICS_HOST: host.optional(),
  STATIC_DIR: z.string().optional(),
  DOCUMENT_URL: z.string().refine(isDocumentUrl, DOCUMENT_URL_FORM).optional(),
});

/** What can be set. */
export type SettingName = keyof typeof schema.shape;

/** How each setting is read. */
export const settingFields = schema.shape;

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly storageUrl: string;
  /** Whether a folder may be on a network file system, or on one without file locks. */
  readonly allowNetworkFolder: boolean;
  /** Where instances meet; undefined for one that is alone. */
  readonly redisUrl: string | undefined;
  /** Undefined: nobody is asked, and only this machine can connect. */
  readonly auth: AuthSettings | undefined;
  readonly allowedOrigins: readonly string[];
  readonly areReadersPresent: boolean;
  readonly trustedProxies: readonly string[];
  /** Those that are set. */
  readonly limits: Partial<Limits>;
  /** Undefined: nobody may do what only an administrator may. */
  readonly adminToken: string | undefined;
  readonly logLevel: (typeof LEVELS)[number];
  /** Undefined: for people on a terminal, else JSON. */
  readonly logFormat: 'json' | 'pretty' | undefined;
  /** Where the metrics are without a token; undefined for nowhere. */
  readonly metrics: { readonly port: number; readonly host?: string } | undefined;
  /** Folder of a built web app to serve at `/`. */
  readonly staticDir: string | undefined;
  /** Where the application shows a document, with `{room}` in it. */
  readonly documentUrl: string | undefined;
}

/** Whose values are told to nobody: a wrong address may hold a password anywhere. */
const SECRETS: ReadonlySet<string> = new Set([
  'AUTH_SECRET',
  'ADMIN_TOKEN',
  'STORAGE_URL',
  'REDIS_URL',
  'AUTH_URL',
  'AUTH_JWKS_URL',
]);

/** A setting has a value that it cannot have. The message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * @param environment an empty value, or one of white space, counts as not set
 * @param willListen false for a command that lets nobody in, wherever a server would
 * @throws {ConfigError}
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  willListen = true,
): Config {
  const set = settingsIn(environment);
  const result = schema.safeParse(set);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const name = String(issue.path[0]);
    if (name.endsWith('_PORT') && isServiceLink(set[name]!)) {
      throw new ConfigError(serviceLinkIn(name, set[name]!));
    }
    const value = set[name]!;
    const shown = `${shownValue(name, value)}${unitHint(name, value)}`;
    throw new ConfigError(`${name} must be ${issue.message}, not ${shown}`);
  }
  const { data } = result;
  if (data.REDIS_URL !== undefined && data.STORAGE_URL !== undefined) {
    const problem = notShared(data.STORAGE_URL);
    if (problem !== undefined) throw new ConfigError(problem);
  }
  const auth = authOf(data);
  if (willListen && auth === undefined && !isLoopback(data.HOST)) {
    throw new ConfigError(
      `HOST=${data.HOST} lets others connect, and nobody would ask them who they are: ` +
        'set AUTH_SECRET, AUTH_JWKS_URL or AUTH_URL, or say AUTH=none',
    );
  }
  return Object.freeze({
    port: data.PORT,
    host: data.HOST,
    // With a Redis alone, documents are kept there too, so that several instances can share them.
    storageUrl: data.STORAGE_URL ?? data.REDIS_URL ?? 'lmdb:./data',
    allowNetworkFolder: data.ALLOW_NETWORK_FOLDER === 'on',
    redisUrl: data.REDIS_URL,
    auth,
    allowedOrigins: data.ALLOWED_ORIGINS ?? [],
    areReadersPresent: data.READER_PRESENCE === 'on',
    trustedProxies: data.TRUSTED_PROXIES ?? [],
    limits: limitsOf(data),
    adminToken: data.ADMIN_TOKEN,
    logLevel: data.LOG_LEVEL,
    logFormat: data.LOG_FORMAT,
    metrics: metricsOf(data),
    staticDir: data.STATIC_DIR,
    documentUrl: data.DOCUMENT_URL,
  });
}

/** @throws {ConfigError} */
function settingsIn(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const set: Record<string, string> = {};
  for (const [name, written = ''] of Object.entries(environment)) {
    const value = name in schema.shape ? withoutSpace(name, written) : undefined;
    if (value === undefined) continue;
    const problem = valueProblem(name, written);
    if (problem !== undefined) throw new ConfigError(problem);
    set[name] = value;
  }
  return set;
}

/**
 * What is near the name of a setting, and has no effect: one line each.
 *
 * @param environment as for {@link readConfig}
 */
export function misspeltSettings(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] {
  const names = Object.keys(schema.shape);
  return Object.entries(environment).flatMap(([name, value = '']) => {
    if (name in schema.shape || isServiceLink(value)) return [];
    const meant = nearestNames(name, names).join(' or ');
    return meant === ''
      ? []
      : [`${name} is not a setting and has no effect: did you mean ${meant}?`];
  });
}

/** `REDIS_PORT=tcp://10.0.0.1:6379`: Kubernetes sets it in every pod for a Service called `redis`. */
function isServiceLink(value: string): boolean {
  return /^(tcp|udp|sctp):\/\/[\d.:a-f[\]]+$/i.test(value);
}

function serviceLinkIn(name: string, value: string): string {
  const service = name.slice(0, -'_PORT'.length).toLowerCase().replaceAll('_', '-');
  return (
    `${name}=${value} is what Kubernetes sets for a Service called ${service}: ` +
    `set enableServiceLinks: false in the pod's spec, or ${name} in the container's env`
  );
}

/** An address may stand in any setting, by mistake. */
function shownValue(name: string, value: string): string {
  return SECRETS.has(name) || /@/.test(value) ? 'what it is' : JSON.stringify(value);
}

function limitsOf(data: z.infer<typeof schema>): Partial<Limits> {
  const settings = Object.entries(LIMIT_SETTINGS) as [keyof typeof LIMIT_SETTINGS, keyof Limits][];
  return {
    ...Object.fromEntries(
      settings.flatMap(([name, limit]) => (data[name] === undefined ? [] : [[limit, data[name]]])),
    ),
    ...(data.DRAIN_SECONDS !== undefined && { drainMs: data.DRAIN_SECONDS * 1_000 }),
    ...(data.KEEP_ALIVE_SECONDS !== undefined && { keepAliveMs: data.KEEP_ALIVE_SECONDS * 1_000 }),
    ...(data.WORKER_MEMORY_MB !== undefined && { workerMemoryMb: data.WORKER_MEMORY_MB }),
  };
}

/** @throws {ConfigError} for a setting that would have no effect */
function metricsOf({ METRICS_PORT, METRICS_HOST }: z.infer<typeof schema>): Config['metrics'] {
  if (METRICS_PORT !== undefined) {
    return { port: METRICS_PORT, ...(METRICS_HOST !== undefined && { host: METRICS_HOST }) };
  }
  if (METRICS_HOST === undefined) return undefined;
  throw new ConfigError('METRICS_HOST is about a port that is not opened: set METRICS_PORT');
}

/** @throws {ConfigError} when two of the settings contradict each other */
function authOf(data: z.infer<typeof schema>): AuthSettings | undefined {
  const { AUTH, AUTH_SECRET, AUTH_JWKS_URL, AUTH_URL } = data;
  const ways = { AUTH, AUTH_URL, 'AUTH_SECRET or AUTH_JWKS_URL': AUTH_SECRET ?? AUTH_JWKS_URL };
  const chosen = Object.entries(ways).filter(([, value]) => value !== undefined);
  if (chosen.length > 1) {
    const names = chosen.map(([name]) => name).join(' and ');
    throw new ConfigError(`${names} are set, and only one of them can hold: leave the others out`);
  }
  const useless = (['AUTH_ISSUER', 'AUTH_AUDIENCE', 'AUTH_CLOCK_TOLERANCE'] as const).find(
    (name) => data[name] !== undefined,
  );
  if (useless !== undefined && AUTH_SECRET === undefined && AUTH_JWKS_URL === undefined) {
    throw new ConfigError(
      `${useless} is about tokens, and nothing is set to verify them with: set AUTH_SECRET or AUTH_JWKS_URL`,
    );
  }
  if (AUTH !== undefined) return AUTH;
  if (AUTH_URL !== undefined) return { url: AUTH_URL };
  if (AUTH_SECRET === undefined && AUTH_JWKS_URL === undefined) return undefined;
  return {
    secret: AUTH_SECRET,
    jwksUrl: AUTH_JWKS_URL,
    issuer: data.AUTH_ISSUER,
    audience: data.AUTH_AUDIENCE,
    clockTolerance: data.AUTH_CLOCK_TOLERANCE,
  };
}

function notShared(storageUrl: string): string | undefined {
  if (isSharedStorageUrl(storageUrl)) return undefined;
  return (
    `REDIS_URL is for instances that share their documents, and STORAGE_URL=${shownUrl(storageUrl)} is for one alone: ` +
    'set STORAGE_URL to postgres://<host>/<database> or redis://<host>:<port>, or leave one of the two out'
  );
}
