/**
 * Which pages may open a socket, and with what. Browsers let any page connect to any server,
 * with that server's cookies, and say only where the page is from; what is no browser says
 * nothing, and is not concerned.
 */
import type { IncomingMessage } from 'node:http';
import { ANY, normalOrigin } from './allowed-origins.js';

/** Schemes of pages that a server sends; those of apps and extensions belong to no host. */
const WEB = /^https?:$/;
/** Ports that a proxy may name, or leave out, for the page of one that goes without saying. */
const DEFAULT_PORTS: readonly string[] = ['80', '443'];

/**
 * What a page may do here:
 *
 * - `named`: it connects, with what the browser adds by itself, such as cookies
 * - `any`: only `*` allows it. It connects with what it was given, and with nothing else of its
 *   visitor: any page may ask any browser to connect, and that must not lend it somebody's cookies
 * - `none`: it does not connect
 */
export type OriginTrust = 'named' | 'any' | 'none';

/**
 * @param origin of the page, as the browser says
 * @param host that the request was sent to. A proxy in front speaks TLS and this server may
 *   not, so schemes are not compared
 * @param allowed besides pages of this host: origins as `readAllowedOrigins` returns them
 */
export function trustIn(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): OriginTrust {
  if (origin === undefined || isOfHost(origin, host)) return 'named';
  if (origin !== ANY && allowed.includes(normalOrigin(origin) ?? origin)) return 'named';
  return allowed.includes(ANY) ? 'any' : 'none';
}

/**
 * Whether a page was fetched over HTTP from this host. "null" is what sandboxed pages and files say:
 * of those, anybody can make one.
 */
export function isOfHost(origin: string, host: string | undefined): boolean {
  // A browser says no more than a scheme, a host and a port.
  const said = normalOrigin(origin);
  if (host === undefined || said === undefined || !URL.canParse(said)) return false;
  const page = new URL(said);
  if (!WEB.test(page.protocol)) return false;
  // The port that goes without saying depends on the page's scheme, not on the proxy's.
  const address = `${page.protocol}//${asText(host)}`;
  if (/[/\\?#@\s]/.test(host) || !URL.canParse(address)) return false;
  const { hostname, port } = new URL(address);
  const isSamePort = port === page.port || (page.port === '' && DEFAULT_PORTS.includes(port));
  return isSamePort && withoutDot(hostname) === withoutDot(page.hostname);
}

/** Node reads headers as Latin-1; a name in Unicode, as somebody has written it for a proxy, is UTF-8. */
function asText(host: string): string {
  return /^[\x20-\x7e]*$/.test(host) ? host : Buffer.from(host, 'latin1').toString('utf8');
}

/** `docs.example.` is `docs.example`, in full. */
function withoutDot(name: string): string {
  return name.replace(/\.$/, '');
}

/** Takes away what a browser adds to a request by itself, whatever page has asked for it. */
export function dropAmbientCredentials({
  headers,
  headersDistinct,
  rawHeaders,
}: IncomingMessage): void {
  const isBearer = /^Bearer /i.test(headers.authorization ?? '');
  for (const name of isBearer ? ['cookie'] : ['cookie', 'authorization']) {
    delete headers[name];
    delete headersDistinct[name];
    for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
      if (rawHeaders[i]!.toLowerCase() === name) rawHeaders.splice(i, 2);
    }
  }
}

/**
 * Whether the request was sent to this machine by a name of its own. A page of another
 * site can make its name point here, and is then of the same origin; where nobody is
 * asked who they are, that must not be enough.
 */
export function isLocalHost(host: string | undefined): boolean {
  return (
    host !== undefined &&
    URL.canParse(`http://${host}`) &&
    isLoopback(new URL(`http://${host}`).hostname)
  );
}

/** @param host a name or an address, of IPv6 with or without brackets, also one of IPv4 in it */
export function isLoopback(host: string): boolean {
  const name = withoutDot(host.replace(/^\[|\]$|^::ffff:(?=[\d.]+$)/gi, '').toLowerCase());
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}
