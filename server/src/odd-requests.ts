/**
 * What the log says of a request that something on the way has changed so that it can be none for a
 * room: what was seen, and what to set there.
 *
 * Pure. Whatever was sent is cut, and shown as text; a query, which may hold a token, is not shown.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Rejection } from './rejection-log.js';
import { isRoomPath } from './room-name.js';
import { shownName } from './shown.js';

export type Oddity = Pick<Rejection, 'status' | 'reason' | 'explanation'>;

const MAX_SHOWN = 200;
const NONE = '(none)';

/** Whether a client wants a WebSocket: what says so to its peer alone may not have arrived. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers['sec-websocket-key'] !== undefined;
}

/** Of a room, and asked for over plain HTTP: undefined where no WebSocket was meant. */
export function lostUpgrade(request: IncomingMessage): Oddity | undefined {
  if (!isHandshake(request)) return undefined;
  const { connection, upgrade } = request.headers;
  return {
    status: 426,
    reason: 'a WebSocket was asked for, and the headers that open one did not arrive',
    explanation: {
      upgrade: shown(upgrade),
      connection: shown(connection),
      protocol: `HTTP/${request.httpVersion}`,
      hint: 'have the proxy in front pass WebSockets on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;)',
    },
  };
}

/** A request to become a WebSocket that something on the way has taken a header from: it is answered 400. */
export function brokenHandshake({ headers }: IncomingMessage): Oddity | undefined {
  const missing = ['Sec-WebSocket-Key', 'Sec-WebSocket-Version'].filter(
    (name) => headers[name.toLowerCase()] === undefined,
  );
  if (missing.length === 0) return undefined;
  return {
    status: 400,
    reason: `a WebSocket was asked for without ${missing.join(' and ')}`,
    explanation: { hint: 'have the proxy in front pass on what begins with Sec-WebSocket-' },
  };
}

/** A WebSocket at a path where no room is. */
export function strayHandshake(request: IncomingMessage): Oddity | undefined {
  const [path = ''] = (request.url ?? '').split('?', 1);
  if (!isHandshake(request) || isRoomPath(path)) return undefined;
  const rooms = path.indexOf('/ws/');
  return {
    status: 404,
    reason: 'rooms are at /ws/<room>',
    explanation: {
      path: shown(path),
      hint:
        rooms < 0
          ? 'have the url that the client is given end with /ws, and the proxy in front pass that on'
          : `have the proxy in front take ${shown(path.slice(0, rooms))} away, or leave it out of the url that the client is given (docs/operations/sub-path.md)`,
    },
  };
}

/** What else than HTTP/1 begins in this way. */
const PROTOCOLS: readonly (readonly [start: Buffer, name: string, hint: string])[] = [
  [
    Buffer.from('PROXY '),
    'the PROXY protocol',
    'have the proxy send HTTP alone (HAProxy: no send-proxy), and the address of the client in X-Forwarded-For',
  ],
  [
    Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
    'the PROXY protocol',
    'have the proxy send HTTP alone (HAProxy: no send-proxy-v2), and the address of the client in X-Forwarded-For',
  ],
  [
    Buffer.of(0x16, 0x03),
    'TLS',
    'TLS ends in the proxy in front: have it, or who connects without one, use http:// and ws:// to this port',
  ],
  [Buffer.from('PRI * HTTP/2.0'), 'HTTP/2', 'have the proxy in front use HTTP/1.1 to this port'],
];

/** @param packet what could not be read as a request */
export function otherProtocol(packet: Buffer | undefined): Oddity | undefined {
  const known = PROTOCOLS.find(([start]) => packet?.subarray(0, start.length).equals(start));
  if (known === undefined) return undefined;
  const [, name, hint] = known;
  return { status: 400, reason: `${name} arrived where HTTP/1.1 is spoken`, explanation: { hint } };
}

/** Why there may be no token: in a browser it is in a header that a proxy has to pass on. */
export function lostToken(headers: IncomingHttpHeaders): Rejection['explanation'] {
  if (headers['sec-websocket-protocol'] !== undefined) return undefined;
  return {
    hint: 'it has no Sec-WebSocket-Protocol either, in which CowriteProvider sends the token: if it was one, have the proxy in front pass that header on',
  };
}

function shown(text: string | undefined): string {
  return text === undefined ? NONE : shownName(text.slice(0, MAX_SHOWN));
}
