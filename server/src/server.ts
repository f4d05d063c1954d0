/**
 * Puts the parts together, and takes them apart in the right order: no new
 * sockets, everything on disk, "saved" said, sockets closed, store closed.
 */
import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CLOSE } from '@cowrite/client/protocol';
import { getRequestListener } from '@hono/node-server';
import { type Logger, pino } from 'pino';
import { clientAddress, TrustedProxies } from './address.js';
import { type Authenticate, type AuthSettings, authenticatorOf } from './auth/authenticator.js';
import { readToken } from './auth/credentials.js';
import { AuthRefused, type Identity, type RefusalKind } from './auth/identity.js';
import { isLocalHost, isLoopback, mayConnect } from './auth/origin.js';
import type { Rate } from './bucket.js';
import { type Clock, systemClock, type Timer } from './clock.js';
import { Workers } from './compact/workers.js';
import { Crowd, type CrowdLimit } from './crowd.js';
import { httpApp } from './http.js';
import { Instances } from './instances.js';
import { Log } from './log.js';
import type { Presence } from './presence/presence.js';
import type { Relay } from './relay/relay.js';
import type { RoomDependencies } from './room.js';
import { Rooms } from './rooms.js';
import { Session, type SessionRules } from './session.js';
import { Snapshots } from './snapshots.js';
import { openStorage } from './storage/open.js';
import type { Quarantined, Storage } from './storage/storage.js';
import { Transport, UpgradeRefused } from './transport.js';

/** What the server keeps and waits for, at most. Every value has a default. */
export interface Limits {
  /** Bytes of one message from a client; beyond it the socket is closed with 1009. Default 32 MiB. */
  readonly maxMessageBytes: number;
  /** Bytes that may wait for one socket before it is skipped until it has caught up. Default 256 KiB. */
  readonly highWaterBytes: number;
  /** Milliseconds that a socket may stay behind, beside what its backlog takes at 64 KB/s. Default 30 000. */
  readonly behindMs: number;
  /** Bytes of all rooms that may wait for a failing store. Default 64 MiB. */
  readonly maxUnsavedBytes: number;
  /** Bytes of snapshots kept in memory for those who join. Default 128 MiB. */
  readonly snapshotCacheBytes: number;
  /** Bytes of one awareness state. Default 64 KiB. */
  readonly maxAwarenessBytes: number;
  /** Awareness client ids that one session may introduce. Default 64. */
  readonly maxAwarenessClients: number;
  /** Connections; more are refused with 503. Default 100 000. */
  readonly maxConnections: number;
  /** Connections of one address, or of one /64 of IPv6; more are refused with 429. Addresses of this machine are not counted. Default 1 000. */
  readonly maxConnectionsPerAddress: number;
  /** Connections of one user; more are refused with 429. Default 200. */
  readonly maxConnectionsPerUser: number;
  /** Attempts to connect of one address; more are refused with 429. Default 20 a second, 500 at once. */
  readonly attemptsPerAddress: Rate;
  /** Milliseconds for a request to arrive, and for a decision about it. Default 10 000. */
  readonly handshakeMs: number;
  /** Milliseconds from one look at every socket to the next; a peer silent for two of them is cut off. Default 15 000. */
  readonly heartbeatMs: number;
  /** Milliseconds after which the people of an instance that died are gone. Default 15 000. */
  readonly presenceTtlMs: number;
  /** Milliseconds from one look at the store, for what the relay has lost, to the next. Default 3 000. */
  readonly headCheckMs: number;
  /** Milliseconds that an empty room stays in memory. Default 10 000. */
  readonly idleMs: number;
  /** Milliseconds that loading a room may take. Default 20 000. */
  readonly loadMs: number;
  /** Milliseconds that a job on a document may take in a worker. Default 30 000. */
  readonly workerMs: number;
  /** MB of heap for one worker. Default 2 048. */
  readonly workerHeapMb: number;
  /** Milliseconds that closing may take before the sockets that remain are cut off. Default 10 000. */
  readonly closeMs: number;
}

/** Calls into the application that embeds the server. One that throws or rejects closes at most its own session. */
export interface Hooks {
  /**
   * Decides who somebody is and what they may do in a room, instead of
   * {@link ServerOptions.auth}: at the upgrade, before the handshake ends, and again
   * when a session brings a new token; then there is no request. Throw
   * {@link AuthRefused} to refuse. Whatever else it throws is logged, and the client
   * tries again.
   */
  authenticate?(about: {
    readonly room: string;
    /** As the client brought it; nobody has looked at it. */
    readonly token: string | undefined;
    readonly request?: IncomingMessage;
  }): Identity | Promise<Identity>;
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
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no more sockets, waits until everything is on disk, tells the clients
   * so, closes their sockets with 1012 and the store. Again: the same promise.
   *
   * @throws {Error} when the store did not take everything within `closeMs`;
   *   what was not saved was never reported saved, and clients still have it
   */
  close(): Promise<void>;
}

const DEFAULTS: Limits = {
  maxMessageBytes: 32 * 1024 * 1024,
  highWaterBytes: 256 * 1024,
  behindMs: 30_000,
  maxUnsavedBytes: 64 * 1024 * 1024,
  snapshotCacheBytes: 128 * 1024 * 1024,
  maxAwarenessBytes: 64 * 1024,
  maxAwarenessClients: 64,
  maxConnections: 100_000,
  maxConnectionsPerAddress: 1_000,
  maxConnectionsPerUser: 200,
  attemptsPerAddress: { perSecond: 20, burst: 500 },
  handshakeMs: 10_000,
  heartbeatMs: 15_000,
  presenceTtlMs: 15_000,
  headCheckMs: 3_000,
  idleMs: 10_000,
  loadMs: 20_000,
  workerMs: 30_000,
  workerHeapMb: 2_048,
  closeMs: 10_000,
};

/**
 * At most one commit in this many milliseconds: rarer ones delay "saved", and with a
 * shared store what other instances hear; denser ones cost the disk more. An edit
 * after a pause is committed at once.
 */
const COMMIT_INTERVAL_MS = { own: 25, shared: 10 };
const WORKER_THREADS = 1;

/**
 * Opens the store and listens.
 *
 * @throws {StorageInUse} when another process has the store open, or whatever
 *   the store or the port say
 */
export async function createServer(options: ServerOptions = {}): Promise<CowriteServer> {
  const limits: Limits = { ...DEFAULTS, ...options.limits };
  const { hooks = {}, clock = systemClock, random = Math.random } = options;
  const logger =
    typeof options.logger === 'object' ? options.logger : pino({ level: options.logger ?? 'info' });
  const { host = '127.0.0.1', allowedOrigins = [] } = options;
  const isOpen = options.auth === undefined && hooks.authenticate === undefined;
  if (isOpen && !isLoopback(host)) {
    throw new TypeError(
      `others could connect to ${host}, and nobody would ask them who they are: set auth, or say auth: 'none'`,
    );
  }
  const authenticate = authenticateOf(options, clock, logger);
  const proxies = new TrustedProxies(options.trustedProxies ?? []);
  const crowd = new Crowd(limits, clock);
  const storage = await storageOf(options, logger);
  const meeting = await meetingOf(options, storage, logger);

  const log = new Log({
    storage,
    clock,
    logger,
    random,
    commitInterval: COMMIT_INTERVAL_MS[storage.isShared ? 'shared' : 'own'],
    maxUnsavedBytes: limits.maxUnsavedBytes,
  });
  const workers = new Workers({
    threads: WORKER_THREADS,
    budget: limits.workerMs,
    heap: limits.workerHeapMb,
  });
  const call = <T>(name: keyof Hooks, hook: ((about: T) => void) | undefined, about: T): void => {
    try {
      hook?.call(hooks, about);
    } catch (error) {
      logger.error({ err: error, hook: name }, 'a hook threw');
    }
  };
  const snapshots = new Snapshots({ storage, workers, maxBytes: limits.snapshotCacheBytes });
  const instances =
    meeting &&
    new Instances({
      ...meeting,
      storage,
      snapshots,
      workers,
      clock,
      logger,
      presenceTtl: limits.presenceTtlMs,
      headCheck: limits.headCheckMs,
      onRelayed: (updates, lagMs) => call('onRelayed', hooks.onRelayed, { updates, lagMs }),
    });
  const dependencies: RoomDependencies = {
    storage,
    log,
    workers,
    clock,
    logger,
    snapshots,
    instances,
    fanout: { clock, highWater: limits.highWaterBytes, patience: limits.behindMs },
    awareness: {
      maxStateBytes: limits.maxAwarenessBytes,
      maxClients: limits.maxAwarenessClients,
    },
    onQuarantine: (room, entries) => call('onQuarantine', hooks.onQuarantine, { room, entries }),
    onSaved: hooks.onSaved && ((room, seq) => call('onSaved', hooks.onSaved, { room, seq })),
  };
  const rooms = new Rooms({
    ...dependencies,
    idle: limits.idleMs,
    loadTimeout: limits.loadMs,
  });

  let isReady = false;
  const listener = getRequestListener(
    httpApp({ isReady: () => isReady, staticDir: options.staticDir }).fetch,
  );
  const http = createHttpServer(
    {
      headersTimeout: limits.handshakeMs,
      requestTimeout: limits.handshakeMs,
      connectionsCheckingInterval: Math.ceil(limits.handshakeMs / 4),
    },
    (request, response) => void listener(request, response),
  );
  const rules: SessionRules = {
    identify: (room, token) => authenticate({ room, token }),
    areReadersPresent: options.areReadersPresent ?? true,
  };
  const transport = new Transport(
    { clock, maxMessageBytes: limits.maxMessageBytes, heartbeat: limits.heartbeatMs },
    http,
    async ({ room: name, request }) => {
      if (log.full) throw new UpgradeRefused(503, 'the store is not taking writes');
      const { origin, host: addressed, 'x-forwarded-for': forwarded } = request.headers;
      const address = clientAddress(request.socket.remoteAddress, forwarded, proxies);
      if (!crowd.mayTry(address))
        throw new UpgradeRefused(429, 'too many attempts from your address');
      if (!mayConnect(origin, addressed, allowedOrigins)) {
        throw new UpgradeRefused(403, 'pages of this origin may not connect (ALLOWED_ORIGINS)');
      }
      if (isOpen && !isLocalHost(addressed)) {
        throw new UpgradeRefused(
          403,
          'without authentication this server goes by no name but localhost',
        );
      }
      const decided = within(limits.handshakeMs, clock, admitted(authenticate, name, request));
      const identity = await decided;
      if (identity === undefined)
        throw new UpgradeRefused(503, 'who you are could not be found out');
      const place = crowd.enter(address, identity.user?.id);
      if (typeof place === 'string')
        throw new UpgradeRefused(place === 'connections' ? 503 : 429, FULL[place]);
      // However it ends, also before it is a WebSocket.
      if (request.socket.destroyed) place.leave();
      else request.socket.once('close', place.leave);
      return (connection, dialect) => {
        const who = identity.user?.id ?? randomBytes(12).toString('base64url');
        const author = `${who}@${address}`;
        const session = new Session({
          connection,
          dialect,
          rules,
          identity,
          author,
          clock,
          logger,
        });
        rooms.open(name).then(
          (room) => {
            if (!session.isClosed) session.enter(room);
          },
          () => session.close(CLOSE.internal, 'the room could not be loaded'),
        );
      };
    },
  );

  const close = async (): Promise<void> => {
    isReady = false;
    transport.stopReading();
    const stopped = new Promise<void>((resolve) => http.close(() => resolve()));
    const isSaved = await within(
      limits.closeMs,
      clock,
      log.flush().then(() => true),
    );
    await transport.close(Math.min(limits.closeMs, 2_000));
    http.closeAllConnections();
    await stopped;
    rooms.close();
    await instances?.close();
    await meeting?.relay.close();
    await meeting?.presence.close();
    await workers.close();
    const { unsavedBytes } = log;
    await storage.close();
    if (!isSaved) throw new Error(`the store did not take the last ${unsavedBytes} bytes`);
  };

  try {
    await listen(http, options.port ?? 8080, host);
  } catch (error) {
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
  let closing: Promise<void> | undefined;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    port,
    close: () => {
      closing ??= close();
      return closing;
    },
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

/** What a hook throws is its own affair, unless it is a refusal. @returns what throws nothing but refusals */
function authenticateOf(
  { auth = 'none', hooks = {} }: ServerOptions,
  clock: Clock,
  logger: Logger,
): Authenticate {
  if (hooks.authenticate === undefined) return authenticatorOf(auth, { clock, logger });
  return async (question) => {
    try {
      const identity: Partial<Identity> | undefined = await hooks.authenticate!(question);
      const { access } = identity ?? {};
      if (access !== 'write' && access !== 'read' && access !== 'none') {
        throw new TypeError("its answer has no access of 'write', 'read' or 'none'");
      }
      return { ...identity, access };
    } catch (error) {
      if (error instanceof AuthRefused) throw error;
      logger.error({ err: error, hook: 'authenticate' }, 'a hook threw');
      throw new AuthRefused('unavailable', 'internal error');
    }
  };
}

const FULL: Record<CrowdLimit, string> = {
  connections: 'this server is full',
  'connections-per-address': 'too many connections from your address',
  'connections-per-user': 'too many connections of yours',
};

const STATUS: Record<RefusalKind, number> = {
  unauthenticated: 401,
  forbidden: 403,
  unavailable: 503,
};

async function admitted(
  authenticate: Authenticate,
  room: string,
  request: IncomingMessage,
): Promise<Identity> {
  try {
    const token = readToken(request.url ?? '', request.headers);
    const identity = await authenticate({ room, token, request });
    if (identity.access === 'none')
      throw new AuthRefused('forbidden', 'this room is not open to you');
    return identity;
  } catch (error) {
    if (error instanceof AuthRefused) throw new UpgradeRefused(STATUS[error.kind], error.message);
    throw error;
  }
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

/** @returns whether the promise resolved in time */
/** @returns undefined when it takes longer */
async function within<T>(ms: number, clock: Clock, promise: Promise<T>): Promise<T | undefined> {
  let timer: Timer | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.after(ms, () => resolve(undefined));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer?.cancel();
  }
}
