/**
 * From what an application passes to the address that a socket opens.
 *
 * Pure but for the page's own address. Whatever no socket could open is refused
 * here, when the provider is made, and not by a socket that fails later.
 */

import { TOKEN_SUBPROTOCOL } from './protocol/index.js';

/** An address's query. */
export type Params = Readonly<Record<string, string>>;

/** What RFC 6455 allows as the name of a subprotocol. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * @param url absolute with ws, wss, http or https; or, in a browser, a path that starts with `/`.
 * @returns an absolute ws or wss address without a slash at its end.
 * @throws {TypeError} when it is neither.
 */
export function resolveUrl(url: string): string {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  let resolved: URL;
  try {
    resolved = new URL(url, url.startsWith('/') ? page : undefined);
  } catch (cause) {
    throw new TypeError(`"${url}" is not an absolute url such as ws://host/ws`, { cause });
  }
  const { protocol, href, pathname, search, hash } = resolved;
  if (!/^(ws|http)s?:$/.test(protocol)) {
    throw new TypeError(`"${url}" is of none of the schemes ws, wss, http, https`);
  }
  if (search + hash !== '') {
    throw new TypeError(`"${url}" may have neither a query (pass params) nor a fragment`);
  }
  const origin = href.slice(protocol.length, -pathname.length);
  return protocol.replace('http', 'ws') + origin + pathname.replace(/\/+$/, '');
}

/** @throws {TypeError} when no address can name this room. */
export function checkRoom(room: string): void {
  if (/^\.\.?$/.test(room)) {
    throw new TypeError(`a room cannot be named "${room}": in an address that is a step`);
  }
  let encoded: string;
  try {
    encoded = encodeURIComponent(room);
  } catch (cause) {
    throw new TypeError('the name of the room is not well-formed Unicode', { cause });
  }
  // A bundler leaves out what it takes for of no use, and what that would have thrown.
  if (encoded === '') throw new TypeError('a room needs a name');
}

/** How a token is offered: browsers can set no header, and addresses end up in logs. Without one, not at all. */
export function tokenProtocols(token: string): readonly string[] {
  return token === '' ? [] : [TOKEN_SUBPROTOCOL + token];
}

/** @throws {TypeError} when one of them cannot be sent. */
export function checkProtocols(protocols: readonly string[]): void {
  for (const protocol of protocols) {
    if (!TOKEN.test(protocol)) {
      // A token is told to nobody, also not to whoever reads the errors of a page.
      const what = protocol.startsWith(TOKEN_SUBPROTOCOL) ? 'the token' : `"${protocol}"`;
      throw new TypeError(`${what} has a character that no subprotocol can have`);
    }
  }
  if (new Set(protocols).size < protocols.length) {
    throw new TypeError('a subprotocol is listed twice');
  }
}

/** @param url as {@link resolveUrl} returns it. */
export function roomAddress(url: string, room: string, params: Params): string {
  const query = new URLSearchParams(params).toString();
  return `${url}/${encodeURIComponent(room)}${query === '' ? '' : `?${query}`}`;
}
