/**
 * Until when the body of a request has to have arrived.
 *
 * Node counts from a request's first byte to its last, and cuts off what takes longer: a document
 * of some megabytes that an administrator sends on a slow line never arrives in ten seconds. So
 * Node's own limit is for headers alone, and bodies are looked at here.
 *
 * Invariant: a body of somebody who is not known has as long as the headers have; one of the
 * administrator has as long as bytes of it arrive, and no longer than the largest message may take.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from './clock.js';
import { hasBody } from './upgrade-offers.js';

export interface ArrivalOptions {
  readonly clock: Clock;
  /** Milliseconds for a request, or from one byte of a body to the next. */
  readonly patience: number;
  /** Bytes of a body, at most. */
  readonly maxBytes: number;
  /** Whether the body may take its time. */
  isTrusted(request: IncomingMessage): boolean;
  /** It has not arrived in time. */
  onLate(request: IncomingMessage): void;
}

/** Bytes in a millisecond of the slowest line that is waited for. */
const SLOWEST = 64;

export function watchArrival(request: IncomingMessage, options: ArrivalOptions): void {
  if (!hasBody(request)) return;
  const { clock, patience, maxBytes } = options;
  const { socket } = request;
  const last = clock.now() + (options.isTrusted(request) ? patience + maxBytes / SLOWEST : 0);
  let arrived = socket.bytesRead;
  const looks = clock.every(patience, () => {
    if (request.complete || socket.destroyed) {
      looks.cancel();
      return;
    }
    const isArriving = socket.bytesRead > arrived;
    arrived = socket.bytesRead;
    if (isArriving && clock.now() < last) return;
    looks.cancel();
    options.onLate(request);
  });
}
