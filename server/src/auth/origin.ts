/**
 * Which pages may open a socket. Browsers let any page connect to any server and say
 * only where the page is from; what is no browser says nothing, and is not concerned.
 */

const ANY = '*';

/**
 * @param origin of the page, as the browser says
 * @param host that the request was sent to. A proxy in front speaks TLS and this server may
 *   not, so schemes are not compared
 * @param allowed besides pages of this host: origins such as `https://app.example`, or `*`
 */
export function mayConnect(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes(ANY) || allowed.includes(origin)) return true;
  // "null" is what sandboxed pages and files say: of those, anybody can make one.
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
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

/** @param host a name or an address, of IPv6 with or without brackets */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}
