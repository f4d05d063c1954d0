/**
 * What can be set, as people are told of it: by `cowrite serve --help` and in
 * docs/operations/settings.md. What values a setting may have, and what it is without one, comes
 * from the schema that reads it; what it is for is said here, of each.
 */
import { LIMIT_SETTINGS, type SettingName, settingFields } from './config.js';
import { DEFAULT_LIMITS } from './limits.js';

/** A setting that has none of these does not compile. */
const ABOUT: Readonly<Record<SettingName, string>> = {
  PORT: 'where it listens; 0 takes a free one',
  HOST: 'where it listens; any but this machine needs one of AUTH_SECRET, AUTH_JWKS_URL, AUTH_URL, AUTH',
  STORAGE_URL: 'where documents are kept; left out, it is REDIS_URL where that is set',
  ALLOW_NETWORK_FOLDER:
    'whether an lmdb folder may be on a network file system, or on one without file locks, where what was saved can be lost',
  REDIS_URL: 'where several servers meet',
  AUTH: 'everybody who can reach the server may do everything',
  AUTH_SECRET: 'tokens are signed with this, HS256',
  AUTH_JWKS_URL: 'tokens are signed with one of the keys there: RS256, ES256, EdDSA',
  AUTH_ISSUER: 'what iss of a token has to be',
  AUTH_AUDIENCE: 'what aud of a token has to be',
  AUTH_CLOCK_TOLERANCE: 'seconds by which clocks may differ',
  AUTH_URL: 'your application is asked there who may come in, instead of tokens',
  ALLOWED_ORIGINS:
    'pages that may connect besides those of this host; with *, all others without their cookies',
  TRUSTED_PROXIES: 'proxies whose X-Forwarded-For and X-Forwarded-Host are believed',
  ADMIN_TOKEN: 'opens /admin, /api and /metrics to whoever brings it',
  MAX_MESSAGE_BYTES: 'of one message; a larger one closes the socket with 1009',
  MAX_DOCUMENT_BYTES: 'of one document; what would make it larger is rejected, except deletions',
  MAX_UPDATE_RATE: 'edits of a session; more are read later',
  MAX_UPDATE_BYTES_RATE: 'bytes of edits of a session; more are read later',
  MAX_AWARENESS_RATE: 'other messages of a session; more are read later',
  MAX_STEP1_RATE: 'questions of a session for the whole document; more are answered later',
  MAX_AWARENESS_BYTES: 'of one awareness state; a larger one is dropped',
  MAX_AWARENESS_DEPTH: 'levels of one awareness state; a deeper one is dropped',
  MAX_AWARENESS_CLIENTS: 'client ids of a session; more are not shown',
  MAX_CONNECTIONS: 'sockets in all; more are refused with 503',
  MAX_CONNECTIONS_PER_ADDRESS: 'more are refused with 429; this machine is not counted',
  MAX_CONNECTIONS_PER_USER: 'more are refused with 429',
  MAX_ROOMS_PER_USER: 'that are open at once; more are refused with 429',
  MAX_SESSIONS_PER_ROOM: 'more are refused with 503',
  MAX_ATTEMPT_RATE: 'attempts of an address to connect; more are refused with 429',
  MAX_API_REQUESTS: 'requests to /api that are answered at once; more are refused with 503',
  MAX_WATCHERS: 'those who watch rooms by server-sent events; more are refused with 503',
  HANDSHAKE_MS: 'for a request to arrive, and for a decision about it',
  KEEP_ALIVE_SECONDS:
    'for which a connection is kept for another request; longer than a proxy in front keeps its own, which answers 502 now and then otherwise',
  WORKER_MEMORY_MB:
    'that workers may take to merge documents; left out, four fifths of the memory limit beyond 256 MB, or half of the machine',
  DRAIN_SECONDS: 'that SIGTERM may take to let everybody go; 0: at once',
  READER_PRESENCE: 'whether those who may only read are shown to others',
  LOG_LEVEL: 'of the lines on stderr',
  LOG_FORMAT: 'of those lines; left out on a terminal, it is pretty',
  METRICS_PORT: 'where the metrics are without a token; left out, nowhere',
  METRICS_HOST: 'where that port is; whoever reaches it can read the metrics',
  STATIC_DIR:
    'a folder of a built web app to serve at /; left out, 404 there. npm start sets the demo',
  DOCUMENT_URL: 'where your application shows a document: the page at /admin links to it',
};

/** What those are that the schema leaves open, because it depends, or is their user's to say. */
const LEFT_OUT: Partial<Record<SettingName, string>> = {
  STORAGE_URL: 'lmdb:./data',
  AUTH_CLOCK_TOLERANCE: '30',
  KEEP_ALIVE_SECONDS: String(DEFAULT_LIMITS.keepAliveMs / 1_000),
  DRAIN_SECONDS: String(DEFAULT_LIMITS.drainMs / 1_000),
  LOG_FORMAT: 'json',
  METRICS_HOST: '127.0.0.1',
};

/** What is told of one setting. */
export interface Setting {
  readonly name: SettingName;
  readonly about: string;
  /** What it may be. */
  readonly values: string;
  /** What it is when it is left out, but for where `about` says otherwise; empty for nothing. */
  readonly default: string;
}

/** All of them, in the order of the schema. */
export function settings(): readonly Setting[] {
  return (Object.entries(settingFields) as [SettingName, Field][]).map(([name, field]) => ({
    name,
    about: ABOUT[name],
    values: valuesOf(field),
    default: defaultOf(name, field),
  }));
}

/** As a table in Markdown. */
export function settingsPage(): string {
  const rows = settings().map(
    ({ name, about, values, default: value }) =>
      `| \`${name}\` | ${value && `\`${value}\``} | ${escaped(about)} | ${escaped(values)} |`,
  );
  return [
    '# Settings',
    '',
    'In the environment. White space around a value does not count, except that it is refused around `AUTH_SECRET`; quotes around a value are refused. Made from the schema that reads them, by `npm run docs`; `cowrite serve --help` shows the same.',
    '',
    '| setting | default | what it is | may be |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/** As text for a terminal. */
export function settingsText(): string {
  const all = settings();
  const width = Math.max(...all.map(({ name }) => name.length));
  return all
    .map(({ name, about, values, default: value }) => {
      const indent = ' '.repeat(width + 4);
      const may = values === ANY ? '' : `\n${indent}${values}`;
      return `  ${name.padEnd(width)}  ${about}${value && ` (${value})`}${may}`;
    })
    .join('\n');
}

const ANY = 'any text';

type Field = (typeof settingFields)[SettingName];

/** What it says of a value that no setting can have is what it may be. */
function valuesOf(field: Field): string {
  const { success, error } = field.safeParse('\0');
  return success ? ANY : (error.issues[0]?.message ?? ANY);
}

function defaultOf(name: SettingName, field: Field): string {
  const limit = name in LIMIT_SETTINGS ? LIMIT_SETTINGS[name as keyof typeof LIMIT_SETTINGS] : null;
  const value: unknown = limit === null ? field.safeParse(undefined).data : DEFAULT_LIMITS[limit];
  if (value === undefined) return LEFT_OUT[name] ?? '';
  if (typeof value !== 'object') return String(value);
  const { perSecond, burst } = value as { perSecond: number; burst: number };
  return `${perSecond}:${burst}`;
}

const escaped = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
