/**
 * The token that a client brings to the upgrade, from the places where one may stand: a
 * subprotocol (browsers can set no header, and addresses end up in logs), as it is or in
 * base64url; `Authorization: Bearer`; and `?token=`.
 *
 * Pure. Nothing that is thrown here holds any of a token.
 */
import type { IncomingHttpHeaders } from 'node:http';
import {
  ENCODED_TOKEN_SUBPROTOCOL,
  TOKEN_SUBPROTOCOL,
  tokenProblem,
} from '@cowrite/client/protocol';
import { AuthRefused } from './identity.js';

/**
 * Bytes of the headers of a request: a token of the longest kind in base64url takes 22 KB of them,
 * and the cookies of the page and what proxies add have to fit beside it.
 */
export const MAX_HEADER_BYTES = 64 * 1024;
/** For those who send more, and for the log. */
export const HEADERS_TOO_LONG = `the headers are longer than ${MAX_HEADER_BYTES} bytes: cookies, token and address together`;

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
  const problem = token === '' ? 'the token is empty' : tokenProblem(token);
  if (problem !== undefined) throw new AuthRefused('unauthenticated', problem);
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
  const names = (header ?? '').split(',').map((name) => name.trim());
  return names.flatMap(fromSubprotocol).filter(isThere);
}

function fromSubprotocol(name: string): readonly string[] {
  if (name.startsWith(TOKEN_SUBPROTOCOL)) return [name.slice(TOKEN_SUBPROTOCOL.length)];
  if (!name.startsWith(ENCODED_TOKEN_SUBPROTOCOL)) return [];
  const encoded = name.slice(ENCODED_TOKEN_SUBPROTOCOL.length);
  const bytes = Buffer.from(encoded, 'base64url');
  // Node reads what it can of anything.
  if (bytes.toString('base64url') !== encoded) {
    throw new AuthRefused('unauthenticated', 'the token in the subprotocol is not base64url');
  }
  return [bytes.toString('latin1')];
}

/** An empty one comes from a page whose user is not signed in. */
function isThere(token: string): boolean {
  return token !== '';
}
