/**
 * Addresses of the services behind a server: read strictly, and told without what is secret in them.
 *
 * Invariants: an address that two programs could read in two ways is refused, such as one whose
 * password holds an unescaped `/`; and nothing of an address is shown but hosts, ports and the
 * name of the database. Where an address cannot be read, nobody knows which part of it is the
 * password, so nothing of it is shown at all.
 */

export interface HostAndPort {
  /** Without the brackets of an IPv6 address; a folder for a socket of this machine. */
  readonly host: string;
  readonly port: number;
}

export interface ServiceAddress {
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Empty where the address names none. */
  readonly hosts: readonly HostAndPort[];
  /** What follows the host, unescaped. */
  readonly database: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const ESCAPES = 'in user and password %2F for /, %23 for #, %3F for ?, %25 for %, %40 for @';
export const POSTGRES_FORM = `postgres://<user>:<password>@<host>:<port>/<database>, ${ESCAPES}`;
export const REDIS_FORM = `redis://<user>:<password>@<host>:<port>/<number>, ${ESCAPES}; with TLS rediss://, and ?cacert=<file>&cert=<file>&key=<file> as far as they are needed`;
/** Named as redis-cli names them: authorities that are believed, and who this server is. */
const REDIS_PARAMETERS = ['cacert', 'cert', 'key'];

const POSTGRES_PORT = 5432;
const REDIS_PORT = 6379;
const LAST_PORT = 65_535;

/** @returns undefined for what is none, or can be read in another way */
export function readPostgresUrl(url: string): ServiceAddress | undefined {
  return /^\s*postgres(ql)?:\/\//.test(url) ? readUrl(url, POSTGRES_PORT) : undefined;
}

/** @returns undefined for what is none, or can be read in another way */
export function readRedisUrl(url: string): ServiceAddress | undefined {
  if (!/^\s*rediss?:\/\//.test(url)) return undefined;
  const address = readUrl(url, REDIS_PORT);
  const isRedis = address?.hosts.length === 1 && /^\d*$/.test(address.database);
  return isRedis && areRedisParameters(url, address.parameters) ? address : undefined;
}

function areRedisParameters(url: string, parameters: ServiceAddress['parameters']): boolean {
  if (parameters.size === 0) return true;
  const areFiles = [...parameters].every(
    ([name, file]) => REDIS_PARAMETERS.includes(name) && file !== '',
  );
  const areBoth = parameters.has('cert') === parameters.has('key');
  return /^\s*rediss:/.test(url) && areFiles && areBoth;
}

/** The address of a store or another service, as it may be told: its kind, hosts, ports and database. */
export function shownUrl(url: string): string {
  const [, kind = '', rest = ''] = /^([a-z]+):(.*)$/s.exec(url) ?? [];
  if (kind === 'lmdb') return `lmdb:${rest.slice(rest.lastIndexOf('@') + 1)}`;
  if (kind === 'memory') return 'memory:';
  if ((kind === 'http' || kind === 'https') && URL.canParse(url)) return new URL(url).origin;
  const address = readPostgresUrl(url) ?? readRedisUrl(url);
  if (address === undefined) return UNREADABLE;
  const hosts = address.hosts.map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  return `${kind}://${hosts.join(',')}${address.database && `/${address.database}`}`;
}

/** Text that somebody typed, which may be an address by mistake. */
export function shownText(text: string): string {
  return /@|:\/\//.test(text) ? shownUrl(text) : text;
}

const UNREADABLE = '(an address that is not shown)';

function readUrl(url: string, defaultPort: number): ServiceAddress | undefined {
  // An @ behind the hosts is a password's, which holds a / or ? before it. A file with a secret ends with a line feed.
  const parts = /^\w+:\/\/([^/?#]*)(?:\/([^/?#@]*))?(?:\?([^#@]*))?$/.exec(url.trim());
  if (parts === null) return undefined;
  const [, authority = '', path = '', query = ''] = parts;
  const at = authority.lastIndexOf('@');
  const [user, ...password] = at < 0 ? [] : authority.slice(0, at).split(':');
  try {
    const names = authority.slice(at + 1);
    const hosts = names === '' ? [] : names.split(',').map((name) => readHost(name, defaultPort));
    const parameters = query === '' ? [] : query.split('&').map(readParameter);
    return {
      user: user && decodeURIComponent(user),
      password: password.length > 0 ? decodeURIComponent(password.join(':')) : undefined,
      hosts,
      database: decodeURIComponent(path),
      parameters: new Map(parameters),
    };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** @throws {URIError} */
function readHost(text: string, defaultPort: number): HostAndPort {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(parts?.[3] ?? defaultPort);
  if (parts === null || port < 1 || port > LAST_PORT) throw new URIError('no host and port');
  return { host: parts[1] ?? decodeURIComponent(parts[2]!), port };
}

/** @throws {URIError} */
function readParameter(text: string): [name: string, value: string] {
  const parts = /^([A-Za-z_][\w.]*)=(.*)$/.exec(text);
  if (parts === null) throw new URIError('no parameter');
  return [parts[1]!, decodeURIComponent(parts[2]!.replaceAll('+', ' '))];
}
