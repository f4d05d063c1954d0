/** Puts the parts of a server together. How it ends again is in `ending.ts`. */
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { CLOSE } from '@cowrite/client/protocol';
import { getRequestListener } from '@hono/node-server';
import { type Logger, pino } from 'pino';
import { TrustedProxies } from './address.js';
import { Administrator } from './administrator.js';
import type { ApiOptions } from './api/api.js';
import type { RequestNames } from './api/errors.js';
import { type ArrivalOptions, watchArrival } from './arrival.js';
import { attach, type HttpServer } from './attach.js';
import { readAllowedOrigins } from './auth/allowed-origins.js';
import { authenticatorOf, authenticatorOfHook } from './auth/authenticator.js';
import { MAX_HEADER_BYTES } from './auth/credentials.js';
import { isLoopback } from './auth/origin.js';
import { MIN_SECRET } from './auth/secret.js';
import { answerBadRequest, HEADER_OVERFLOW, REQUEST_TIMEOUT } from './bad-request.js';
import { systemClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { Cooldowns } from './cooldown.js';
import { Crowd } from './crowd.js';
import { CutOffs } from './cut-offs.js';
import { DOCUMENT_URL_FORM, isDocumentUrl } from './document-url.js';
import { Doors } from './doors.js';
import { Ending } from './ending.js';
import { Failover } from './failover.js';
import { Health } from './health.js';
import { httpApp } from './http.js';
import { inTurn } from './in-turn.js';
import { Instances } from './instances.js';
import { DEFAULT_LIMITS, type LimitName, type Limits } from './limits.js';
import { RoomDeleted } from './load.js';
import { Log } from './log.js';
import { LoopDelay } from './loop-delay.js';
import { Measures } from './measures.js';
import { memoryLimit, workerMemory } from './memory.js';
import { Merges, warnOfTooLarge } from './merges.js';
import type { Standings } from './metrics.js';
import { type MetricsPort, openMetricsPort } from './metrics-port.js';
import { checkOptions } from './option-check.js';
import { Orders } from './orders.js';
import type { Presence } from './presence/presence.js';
import type { Relay } from './relay/relay.js';
import { DELETED, type RoomDependencies } from './room.js';
import { Rooms } from './rooms.js';
import { checkRuntime } from './runtime.js';
import type { CowriteServer, Hooks, ServerOptions } from './server-options.js';
import { Session, type SessionRules } from './session.js';
import { SharedStoreCheck } from './shared-store-check.js';
import { Snapshots } from './snapshots.js';
import { openStorage } from './storage/open.js';
import type { Storage } from './storage/storage.js';
import { Transport } from './transport.js';
import { Turns } from './turns.js';
import { isKnown, UPGRADES } from './upgrade-offers.js';

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
const MB = 1024 * 1024;
/**
 * Opens the store and listens.
 *
 * @throws {StorageInUse} when another process has the store open, or whatever
 *   the store or the port say
 */
export async function createServer(options: ServerOptions = {}): Promise<CowriteServer> {
  checkRuntime();
  checkOptions(options);
  const limits = limitsOf(options.limits);
  const { hooks = {}, clock = systemClock, random = Math.random } = options;
  const logger =
    typeof options.logger === 'object' ? options.logger : pino({ level: options.logger ?? 'info' });
  const { host = '127.0.0.1' } = options;
  const allowedOrigins = readAllowedOrigins(options.allowedOrigins ?? []);
  if (options.auth !== undefined && hooks.authenticate !== undefined) {
    throw new TypeError('auth and the hook authenticate are both set, and only one can decide');
  }
  const { adminToken } = options;
  if (adminToken !== undefined && Buffer.byteLength(adminToken) < MIN_SECRET) {
    throw new RangeError(`adminToken has fewer than ${MIN_SECRET} bytes`);
  }
  const administrator = new Administrator(adminToken);
  const { documentUrl } = options;
  if (documentUrl !== undefined && !isDocumentUrl(documentUrl)) {
    throw new TypeError(`documentUrl is not ${DOCUMENT_URL_FORM}`);
  }
  const isOpen = options.auth === undefined && hooks.authenticate === undefined;
  const areUsersKnown = !isOpen && options.auth !== 'none';
  if (isOpen && !isLoopback(host)) {
    throw new TypeError(
      `others could connect to ${host}, and nobody would ask them who they are: set auth, or say auth: 'none'`,
    );
  }
  const authenticator =
    hooks.authenticate === undefined
      ? await authenticatorOf(options.auth ?? 'none', { clock, logger })
      : authenticatorOfHook((about) => hooks.authenticate!(about), logger);
  const proxies = new TrustedProxies(options.trustedProxies ?? []);
  // What only an administrator or a collector asks for takes a fifth of the start to load.
  const administration = administrator.exists ? await import('./api/api.js') : undefined;
  const areMetricsRead = administrator.exists || options.metrics !== undefined;
  const scraping = areMetricsRead ? await import('./metrics.js') : undefined;
  const storage = await storageOf(options, logger, (error) => ending.fail(error));
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
  const memory = memoryLimit();
  const workers = new Workers({
    threads: WORKER_THREADS,
    budget: limits.workerMs,
    memory: limits.workerMemoryMb ?? workerMemory(memory) / MB,
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
  const snapshots = new Snapshots({
    storage,
    workers,
    maxBytes: limits.snapshotCacheBytes,
    logger,
  });
  const merges = new Merges({ storage, workers, logger });
  warnOfTooLarge(limits.maxDocumentBytes, workers, logger);
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
      onOrder: (order) => void orders.carryOut(order),
    });
  const sharedStoreCheck = instances
    ? undefined
    : SharedStoreCheck.of({ storage, clock, logger, ttl: limits.presenceTtlMs });
  const dependencies: RoomDependencies = {
    storage,
    log,
    workers,
    merges,
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
  const failover = new Failover({ storage, log, snapshots, rooms, clock, logger });

  const standings: Standings = {
    connections: () => transport.connections.size,
    rooms: () => rooms.states,
    quarantinedRooms: () => rooms.quarantined,
    unsaved: () => ({
      updates: log.unsaved.reduce((sum, { updates }) => sum + updates, 0),
      bytes: log.unsavedBytes,
      oldestMs: log.oldestUnsaved,
    }),
    isStoreFailing: () => log.failing,
    isStoreAway: () => health.isStoreAway,
    tooLargeRooms: () => merges.tooLarge,
    workers: () => workers,
    relay: () => instances,
    bounds: {
      connections: limits.maxConnections,
      unsavedBytes: limits.maxUnsavedBytes,
      memory: memory.bytes,
    },
  };
  const metrics = scraping && new scraping.Metrics(measures, standings);
  const loop = new LoopDelay(clock, measures.loop);
  const health = new Health({
    clock,
    storage,
    log,
    loop,
    relay: () => instances?.state ?? 'none',
    isDraining: () => ending.isBegun,
    logger,
  });

  const cooldowns = new Cooldowns(clock);
  const orders = new Orders({
    storage,
    rooms,
    cooldowns,
    doors: () => doors,
    sessions: () => sessionsOf(transport),
    others: instances,
    logger,
  });

  const onError = (err: unknown, request: RequestNames): void =>
    logger.warn({ ...request, err }, 'a request failed');
  const apiOptions: ApiOptions = {
    storage,
    rooms,
    workers,
    snapshots,
    turns,
    clock,
    presence: meeting?.presence,
    areUsersKnown,
    documentUrl,
    administrator,
    maxUpdate: limits.maxMessageBytes,
    maxDocumentBytes: limits.maxDocumentBytes,
    maxRequests: limits.maxApiRequests,
    patience: limits.behindMs,
    maxWatchers: limits.maxWatchers,
    heartbeat: limits.heartbeatMs,
    onLimit,
    onError,
    orders,
    drain: () => {
      // How it ends, those learn who wait for whenClosed.
      ending.drain().catch(() => undefined);
      return sessionsOf(transport).length;
    },
  };
  const api = administration && new administration.Api(apiOptions);

  let isListening = false;
  const listener = getRequestListener(
    httpApp({
      isReady: () => isListening && !ending.isBegun,
      readiness: async () => await health.readiness(),
      staticDir: options.staticDir,
      onError,
      api: api?.app,
      administrator,
      metrics,
      trustIn: (request) => doors.trustIn(request),
      onRequest: (request) => doors.noteStray(request),
      door: (request) => transport.wouldAnswer(request, (upgrade) => doors.ask(upgrade)),
    }).fetch,
    // Probes that speak HTTP/1.0 name no host.
    { hostname: 'cowrite' },
  );
  const http = createHttpServer(
    {
      ...UPGRADES,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: limits.handshakeMs,
      // Of bodies: see below.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.ceil(limits.handshakeMs / 4),
      // A proxy that keeps its own longer sends a request on one that is just being closed: 502.
      keepAliveTimeout: limits.keepAliveMs,
    },
    inTurn((request, response) => {
      watchArrival(request, arrival);
      void listener(request, response);
    }),
  );
  const arrival: ArrivalOptions = {
    clock,
    patience: limits.handshakeMs,
    maxBytes: limits.maxMessageBytes,
    isTrusted: ({ headers }) => administrator.refusal(headers.authorization) === undefined,
    onLate: ({ socket }) => {
      onLimit('handshake');
      answerBadRequest({ code: REQUEST_TIMEOUT }, socket);
    },
  };
  const crowd = new Crowd(limits, clock);
  const cutOffs = new CutOffs(logger);
  const rules: SessionRules = {
    identify: (room, { token, cookie }) => authenticator.ask({ room, token, cookie }),
    areUsersKnown,
    areReadersPresent: options.areReadersPresent ?? true,
    rates: limits,
    turns,
    patience: limits.handshakeMs,
    onLimit,
    measures: measures.sockets,
    onClosed: ({ clientKey: key, roomName: room, user }, code, reason) => {
      if (key !== undefined) cooldowns.closed({ key, room, user: user?.id }, code, reason);
    },
    onGone: ({ address, user, roomName, debt }) =>
      crowd.leave({ address, user: user?.id, room: roomName }, debt),
  };
  const doors = new Doors({
    authenticator,
    crowd,
    cooldowns,
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
    if (isKnown(socket)) return;
    // A proxy's are everybody's.
    if (isLoopback(remoteAddress) || proxies.has(remoteAddress)) return;
    if (!crowd.mayOpen(remoteAddress)) {
      onLimit('connections-per-address');
      doors.tooManySockets(remoteAddress);
      socket.destroy();
      return;
    }
    socket.once('close', () => crowd.closed(remoteAddress));
  });
  http.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
    if (error.code === REQUEST_TIMEOUT) onLimit('handshake');
    if (error.code === HEADER_OVERFLOW) doors.headersTooLong((socket as Socket).remoteAddress);
    doors.notHttp((socket as Socket).remoteAddress, error.rawPacket);
    answerBadRequest(error, socket);
  });
  const transport: Transport = new Transport(
    {
      clock,
      logger,
      maxMessageBytes: limits.maxMessageBytes,
      heartbeat: limits.heartbeatMs,
      onTooLarge: () => onLimit('message-size'),
      onCutOff: (address, silence) => cutOffs.note(address, silence),
      measures: measures.sockets,
    },
    http,
    async (upgrade) => {
      const { identity, brought, address, clientKey, handOver } = await doors.admit(upgrade);
      return (connection, dialect) => {
        const session = new Session({
          roomName: upgrade.room,
          id: upgrade.id,
          proxyId: upgrade.proxyId,
          address,
          clientKey,
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
            if (error instanceof RoomDeleted) {
              session.close(CLOSE.deleted, DELETED);
            } else session.close(CLOSE.internal, 'the room could not be loaded');
          },
        );
      };
    },
  );

  const letGo = async (): Promise<void> => {
    detach?.();
    await metricsPort?.close();
    loop.close();
    doors.close();
    health.close();
    turns.close();
    failover.close();
    rooms.close();
    sharedStoreCheck?.close();
    await instances?.close();
    await meeting?.relay.close();
    await meeting?.presence.close();
    await workers.close();
    await merges.close();
  };
  const ending = new Ending({
    transport,
    sessions: () => sessionsOf(transport),
    http,
    api,
    log,
    instances,
    letGo,
    storage,
    limits,
    clock,
    random,
    logger,
  });

  let metricsPort: MetricsPort | undefined;
  let detach: (() => void) | undefined;
  try {
    if (options.server === undefined) await listen(http, options.port ?? 8080, host);
    else detach = attach(options.server, http, options.path);
    metricsPort =
      options.metrics &&
      metrics &&
      (await openMetricsPort({
        port: options.metrics.port,
        host: options.metrics.host ?? '127.0.0.1',
        metrics,
        onError: (err) => logger.warn({ err }, 'the metrics could not be read'),
      }));
  } catch (error) {
    http.close();
    await transport.close(0);
    await letGo();
    await storage.close();
    throw error;
  }
  isListening = true;
  const shown = options.server ?? http;
  // Its own stays what it was once closed; an application's server may listen later, or not yet.
  const own = options.server === undefined ? addressOf(http) : undefined;
  return {
    kick: (room, about) => orders.kick(room, about),
    recheck: (user) => orders.recheck(user),
    remove: (room) => orders.remove(room),
    revive: (room) => orders.revive(room),
    handleRequest: (request, response) => void http.emit('request', request, response),
    get url() {
      return urlOf(shown, own);
    },
    get port() {
      return (own ?? addressOf(shown))?.port ?? 0;
    },
    metricsUrl: metricsPort?.url,
    close: () => ending.close(),
    drain: () => ending.drain(),
    get isDraining() {
      return ending.isBegun;
    },
    whenClosed: ending.whenClosed,
  };
}

async function storageOf(
  options: ServerOptions,
  logger: Logger,
  onLost: (error: Error) => void,
): Promise<Storage> {
  const { storage, redis, allowNetworkFolder } = options;
  if (typeof storage === 'object') return storage;
  const url = storage ?? (typeof redis === 'string' ? redis : 'lmdb:./data');
  return await openStorage(url, {
    onSalvage: (salvage) =>
      logger.error(salvage, 'the store was damaged; what is whole was taken over'),
    onWarning: (line) => logger.warn(line),
    onLost,
    allowNetworkFolder,
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
  const [relay, presence] = await Promise.allSettled([
    RedisRelay.open(redis, events),
    RedisPresence.open(redis, events),
  ]);
  if (relay.status === 'fulfilled' && presence.status === 'fulfilled') {
    return { relay: relay.value, presence: presence.value };
  }
  for (const opened of [relay, presence]) {
    if (opened.status === 'fulfilled') await opened.value.close();
  }
  await storage.close();
  throw (relay.status === 'rejected' ? relay : (presence as PromiseRejectedResult)).reason;
}

/** One that is there and undefined is not set. */
function limitsOf(set: NonNullable<ServerOptions['limits']> = {}): Limits {
  const entries = Object.entries(set).filter(([, value]) => value !== undefined);
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(entries) };
}

function sessionsOf(transport: Transport): Session[] {
  return [...transport.connections]
    .map(({ events }) => events)
    .filter((events) => events instanceof Session)
    .filter(({ isClosed }) => !isClosed);
}

function addressOf(server: HttpServer): AddressInfo | undefined {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address : undefined;
}

function urlOf(server: HttpServer, at = addressOf(server)): string {
  if (at === undefined) return '';
  const scheme = 'setSecureContext' in server ? 'https' : 'http';
  return `${scheme}://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`;
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
