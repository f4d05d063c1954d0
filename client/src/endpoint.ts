/**
 * From what an application passes to the address that a socket opens.
 *
 * Pure but for the page's own address. Whatever no socket could open is refused
 * here, when the provider is made, and not by a socket that fails later.
 */

import {
  ENCODED_TOKEN_SUBPROTOCOL,
  isTokenSubprotocol,
  TOKEN_SUBPROTOCOL,
  tokenProblem,
} from './protocol/index.js';

/** An address's query. */
export type Params = Readonly<Record<string, string>>;

/** What RFC 6455 allows as the name of a subprotocol. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * @param url absolute with ws, wss, http or https; or, in a browser, a path that starts with `/`.
 * @returns an absolute ws or wss address without a slash at its end.
 * @throws {TypeError} when it is neither.
 */
export function resolveUrl(url: string): string {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  let href: string;
  try {
    href = new URL(url, url.startsWith('/') ? page : undefined).href;
  } catch (cause) {
    throw new TypeError(`"${url}" is not an absolute url such as ws://host/ws`, { cause });
  }
  // Not by the parts of a URL: in React Native before 0.80 each of them throws.
  const [, secure, place, rest] = /^(?:ws|http)(s?:\/\/[^/?#]+)([^?#]*)(.*)/.exec(href) ?? [];
  if (secure === undefined || place === undefined) {
    throw new TypeError(`"${url}" is of none of the schemes ws, wss, http, https`);
  }
  if (rest !== '') {
    throw new TypeError(`"${url}" may have neither a query (pass params) nor a fragment`);
  }
  return `ws${secure}${place.replace(/\/+$/, '')}`;
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

/**
 * How a token is offered: browsers can set no header, and addresses end up in logs. Without one, not at all.
 *
 * @throws {TypeError} when it can be no token
 */
export function tokenProtocols(token: string): readonly string[] {
  const problem = tokenProblem(token);
  if (problem !== undefined) throw new TypeError(problem);
  if (token === '') return [];
  // Base64 and the like have characters that no subprotocol can have: `=`, `/`, `:`.
  return [
    NAME.test(token) ? TOKEN_SUBPROTOCOL + token : ENCODED_TOKEN_SUBPROTOCOL + base64url(token),
  ];
}

function base64url(token: string): string {
  return btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @throws {TypeError} when one of them cannot be sent. */
export function checkProtocols(protocols: readonly string[]): void {
  for (const protocol of protocols) {
    if (!NAME.test(protocol)) {
      // A token is told to nobody, also not to those who read the errors of a page.
      const what = isTokenSubprotocol(protocol) ? 'the token' : `"${protocol}"`;
      throw new TypeError(`${what} has a character that no subprotocol can have`);
    }
  }
  if (new Set(protocols).size < protocols.length) {
    throw new TypeError('a subprotocol is listed twice');
  }
}

/** @param url as {@link resolveUrl} returns it. */
export function roomAddress(url: string, room: string, params: Params): string {
  // URLSearchParams of React Native encodes nothing.
  const query = Object.entries(params)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&');
  return `${url}/${encodeURIComponent(room)}${query === '' ? '' : `?${query}`}`;
}
