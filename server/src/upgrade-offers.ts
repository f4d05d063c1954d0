/**
 * Requests that offer to go on in another protocol.
 *
 * An offer may be ignored (RFC 9110, 7.8), and most who make one do not mind: Java's HttpClient
 * offers h2c with every first request. But Node hands each such request, with its socket, to
 * whoever listens for upgrades, and reads no more of it. So those that are none here are handed
 * back: as they came, but that `Connection` offers nothing any more. Their bodies, and requests
 * that follow on the same socket, are read and answered as ever.
 *
 * From version 25 on Node reads a body before it hands over what follows. There offers with a body
 * are ignored by Node itself. It loses what the client has sent behind the body, so the connection
 * ends with the answer, and the client knows that the rest was not read.
 *
 * Invariant: what is answered on one socket is answered in the order of its requests.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { isRoomPath } from './room-name.js';

const WEBSOCKET = 'websocket';

/** What is not answered yet, of each socket. */
const unanswered = new WeakMap<Duplex, Set<ServerResponse>>();
/** Sockets of which a request was handed back: the server was told of them before. */
const known = new WeakSet<Duplex>();

/** Whether Node reads the body of a request with an offer, in the place of whoever takes it. */
export const READS_BODIES = Number.parseInt(process.versions.node, 10) >= 25;

/** For `createServer`. */
export const UPGRADES = (
  READS_BODIES ? { shouldUpgradeCallback: (request: IncomingMessage) => !hasBody(request) } : {}
) as ServerOptions;

/** Whether a server hears of this socket again, because one of its requests was handed back. */
export function isKnown(socket: Duplex): boolean {
  return known.has(socket);
}

/** Whether a request asks for a WebSocket of a room. Where it offers other protocols as well, it does from now on offer this one alone. */
export function asksForWebSocket(request: IncomingMessage): boolean {
  const { method, url = '', headers } = request;
  if (method !== 'GET' || !isRoomPath(url) || !offersWebSocket(headers.upgrade)) {
    return false;
  }
  headers.upgrade = WEBSOCKET;
  return true;
}

/** @param offered the header `Upgrade`: a list, in which case does not count */
export function offersWebSocket(offered: string | undefined): boolean {
  return offered?.split(',').some((name) => name.trim().toLowerCase() === WEBSOCKET) === true;
}

/**
 * Gives every request with an offer to `accept`, or has it answered as if it had made none.
 *
 * @param accept returns whether it, or somebody else who listens, takes the request and its socket over
 * @returns a function that stops listening
 */
export function listenForUpgrades(
  server: Server,
  accept: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean,
): () => void {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    if (isIgnored(request)) response.setHeader('Connection', 'close');
    const responses = unanswered.get(socket) ?? new Set();
    unanswered.set(socket, responses.add(response));
    response.once('close', () => responses.delete(response));
  };
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const take = () => {
      if (!accept(request, socket, head)) handBack(server, request, socket, head);
    };
    const earlier = [...(unanswered.get(socket) ?? [])];
    if (earlier.length === 0) {
      take();
      return;
    }
    // Until somebody has the socket nobody else would hear of its errors.
    const onError = () => socket.destroy();
    socket.on('error', onError);
    whenAll(earlier, () => {
      // Of one that has just failed, the error is still to be told.
      if (socket.destroyed) return;
      socket.off('error', onError);
      take();
    });
  };
  server.prependListener('request', onRequest);
  server.on('upgrade', onUpgrade);
  return () => void server.off('request', onRequest).off('upgrade', onUpgrade);
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Whether Node itself has ignored its offer. */
function isIgnored(request: IncomingMessage): boolean {
  const { connection, upgrade } = request.headers;
  const isOffer = upgrade !== undefined && optionsOf(connection).includes('upgrade');
  return READS_BODIES && isOffer && hasBody(request);
}

function whenAll(responses: readonly ServerResponse[], call: () => void): void {
  let left = responses.length;
  for (const response of responses) {
    response.once('close', () => {
      if (--left === 0) call();
    });
  }
}

function handBack(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  known.add(socket);
  // What the server has set for the pause between two requests.
  request.socket.setTimeout(0);
  socket.unshift(Buffer.concat([Buffer.from(textOf(request), 'latin1'), head]));
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}

function textOf({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const value =
      name.toLowerCase() === 'connection' ? others(rawHeaders[i + 1]!) : rawHeaders[i + 1];
    if (value !== undefined) lines.push(`${name}: ${value}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** What a header `Connection` says beside that it offers something; undefined for nothing. */
function others(connection: string): string | undefined {
  const rest = optionsOf(connection).filter((option) => option !== 'upgrade');
  return rest.length === 0 ? undefined : rest.join(', ');
}

function optionsOf(connection = ''): string[] {
  const options = connection.split(',').map((option) => option.trim().toLowerCase());
  return options.filter((option) => option !== '');
}
