/**
 * How a server ends, in the right order: no new sockets, in a drain the clients led elsewhere,
 * everything on disk, "saved" said, sockets closed, everything else let go, store closed.
 */
import type { Server } from 'node:http';
import type { Logger } from 'pino';
import type { Api } from './api/api.js';
import type { Clock } from './clock.js';
import { depart, until } from './drain.js';
import type { Instances } from './instances.js';
import type { Limits } from './limits.js';
import type { Log, UnsavedRoom } from './log.js';
import type { Session } from './session.js';
import type { Storage } from './storage/storage.js';
import type { Transport } from './transport.js';
import { within } from './within.js';

/** The store did not take everything in time. What was not saved was never reported saved, and clients still have it. */
export class NotSaved extends Error {
  override readonly name = 'NotSaved';
  /** What is missing in the store. */
  readonly rooms: readonly UnsavedRoom[];

  constructor(rooms: readonly UnsavedRoom[]) {
    const updates = rooms.reduce((sum, room) => sum + room.updates, 0);
    super(`the store did not take the last ${updates} updates of ${rooms.length} rooms`);
    this.rooms = rooms;
  }
}

/** Milliseconds that a peer may take to close its side: where there is no other instance, everybody waits for it. */
const GOODBYE_MS = { alone: 500, shared: 2_000 };
/** The part of a drain's time that is kept for saving. */
const SAVING_PART = 1 / 10;
/** Rooms that the log names when they could not be saved. */
const MAX_LISTED = 1_000;
/** Milliseconds for a store to close that has not taken everything. */
const STUCK_MS = 500;
/** Milliseconds in which requests that are under way get their answers. */
const ANSWERS_MS = 1_000;
export interface EndingOptions {
  readonly transport: Pick<Transport, 'stopAccepting' | 'stopReading' | 'close'>;
  /** Those that are here now. */
  readonly sessions: () => readonly Session[];
  readonly http: Server;
  /** Undefined where there is no administrator. */
  readonly api: Pick<Api, 'close'> | undefined;
  readonly log: Pick<Log, 'flush' | 'unsaved'>;
  /** Undefined where there are no others. */
  readonly instances: Pick<Instances, 'leave' | 'isOtherOpen' | 'areMoving'> | undefined;
  /** Everything that sockets needed, and the store does not. */
  readonly letGo: () => Promise<void>;
  readonly storage: Pick<Storage, 'close'>;
  readonly limits: Pick<Limits, 'drainMs' | 'closeMs'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export class Ending {
  readonly #options: EndingOptions;
  #closing: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  #ended: (how: Promise<void>) => void = () => undefined;
  /** Settles as the end does, whoever asked for it. */
  readonly whenClosed = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });

  constructor(options: EndingOptions) {
    this.#options = options;
    // Whoever asked for the end is told how it was.
    this.whenClosed.catch(() => undefined);
  }

  get isBegun(): boolean {
    return (this.#draining ?? this.#closing) !== undefined;
  }

  /** Again: the same promise. @throws {NotSaved} */
  close(): Promise<void> {
    return this.#close(this.#options.limits.closeMs);
  }

  /** Again: the same promise. A `close` meanwhile ends it. @throws {NotSaved} */
  drain(): Promise<void> {
    this.#draining ??= held(this.#drain());
    return this.#draining;
  }

  /** Ends at once, since nothing can be saved any more; clients keep what was not. */
  fail(cause: Error): void {
    if (this.#closing !== undefined) return;
    const { logger } = this.#options;
    logger.fatal({ err: cause }, 'the store is lost: the server ends');
    const ended = this.#end(0).then(
      () => Promise.reject(cause),
      (err: unknown) => {
        logger.error({ err }, 'the server did not end well');
        throw cause;
      },
    );
    this.#closing = held(ended);
    this.#ended(this.#closing);
  }

  /** @param patience milliseconds for the store to take everything */
  #close(patience: number): Promise<void> {
    this.#closing ??= held(this.#end(patience));
    this.#ended(this.#closing);
    return this.#closing;
  }

  async #end(patience: number): Promise<void> {
    const { transport, http, api, log, instances, storage, limits, clock, logger } = this.#options;
    transport.stopReading();
    api?.close();
    const stopped = new Promise<void>((resolve) => http.close(() => resolve()));
    const isSaved = await within(
      patience,
      clock,
      log.flush().then(() => true),
    );
    const unsaved = isSaved ? [] : log.unsaved;
    const goodbye = GOODBYE_MS[instances === undefined ? 'alone' : 'shared'];
    await transport.close(Math.min(limits.closeMs, goodbye));
    await within(ANSWERS_MS, clock, stopped);
    http.closeAllConnections();
    await stopped;
    await this.#options.letGo();
    // One that does not answer is not waited for.
    if (isSaved) return await storage.close();
    await within(STUCK_MS, clock, storage.close());
    logger.error(
      { unsaved: unsaved.slice(0, MAX_LISTED), rooms: unsaved.length },
      'the store did not take everything',
    );
    throw new NotSaved(unsaved);
  }

  async #drain(): Promise<void> {
    const { transport, instances, limits, clock, random, logger } = this.#options;
    const { drainMs } = limits;
    const end = clock.now() + drainMs;
    transport.stopAccepting();
    const sessions = this.#options.sessions();
    const isOtherOpen = (): boolean => instances?.isOtherOpen ?? false;
    instances?.leave();
    logger.info({ sessions: sessions.length, isOtherOpen: isOtherOpen() }, 'draining');
    if (instances !== undefined && isOtherOpen() && drainMs > 0) {
      await depart(sessions, { clock, random, total: drainMs, isOtherOpen });
      const lastCall = end - drainMs * SAVING_PART;
      await until(() => !instances.areMoving || clock.now() >= lastCall, clock);
    }
    const left = end - clock.now();
    await this.#close(
      drainMs === 0 ? limits.closeMs : Math.max(left / 2, left - GOODBYE_MS.shared),
    );
  }
}

/** A timeout's longest. */
const LONG_MS = 2 ** 31 - 1;

/**
 * Keeps the process until the work is done. Without sockets nothing else does: the clock's timers
 * do not, so Node would end it with 0 while the store is still being tried.
 */
async function held<T>(work: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, LONG_MS);
  try {
    return await work;
  } finally {
    clearInterval(hold);
  }
}
