/**
 * Whose a socket is, and which host it was sent to: the address that it comes from and its `Host`,
 * or, where that is a proxy's that is trusted, what the proxy says of both.
 *
 * Pure. `X-Forwarded-For` is written by everybody on the way, and begins with whatever the
 * client wrote there: it is read from its end, as far as those who wrote it are trusted.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Which addresses are proxies that are trusted: addresses and nets such as `10.0.0.0/8`, or `loopback`. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @throws {TypeError} when one of them is none of these */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      if (entry === 'loopback') {
        this.#list.addSubnet('127.0.0.0', 8, 'ipv4');
        this.#list.addAddress('::1', 'ipv6');
      } else {
        this.#add(entry);
      }
    }
  }

  #add(entry: string): void {
    const [address = '', length, ...rest] = entry.split('/');
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
    if (family === 0 || rest.length > 0 || prefix < 0 || prefix > bits) {
      throw new TypeError(`${JSON.stringify(entry)} is neither an address nor a net`);
    }
    this.#list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }

  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/**
 * @param remote of the socket
 * @param forwarded the header `X-Forwarded-For`
 */
export function clientAddress(
  remote: string | undefined,
  forwarded: string | readonly string[] | undefined,
  trusted: TrustedProxies,
): string {
  let address = plain(remote ?? '');
  const hops = [forwarded ?? []]
    .flat()
    .join(',')
    .split(',')
    .map((hop) => plain(hop.trim()));
  while (trusted.has(address)) {
    const hop = hops.pop();
    // Beyond what can be read nobody is to be believed.
    if (hop === undefined || isIP(hop) === 0) break;
    address = hop;
  }
  return address;
}

/**
 * The host that the client named, before a proxy changed it.
 *
 * @param remote of the socket
 */
export function requestedHost(
  remote: string | undefined,
  headers: IncomingHttpHeaders,
  trusted: TrustedProxies,
): string | undefined {
  if (!trusted.has(plain(remote ?? ''))) return headers.host;
  return forwardedHost(headers) ?? headers.host;
}

/** What a proxy, if it is one, says of the host. Of several it was the first that the client named. */
export function forwardedHost(headers: IncomingHttpHeaders): string | undefined {
  const said = [headers['x-forwarded-host'] ?? []].flat().join(',').split(',')[0]!.trim();
  return said === '' ? undefined : said;
}

/** One address is one, also where it is written as IPv6, in brackets, or with a port. */
export function plain(address: string): string {
  const bare = /^\[(.*)\](?::\d+)?$/.exec(address)?.[1] ?? address.replace(/^([\d.]+):\d+$/, '$1');
  return bare.replace(/^::ffff:(?=[\d.]+$)/i, '');
}

/** Who has one address of IPv6 has a whole net of them: the first 64 bits are whose it is. */
export function ownerOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = address.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::') ? Math.max(0, 8 - left.length - right.length) : 0;
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
