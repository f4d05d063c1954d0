/**
 * The token that a client brings to the upgrade, from the three places where one may
 * stand: a subprotocol (browsers can set no header, and addresses end up in logs),
 * `Authorization: Bearer`, and `?token=`.
 *
 * Pure. Nothing that is thrown here holds any of a token.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { TOKEN_SUBPROTOCOL } from '@cowrite/client/protocol';
import { AuthRefused } from './identity.js';

/** Bytes of a token; Node takes 16 KB of headers in all. */
export const MAX_TOKEN = 8 * 1024;

/**
 * @param url path and query, as they stand in the request line
 * @returns undefined when there is none
 * @throws {AuthRefused} when there are two that differ, or one that cannot be any
 */
export function readToken(url: string, headers: IncomingHttpHeaders): string | undefined {
  const found = new Set([
    ...fromQuery(url),
    ...fromAuthorization(headers.authorization),
    ...fromSubprotocols(headers['sec-websocket-protocol']),
  ]);
  if (found.size > 1) {
    throw new AuthRefused('unauthenticated', 'two different tokens at once');
  }
  const [token] = found;
  if (token !== undefined) checkToken(token);
  return token;
}

/**
 * What may be looked at, and sent on in a header. What a header cannot hold would come
 * back in the errors of those who try.
 *
 * @throws {AuthRefused}
 */
export function checkToken(token: string): void {
  if (token.length > MAX_TOKEN) {
    throw new AuthRefused('unauthenticated', `the token is longer than ${MAX_TOKEN} bytes`);
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new AuthRefused('unauthenticated', 'the token has characters that no token has');
  }
}

function fromQuery(url: string): readonly string[] {
  const start = url.indexOf('?');
  if (start < 0) return [];
  return new URLSearchParams(url.slice(start + 1)).getAll('token').filter(isThere);
}

function fromAuthorization(header: string | undefined): readonly string[] {
  const match = /^Bearer +(\S+) *$/i.exec(header ?? '');
  return match === null ? [] : [match[1]!];
}

function fromSubprotocols(header: string | undefined): readonly string[] {
  return (header ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name.startsWith(TOKEN_SUBPROTOCOL))
    .map((name) => name.slice(TOKEN_SUBPROTOCOL.length))
    .filter(isThere);
}

/** An empty one comes from a page whose user is not signed in. */
function isThere(token: string): boolean {
  return token !== '';
}
