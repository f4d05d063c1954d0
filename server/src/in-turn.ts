/**
 * Requests that a client sends on one connection without waiting for answers (pipelining) are answered
 * one after the other. Node begins all of them at once and keeps what it cannot send yet: with 24 KB of
 * requests, and nothing read, somebody would have a thousand files in memory.
 *
 * Invariant: of each connection one request is being answered, and a bounded number waits.
 */
import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Browsers and proxies send no request behind another one; some programs send a few. */
const MOST_WAITING = 100;

export function inTurn(answer: RequestListener): RequestListener {
  /** Of each connection that is being answered, what waits for that. */
  const waiting = new WeakMap<Socket, (() => void)[]>();
  const begin = (socket: Socket, response: ServerResponse, handle: () => void): void => {
    response.once('close', () => {
      const [next, ...others] = waiting.get(socket) ?? [];
      if (next === undefined || socket.destroyed) waiting.delete(socket);
      else {
        waiting.set(socket, others);
        next();
      }
    });
    handle();
  };
  return (request, response) => {
    const { socket } = request;
    const handle = () => answer(request, response);
    // Of HTTP/2, as an application may hand it over, each has a stream of its own.
    if (request.httpVersionMajor > 1) return handle();
    const others = waiting.get(socket);
    if (others === undefined) {
      waiting.set(socket, []);
      begin(socket, response, handle);
    } else if (others.length < MOST_WAITING) {
      others.push(() => begin(socket, response, handle));
    } else socket.destroy();
  };
}
