/**
 * Cowrite on an HTTP server that an application has already: it takes what is meant for rooms, and
 * leaves everything else to the others that listen there.
 *
 * What is taken is passed on to a server of its own that never listens, with the address that it would
 * have had there; so nothing behind it knows the difference.
 *
 * Invariant: a request is answered by one side only, also where the application adds its listener later.
 * An offer of another protocol that nobody takes is answered as if it had not been made.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { movedRoomPath } from './room-name.js';
import { hasBody, listenForUpgrades, offersWebSocket, READS_BODIES } from './upgrade-offers.js';

/** What an application has. */
export type HttpServer = Server | SecureServer;

const DEFAULT_PATH = '/ws';
/** Whole segments, and nothing that a browser would write in another way. */
const PATH = /^(\/[\w.~-]+)+$/;

/**
 * @param server of the application
 * @param own gets what is for rooms
 * @param path where rooms are: `<path>/<room>`
 * @returns a function that leaves the application's server as it was
 * @throws {TypeError} for a path that leads to nothing
 */
export function attach(server: HttpServer, own: Server, path = DEFAULT_PATH): () => void {
  if (!PATH.test(path) || /\/\.\.?(\/|$)/.test(path)) {
    throw new TypeError(
      `path must be such as ${DEFAULT_PATH} or /my/rooms, not ${JSON.stringify(path)}`,
    );
  }
  const http = server as Upgrading;
  let isAttached = true;
  /** Gives it the address that it would have on a server of its own. */
  const take = (request: IncomingMessage): boolean => {
    const url = isAttached ? movedRoomPath(request.url ?? '', path) : undefined;
    if (url !== undefined) request.url = url;
    return url !== undefined;
  };
  const isAlone = () => http.listenerCount('upgrade') === 1;
  const stopListening = listenForUpgrades(http, (request, socket, head) => {
    const { method, headers } = request;
    if (method === 'GET' && offersWebSocket(headers.upgrade) && take(request)) {
      return own.emit('upgrade', request, socket, head);
    }
    return !isAlone();
  });
  const { emit, shouldUpgradeCallback: decide } = http;
  if (READS_BODIES && decide !== undefined) {
    // As UPGRADES says it of a server of our own, where no other listener may want it.
    http.shouldUpgradeCallback = (request) =>
      !(isAlone() && hasBody(request)) && decide.call(http, request);
  }
  // A listener could keep no request from the others.
  const emitOthers = (name: string, ...args: unknown[]): boolean =>
    name === 'request' && take(args[0] as IncomingMessage)
      ? Reflect.apply(own.emit, own, [name, ...args])
      : Reflect.apply(emit, http, [name, ...args]);
  http.emit = emitOthers;
  return () => {
    isAttached = false;
    stopListening();
    if (decide !== undefined) http.shouldUpgradeCallback = decide;
    // Who has wrapped it meanwhile goes on with one that passes everything on.
    if (http.emit === emitOthers) http.emit = emit;
  };
}

/** From version 24.9 on Node asks this before it takes a request for an upgrade. */
interface Upgrading extends Server {
  shouldUpgradeCallback?(request: IncomingMessage): boolean;
}
