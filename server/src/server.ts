/**
 * Puts the parts together, and takes them apart in the right order: no new
 * sockets, in a drain the clients led elsewhere, everything on disk, "saved" said,
 * sockets closed, store closed.
 */
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE } from '@cowrite/client/protocol';
import { getRequestListener } from '@hono/node-server';
import { type Logger, pino } from 'pino';
import { TrustedProxies } from './address.js';
import { type Ended, isEqual, type KickOptions } from './admin.js';
import { Api } from './api/api.js';
import {
  type AuthenticateHook,
  type AuthSettings,
  authenticatorOf,
  authenticatorOfHook,
} from './auth/authenticator.js';
import { isLoopback, mayConnect } from './auth/origin.js';
import { MIN_SECRET } from './auth/tokens.js';
import { type Clock, systemClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { Crowd } from './crowd.js';
import { Doors, isAbout } from './doors.js';
import { depart, until } from './drain.js';
import { Health } from './health.js';
import { httpApp } from './http.js';
import { Instances, type Order } from './instances.js';
import { DEFAULT_LIMITS, type LimitName, type Limits } from './limits.js';
import { RoomDeleted } from './load.js';
import { Log, type UnsavedRoom } from './log.js';
import { LoopDelay } from './loop-delay.js';
import { Measures } from './measures.js';
import { Metrics } from './metrics.js';
import { type MetricsPort, openMetricsPort } from './metrics-port.js';
import type { Presence } from './presence/presence.js';
import type { Relay } from './relay/relay.js';
import { DELETED, type RoomDependencies } from './room.js';
import { checkRoomName } from './room-name.js';
import { Rooms } from './rooms.js';
import { Session, type SessionRules } from './session.js';
import { Snapshots } from './snapshots.js';
import { openStorage } from './storage/open.js';
import type { Quarantined, Storage } from './storage/storage.js';
import { Transport } from './transport.js';
import { Turns } from './turns.js';
import { within } from './within.js';

/** Calls into the application that embeds the server. One that throws or rejects closes at most its own session. */
export interface Hooks {
  /**
   * Decides who somebody is and what they may do in a room, instead of
   * {@link ServerOptions.auth}: at the upgrade, before the handshake ends; and when a
   * session brings a new token, or its user is rechecked: then there is no request. The
   * token is as the client brought it. Throw {@link AuthRefused} to refuse. Whatever else
   * it throws, or an answer that is none, is logged, and the client tries again.
   */
  authenticate?: AuthenticateHook;
  /** All entries of the room's log up to `seq` are on disk. Called often: once a commit and room. */
  onSaved?(about: { readonly room: string; readonly seq: number }): void;
  /** Updates of another instance have arrived, `lagMs` after it sent them by the clocks of both machines. */
  onRelayed?(about: { readonly updates: number; readonly lagMs: number }): void;
  /** Entries of the room's log could not be part of the document and were set aside. */
  onQuarantine?(about: { readonly room: string; readonly entries: readonly Quarantined[] }): void;
}

export interface ServerOptions {
  /** 0 takes a free port. Default 8080. */
  readonly port?: number;
  /** Default 127.0.0.1: this machine only. Any other needs {@link auth}, or the hook `authenticate`. */
  readonly host?: string;
  /**
   * Who may come in. Left out, and without the hook `authenticate`, everybody on this
   * machine may do everything; `'none'` says that everybody else may, too.
   */
  readonly auth?: AuthSettings;
  /** Origins of pages that may connect besides those of this host, such as `https://app.example`; `*` for all. */
  readonly allowedOrigins?: readonly string[];
  /** Proxies whose `X-Forwarded-For` is believed: addresses, nets such as `10.0.0.0/8`, `loopback`. Default none. */
  readonly trustedProxies?: readonly string[];
  /** Whether others are shown those who may only read. Default true. */
  readonly areReadersPresent?: boolean;
  /**
   * `lmdb:<folder>`, `postgres://…`, `redis://…`, `memory:`, or an adapter, which the
   * server closes when it closes. Default `lmdb:./data`, or `redis` where that is an address.
   */
  readonly storage?: string | Storage;
  /**
   * Where several instances meet: the address of a Redis, or adapters, which the
   * server closes when it closes. Needs a storage that instances can share.
   */
  readonly redis?: string | { readonly relay: Relay; readonly presence: Presence };
  /** What `Authorization: Bearer` has to have for `/api` and `/metrics`; without it there are none. At least 32 bytes. */
  readonly adminToken?: string;
  /** A port of their own for the metrics, without a token; 0 takes a free one. `host` is 127.0.0.1 if left out. */
  readonly metrics?: { readonly port: number; readonly host?: string };
  /** Folder of a built web app to serve at `/`. */
  readonly staticDir?: string;
  readonly hooks?: Hooks;
  readonly limits?: Partial<Limits>;
  /** A pino logger, or a level for one that writes JSON to stdout. Default `'info'`. */
  readonly logger?: Logger | string;
  /** For tests. */
  readonly clock?: Clock;
  /** From 0 to below 1, for jitter; for tests. */
  readonly random?: () => number;
}

export interface CowriteServer {
  /** Where the metrics are without a token, if that was asked for. */
  readonly metricsUrl: string | undefined;
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  /**
   * Shows those in a room out, on every instance: their sockets are closed with 4403.
   * Nothing keeps them from coming back but what they are allowed then.
   *
   * @returns how many sessions that were here, and whether the other instances were told
   */
  kick(room: string, about?: KickOptions): Ended;
  /**
   * What a user may do has changed: on every instance their sessions are asked about again,
   * or, where that is for a token to say, closed with 4401 until they bring a new one.
   */
  recheck(user: string): Ended;
  /**
   * Deletes a room for good, whether or not anybody ever wrote to it: those in it, on every
   * instance, and those who come afterwards are closed with 4404. What was not saved by then
   * never is. Rejects when the store does; then it may be done or not: call it again.
   *
   * @returns how many sessions were here, and whether the other instances were told; where
   *   they were not they find it out from the store
   * @throws {TypeError} for what is no room's name
   */
  remove(room: string): Promise<Ended>;
  /**
   * A deleted room's name may be used again: the room is empty. Somebody who was never told,
   * and still has a copy, brings that back.
   *
   * @returns false for a room that is not deleted
   * @throws {TypeError} for what is no room's name
   */
  revive(room: string): Promise<boolean>;
  /**
   * Takes no more sockets, waits until everything is on disk, tells the clients
   * so, closes their sockets with 1012 and the store. Again: the same promise.
   *
   * @throws {NotSaved} when the store did not take everything within `closeMs`
   */
  close(): Promise<void>;
  /**
   * Lets go of everybody in good order, then closes: new sockets are refused with 503, and those
   * who are here go, evenly over some time, where there is another instance. Where there is none,
   * or nobody is here, it closes at once. All of it takes `drainMs` at most. A `close` meanwhile
   * ends it. Again: the same promise.
   *
   * @throws {NotSaved} when the store did not take everything in that time
   */
  drain(): Promise<void>;
  /** From the beginning of a drain or a close on. */
  readonly isDraining: boolean;
  /** Settles as {@link close} or {@link drain} do, whoever asked for it: an administrator may have. */
  readonly whenClosed: Promise<void>;
}

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

/**
 * At most one commit in this many milliseconds: rarer ones delay "saved", and with a
 * shared store what other instances hear; denser ones cost the disk more. An edit
 * after a pause is committed at once.
 */
const COMMIT_INTERVAL_MS = { own: 25, shared: 10 };
/** The part of what may be unsaved that those who send much may fill. */
const PRESSED_PART = 1 / 4;
/** Sockets that may be on their way to a decision. */
const NEWCOMERS = 1_000;
const WORKER_THREADS = 1;
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
const KICKED = 'you were removed from this document';
/** As the log says what is done. */
const ORDERS: Record<Order['kind'], string> = {
  kick: 'sessions are shown out',
  recheck: 'sessions are asked about again',
  delete: 'a room was deleted',
};

/**
 * Opens the store and listens.
 *
 * @throws {StorageInUse} when another process has the store open, or whatever
 *   the store or the port say
 */
export async function createServer(options: ServerOptions = {}): Promise<CowriteServer> {
  const limits = limitsOf(options.limits);
  const { hooks = {}, clock = systemClock, random = Math.random } = options;
  const logger =
    typeof options.logger === 'object' ? options.logger : pino({ level: options.logger ?? 'info' });
  const { host = '127.0.0.1', allowedOrigins = [] } = options;
  if (options.auth !== undefined && hooks.authenticate !== undefined) {
    throw new TypeError('auth and the hook authenticate are both set, and only one can decide');
  }
  const { adminToken } = options;
  if (adminToken !== undefined && Buffer.byteLength(adminToken) < MIN_SECRET) {
    throw new RangeError(`adminToken has fewer than ${MIN_SECRET} bytes`);
  }
  const isOpen = options.auth === undefined && hooks.authenticate === undefined;
  if (isOpen && !isLoopback(host)) {
    throw new TypeError(
      `others could connect to ${host}, and nobody would ask them who they are: set auth, or say auth: 'none'`,
    );
  }
  const authenticator =
    hooks.authenticate === undefined
      ? authenticatorOf(options.auth ?? 'none', { clock, logger })
      : authenticatorOfHook((about) => hooks.authenticate!(about), logger);
  const proxies = new TrustedProxies(options.trustedProxies ?? []);
  const storage = await storageOf(options, logger);
  const meeting = await meetingOf(options, storage, logger);

  const measures = new Measures();
  const log = new Log({
    measures: measures.log,
    storage,
    clock,
    logger,
    random,
    commitInterval: COMMIT_INTERVAL_MS[storage.isShared ? 'shared' : 'own'],
    maxUnsavedBytes: limits.maxUnsavedBytes,
  });
  // What is sent in masses goes on as fast as the store takes it.
  const turns = new Turns(clock, () => log.unsavedBytes > limits.maxUnsavedBytes * PRESSED_PART);
  const workers = new Workers({
    threads: WORKER_THREADS,
    budget: limits.workerMs,
    heap: limits.workerHeapMb,
    onError: (err) => logger.warn({ err }, 'a worker died'),
  });
  const call = <T>(name: keyof Hooks, hook: ((about: T) => void) | undefined, about: T): void => {
    const failed = (error: unknown) => logger.error({ err: error, hook: name }, 'a hook threw');
    try {
      // One that is async is called all the same, and may reject.
      const result: unknown = hook?.call(hooks, about);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
  const onLimit = (limit: LimitName): void => measures.limits.add(limit);
  const snapshots = new Snapshots({ storage, workers, maxBytes: limits.snapshotCacheBytes });
  const instances =
    meeting &&
    new Instances({
      ...meeting,
      storage,
      snapshots,
      workers,
      measures: measures.relay,
      clock,
      logger,
      presenceTtl: limits.presenceTtlMs,
      headCheck: limits.headCheckMs,
      onRelayed: (updates, lagMs) => call('onRelayed', hooks.onRelayed, { updates, lagMs }),
      onOrder: (order) => void carryOut(order),
    });
  const dependencies: RoomDependencies = {
    storage,
    log,
    workers,
    clock,
    logger,
    snapshots,
    instances,
    fanout: {
      clock,
      highWater: limits.highWaterBytes,
      patience: limits.behindMs,
      measures: measures.fanout,
    },
    compactions: measures.compaction,
    awareness: {
      maxStateBytes: limits.maxAwarenessBytes,
      maxClients: limits.maxAwarenessClients,
      maxDepth: limits.maxAwarenessDepth,
      onLimit,
    },
    maxDocumentBytes: limits.maxDocumentBytes,
    onQuarantine: (room, entries) => {
      measures.compaction.quarantined += entries.length;
      call('onQuarantine', hooks.onQuarantine, { room, entries });
    },
    onSaved: hooks.onSaved && ((room, seq) => call('onSaved', hooks.onSaved, { room, seq })),
  };
  const rooms = new Rooms({
    ...dependencies,
    idle: limits.idleMs,
    loadTimeout: limits.loadMs,
  });

  const metrics = new Metrics(measures, {
    connections: () => transport.connections.size,
    rooms: () => rooms.states,
    unsaved: () => ({
      updates: log.unsaved.reduce((sum, { updates }) => sum + updates, 0),
      bytes: log.unsavedBytes,
      oldestMs: log.oldestUnsaved,
    }),
    isStoreFailing: () => log.failing,
    workers: () => workers,
    relay: () => instances,
  });
  const loop = new LoopDelay(clock, measures.loop);
  const health = new Health({
    clock,
    storage,
    log,
    loop,
    relay: () => (instances === undefined ? 'none' : instances.isConnected ? 'connected' : 'away'),
    isDraining: () => isDraining(),
  });

  /** @returns how many sessions here it was about */
  const carryOut = (order: Order): number => {
    // Whoever is at the door of a deleted room finds it so when it is loaded.
    if (order.kind !== 'delete') doors.reconsider(order);
    const concerned = sessionsOf(transport).filter(({ roomName, user }) =>
      isAbout(order, roomName, user?.id),
    );
    for (const session of concerned) {
      if (order.kind === 'kick') session.close(CLOSE.forbidden, order.reason);
      else if (order.kind === 'delete') session.close(CLOSE.deleted, DELETED);
      else session.recheck();
    }
    if (order.kind === 'delete') rooms.deleted(order.room);
    return concerned.length;
  };
  const everywhere = (order: Order): Ended => {
    logger.info(order, ORDERS[order.kind]);
    return { sessions: carryOut(order), isEverywhere: instances?.order(order) ?? true };
  };
  const kick: CowriteServer['kick'] = (room, { user, reason = KICKED } = {}) => {
    // To others it would say everybody.
    if (user === '') throw new TypeError('the user to be kicked has no name');
    return everywhere({ kind: 'kick', room: room.normalize('NFC'), user, reason });
  };
  const recheck: CowriteServer['recheck'] = (user) => everywhere({ kind: 'recheck', user });
  const remove: CowriteServer['remove'] = async (room) => {
    const name = nameOf(room);
    // First: whoever comes in after the others have left must find it deleted.
    await storage.remove(name);
    return everywhere({ kind: 'delete', room: name });
  };
  const revive: CowriteServer['revive'] = async (room) => await storage.revive(nameOf(room));

  const api = new Api({
    storage,
    rooms,
    workers,
    snapshots,
    turns,
    clock,
    presence: meeting?.presence,
    isAdministrator: adminToken === undefined ? undefined : (shown) => isEqual(shown, adminToken),
    maxUpdate: limits.maxMessageBytes,
    maxRequests: limits.maxApiRequests,
    maxWatchers: limits.maxWatchers,
    heartbeat: limits.heartbeatMs,
    onLimit,
    onError: (err) => logger.warn({ err }, 'a request failed'),
    kick,
    recheck,
    remove,
    revive,
  });

  let isReady = false;
  const listener = getRequestListener(
    httpApp({
      isReady: () => isReady && !isDraining(),
      readiness: async () => await health.readiness(),
      staticDir: options.staticDir,
      onError: (err) => logger.warn({ err }, 'a request failed'),
      api: api.app,
      adminToken,
      metrics,
      drain: () => {
        // How it ends, those learn who wait for whenClosed.
        drainOnce().catch(() => undefined);
        return sessionsOf(transport).length;
      },
      mayConnect: (origin, host) => mayConnect(origin, host, allowedOrigins),
      door: (request) => transport.wouldAnswer(request, (upgrade) => doors.ask(upgrade)),
    }).fetch,
  );
  const http = createHttpServer(
    {
      headersTimeout: limits.handshakeMs,
      requestTimeout: limits.handshakeMs,
      connectionsCheckingInterval: Math.ceil(limits.handshakeMs / 4),
    },
    (request, response) => void listener(request, response),
  );
  const crowd = new Crowd(limits, clock);
  const rules: SessionRules = {
    identify: (room, { token, cookie }) => authenticator.ask({ room, token, cookie }),
    areUsersKnown: !isOpen && options.auth !== 'none',
    areReadersPresent: options.areReadersPresent ?? true,
    rates: limits,
    turns,
    patience: limits.handshakeMs,
    onLimit,
    measures: measures.sockets,
    onGone: ({ address, user, roomName, debt }) =>
      crowd.leave({ address, user: user?.id, room: roomName }, debt),
  };
  const doors = new Doors({
    authenticator,
    crowd,
    proxies,
    allowedOrigins,
    isOpen,
    patience: limits.handshakeMs,
    isStoreFull: () => log.full,
    onLimit,
    clock,
    logger,
  });
  // Beyond those, sockets that have not even said what they want.
  http.maxConnections = limits.maxConnections + NEWCOMERS;
  http.on('connection', (socket) => {
    const { remoteAddress = '' } = socket;
    // A proxy's are everybody's.
    if (isLoopback(remoteAddress) || proxies.has(remoteAddress)) return;
    if (!crowd.mayOpen(remoteAddress)) {
      onLimit('connections-per-address');
      socket.destroy();
      return;
    }
    socket.once('close', () => crowd.closed(remoteAddress));
  });
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') onLimit('handshake');
    answerBadRequest(error, socket);
  });
  const transport: Transport = new Transport(
    {
      clock,
      logger,
      maxMessageBytes: limits.maxMessageBytes,
      heartbeat: limits.heartbeatMs,
      onTooLarge: () => onLimit('message-size'),
      measures: measures.sockets,
    },
    http,
    async (upgrade) => {
      const { identity, brought, address, handOver } = await doors.admit(upgrade);
      return (connection, dialect) => {
        const session = new Session({
          roomName: upgrade.room,
          id: upgrade.id,
          address,
          connection,
          dialect,
          rules,
          identity,
          brought,
          debt: crowd.debtOf(identity.user?.id),
          clock,
          logger,
        });
        if (!handOver()) {
          session.close(CLOSE.tryAgainLater, 'what you may do has just changed');
          return;
        }
        rooms.open(upgrade.room).then(
          (room) => {
            if (!session.isClosed) session.enter(room);
          },
          (error: unknown) => {
            if (error instanceof RoomDeleted) session.close(CLOSE.deleted, DELETED);
            else session.close(CLOSE.internal, 'the room could not be loaded');
          },
        );
      };
    },
  );

  /** @param patience milliseconds for the store to take everything */
  const close = async (patience: number): Promise<void> => {
    isReady = false;
    transport.stopReading();
    api.close();
    const stopped = new Promise<void>((resolve) => http.close(() => resolve()));
    const isSaved = await within(
      patience,
      clock,
      log.flush().then(() => true),
    );
    const unsaved = isSaved ? [] : log.unsaved;
    await transport.close(Math.min(limits.closeMs, GOODBYE_MS[meeting ? 'shared' : 'alone']));
    await within(ANSWERS_MS, clock, stopped);
    http.closeAllConnections();
    await stopped;
    await metricsPort?.close();
    loop.close();
    turns.close();
    rooms.close();
    await instances?.close();
    await meeting?.relay.close();
    await meeting?.presence.close();
    await workers.close();
    // One that does not answer is not waited for.
    if (isSaved) return await storage.close();
    await within(STUCK_MS, clock, storage.close());
    logger.error(
      { unsaved: unsaved.slice(0, MAX_LISTED), rooms: unsaved.length },
      'the store did not take everything',
    );
    throw new NotSaved(unsaved);
  };
  let closing: Promise<void> | undefined;
  let draining: Promise<void> | undefined;
  let ended: (how: Promise<void>) => void;
  const whenClosed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  // Whoever asked for the end is told how it was.
  whenClosed.catch(() => undefined);
  const isDraining = (): boolean => (draining ?? closing) !== undefined;
  const closeOnce = (patience: number): Promise<void> => {
    closing ??= close(patience);
    ended(closing);
    return closing;
  };
  const drain = async (): Promise<void> => {
    const end = clock.now() + limits.drainMs;
    transport.stopAccepting();
    const sessions = sessionsOf(transport);
    const isOtherOpen = (): boolean => instances?.isOtherOpen ?? false;
    instances?.leave();
    logger.info({ sessions: sessions.length, isOtherOpen: isOtherOpen() }, 'draining');
    if (instances !== undefined && isOtherOpen() && limits.drainMs > 0) {
      await depart(sessions, { clock, random, total: limits.drainMs, isOtherOpen });
      const lastCall = end - limits.drainMs * SAVING_PART;
      await until(() => !instances.areMoving || clock.now() >= lastCall, clock);
    }
    const left = end - clock.now();
    await closeOnce(
      limits.drainMs === 0 ? limits.closeMs : Math.max(left / 2, left - GOODBYE_MS.shared),
    );
  };
  const drainOnce = (): Promise<void> => {
    draining ??= drain();
    return draining;
  };

  let metricsPort: MetricsPort | undefined;
  try {
    await listen(http, options.port ?? 8080, host);
    metricsPort =
      options.metrics &&
      (await openMetricsPort({
        host: '127.0.0.1',
        ...options.metrics,
        metrics,
        onError: (err) => logger.warn({ err }, 'the metrics could not be read'),
      }));
  } catch (error) {
    http.close();
    loop.close();
    await transport.close(0);
    await instances?.close();
    await meeting?.relay.close();
    await meeting?.presence.close();
    await workers.close();
    await storage.close();
    throw error;
  }
  isReady = true;
  const { address, port, family } = http.address() as AddressInfo;
  return {
    kick,
    recheck,
    remove,
    revive,
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    port,
    metricsUrl: metricsPort?.url,
    close: () => closeOnce(limits.closeMs),
    drain: drainOnce,
    get isDraining() {
      return isDraining();
    },
    whenClosed,
  };
}

async function storageOf(options: ServerOptions, logger: Logger): Promise<Storage> {
  const { storage, redis } = options;
  if (typeof storage === 'object') return storage;
  const url = storage ?? (typeof redis === 'string' ? redis : 'lmdb:./data');
  return await openStorage(url, {
    onSalvage: (salvage) =>
      logger.error(salvage, 'the store was damaged; what is whole was taken over'),
    onWarning: (line) => logger.warn(line),
  });
}

/** Where this instance meets the others; undefined where it is alone. */
async function meetingOf(
  { redis }: ServerOptions,
  storage: Storage,
  logger: Logger,
): Promise<{ relay: Relay; presence: Presence } | undefined> {
  if (redis === undefined) return undefined;
  if (!storage.isShared) {
    await storage.close();
    throw new TypeError(
      `instances that meet in a Redis need a storage that they share, such as postgres://, not ${storage.name}`,
    );
  }
  if (typeof redis === 'object') return redis;
  const events = { onWarning: (line: string) => logger.warn(line) };
  const { RedisRelay } = await import('./relay/redis.js');
  const { RedisPresence } = await import('./presence/redis.js');
  const [relay, presence] = await Promise.all([
    RedisRelay.open(redis, events),
    RedisPresence.open(redis, events),
  ]);
  return { relay, presence };
}

/** @throws {TypeError} */
function nameOf(room: string): string {
  const checked = checkRoomName(room);
  if (!checked.ok) throw new TypeError(checked.problem);
  return checked.name;
}

/** One that is there and undefined is not set. */
function limitsOf(set: Partial<Limits> = {}): Limits {
  const entries = Object.entries(set).filter(([, value]) => value !== undefined);
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(entries) };
}

function sessionsOf(transport: Transport): Session[] {
  return [...transport.connections]
    .map(({ events }) => events)
    .filter((events) => events instanceof Session)
    .filter(({ isClosed }) => !isClosed);
}

/** As Node answers by itself, when nobody listens. */
function answerBadRequest({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
  // A peer that does not close its side is not waited for.
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}

async function listen(http: Server, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, host, () => {
      http.off('error', reject);
      resolve();
    });
  });
}
