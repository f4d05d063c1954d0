/**
 * Who may come in: everything that is decided about an upgrade before the handshake ends.
 *
 * In an order in which what costs least comes first: whether the store takes anything, how
 * often this address has tried, where the page is from, who that is, and whether there
 * is room.
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { clientAddress, ownerOf, requestedHost, type TrustedProxies } from './address.js';
import type { Authenticator } from './auth/authenticator.js';
import { HEADERS_TOO_LONG, readToken } from './auth/credentials.js';
import { AuthRefused, hasEnded, type Identity, type RefusalKind } from './auth/identity.js';
import {
  dropAmbientCredentials,
  isLocalHost,
  isLoopback,
  type OriginTrust,
  trustIn,
} from './auth/origin.js';
import { explainOrigin, shownOrigin } from './auth/origin-explanation.js';
import type { Clock } from './clock.js';
import { type Cooldowns, clientKey } from './cooldown.js';
import type { Crowd, CrowdLimit } from './crowd.js';
import type { Order } from './instances.js';
import type { LimitName } from './limits.js';
import type { Refusal } from './measures.js';
import {
  brokenHandshake,
  lostToken,
  lostUpgrade,
  type Oddity,
  otherProtocol,
  strayHandshake,
} from './odd-requests.js';
import { RejectionLog } from './rejection-log.js';
import type { Credentials } from './standing.js';
import { dialectOf, type Upgrade, UpgradeRefused } from './transport.js';
import { UntrustedProxies } from './untrusted-proxies.js';
import { within } from './within.js';

export interface DoorsOptions {
  readonly authenticator: Authenticator;
  readonly crowd: Crowd;
  readonly cooldowns: Cooldowns;
  readonly proxies: TrustedProxies;
  readonly allowedOrigins: readonly string[];
  /** Whether nobody is asked who they are. */
  readonly isOpen: boolean;
  /** Milliseconds for a decision. */
  readonly patience: number;
  readonly isStoreFull: () => boolean;
  readonly onLimit: (limit: LimitName) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Somebody who may come in. */
export interface Admitted {
  readonly identity: Identity;
  /** What they brought, where the same may mean something else later. */
  readonly brought: Credentials | undefined;
  /** As far as it is known. */
  readonly address: string;
  /** What their client is called in a cooldown; undefined for one that takes a final code for final. */
  readonly clientKey: string | undefined;
  /**
   * Their socket is another's business from now on, who tells the crowd when it is gone.
   *
   * @returns false when something has been ordered about them that was not known when this was decided
   */
  handOver(): boolean;
}

/** Somebody whose identity is known, and how many orders there were before it was asked for. */
interface Known {
  readonly identity: Identity;
  readonly brought: Credentials | undefined;
  readonly from: number;
}

const STATUS: Record<RefusalKind, number> = {
  unauthenticated: 401,
  forbidden: 403,
  unavailable: 503,
};

const FULL: Record<CrowdLimit, readonly [status: number, message: string]> = {
  connections: [503, 'this server is full'],
  'connections-per-address': [429, 'too many connections from your address'],
  'connections-per-user': [429, 'too many connections of yours'],
  'rooms-per-user': [429, 'too many rooms of yours are open'],
  'sessions-per-room': [503, 'this room is full'],
};

/** Bounds of an address: a proxy that is not trusted reaches them for all who come through it. */
const OF_ADDRESS: ReadonlySet<Refusal> = new Set([
  'attempts-per-address',
  'connections-per-address',
]);
/** Refusals that would have been the same in any room. */
const IN_ANY_ROOM: ReadonlySet<Refusal> = new Set([
  ...OF_ADDRESS,
  'connections',
  'origin',
  'host',
] as const);

const PROXY_HINT =
  'if this is the address of a proxy, all who come through it count as one: set TRUSTED_PROXIES to it';
const TRUSTED_HINT =
  'this address is in TRUSTED_PROXIES, and says of no client whose requests these are: have it set X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for)';
const AUTH_HINT = 'set AUTH_SECRET, AUTH_JWKS_URL or AUTH_URL, or AUTH=none to let everybody in';

/** Seconds after which a place may be free again; it is known of none. Attempts are free sooner. */
const RETRY_AFTER_S = 5;

function full(limit: CrowdLimit): UpgradeRefused {
  return new UpgradeRefused(...FULL[limit], limit, { retryAfter: RETRY_AFTER_S });
}

/** Times that somebody is asked about again because something has changed meanwhile. */
const MAX_ASKED = 5;

export class Doors {
  readonly #options: DoorsOptions;
  /** What was ordered while somebody was at the door. */
  #orders: Order[] = [];
  /** How many are at the door. */
  #atDoor = 0;
  readonly #rejections: RejectionLog;
  readonly #untrusted: UntrustedProxies;

  constructor(options: DoorsOptions) {
    this.#options = options;
    this.#rejections = new RejectionLog(options.clock, options.logger);
    this.#untrusted = new UntrustedProxies(options.proxies, options.logger);
  }

  close(): void {
    this.#rejections.close();
  }

  /** Somebody was kicked, or has to be asked about again: so have those who are at the door now. */
  reconsider(order: Order): void {
    this.#options.authenticator.forget();
    if (this.#atDoor > 0) this.#orders.push(order);
  }

  #leavesDoor(): void {
    if (--this.#atDoor === 0) this.#orders = [];
  }

  /** @throws {UpgradeRefused} */
  async admit(upgrade: Upgrade): Promise<Admitted> {
    const { request, room, id, proxyId } = upgrade;
    const address = this.#addressOf(request);
    this.#noteOddity(address, brokenHandshake(request));
    const isRetrying = !dialectOf(request).acknowledges;
    const key = isRetrying ? clientKey(room, address, request) : undefined;
    this.#atDoor++;
    try {
      // Before it counts as an attempt: others of this address are not to pay for it.
      if (key !== undefined) this.#checkCooldown(key);
      return await this.#decide(upgrade, address, key);
    } catch (error) {
      this.#leavesDoor();
      if (error instanceof UpgradeRefused) {
        this.#noteRefusal(error, room, address, { connection: id, request: proxyId });
      }
      throw error;
    }
  }

  #noteRefusal(refusal: UpgradeRefused, room: string, address: string, names: object): void {
    const { status, message, reason, explanation } = refusal;
    const isOfAddress = OF_ADDRESS.has(reason);
    this.#rejections.add(
      {
        ...(!IN_ANY_ROOM.has(reason) && { room }),
        address: isOfAddress ? ownerOf(address) : address,
        status,
        reason: message,
        ...(isOfAddress && { explanation: { hint: this.#hintAbout(address) } }),
        ...(explanation !== undefined && { explanation }),
      },
      names,
    );
  }

  #hintAbout(address: string): string {
    return this.#options.proxies.has(address) ? TRUSTED_HINT : PROXY_HINT;
  }

  /** What arrived could not be read as a request. */
  notHttp(remote: string | undefined, packet: Buffer | undefined): void {
    this.#noteOddity(
      clientAddress(remote, undefined, this.#options.proxies),
      otherProtocol(packet),
    );
  }

  /** A request over plain HTTP, which may have been for a WebSocket. */
  noteStray(request: IncomingMessage): void {
    this.#noteOddity(this.#addressOf(request), strayHandshake(request));
  }

  #noteOddity(address: string, oddity: Oddity | undefined): void {
    if (oddity !== undefined) this.#rejections.add({ address, ...oddity }, {});
  }

  /** What was sent was too large to be read, so nobody knows more of it. */
  headersTooLong(remote: string | undefined): void {
    const address = clientAddress(remote, undefined, this.#options.proxies);
    this.#rejections.add({ address, status: 431, reason: HEADERS_TOO_LONG }, {});
  }

  /** More sockets of an address than it may have at all: they are closed unread. */
  tooManySockets(remote: string): void {
    const address = ownerOf(clientAddress(remote, undefined, this.#options.proxies));
    // Those of proxies that are trusted are not counted.
    const explanation = { hint: PROXY_HINT };
    this.#rejections.add({ address, reason: 'too many sockets of this address', explanation }, {});
  }

  /** What a page may do that sends this request. */
  trustIn(request: IncomingMessage): OriginTrust {
    return trustIn(originOf(request), this.#hostOf(request), this.#options.allowedOrigins);
  }

  #hostOf({ socket, headers }: IncomingMessage): string | undefined {
    return requestedHost(socket.remoteAddress, headers, this.#options.proxies);
  }

  /**
   * What would be decided, for a page that cannot see why its upgrade was refused: browsers
   * say nothing of that. It counts as an attempt, and nobody comes in.
   *
   * @throws {UpgradeRefused}
   */
  async ask(upgrade: Upgrade): Promise<void> {
    const address = this.#addressOf(upgrade.request);
    this.#noteOddity(address, lostUpgrade(upgrade.request));
    this.#atDoor++;
    try {
      const { identity } = await this.#mayCome(upgrade, address);
      const newcomer = { address, user: identity.user?.id, room: upgrade.room };
      const limit = this.#options.crowd.reached(newcomer);
      if (limit !== undefined) throw full(limit);
    } finally {
      this.#leavesDoor();
    }
  }

  #checkCooldown(key: string): void {
    const cooldown = this.#options.cooldowns.of(key);
    if (cooldown === undefined) return;
    const { status, message, retryAfter } = cooldown;
    throw new UpgradeRefused(status, message, 'cooldown', { retryAfter });
  }

  #addressOf({ socket, headers }: IncomingMessage): string {
    return clientAddress(socket.remoteAddress, headers['x-forwarded-for'], this.#options.proxies);
  }

  async #mayCome({ room, request }: Upgrade, address: string): Promise<Known> {
    const { crowd, onLimit, isStoreFull, isOpen } = this.#options;
    this.#untrusted.note(request);
    if (isStoreFull()) {
      throw new UpgradeRefused(503, 'the store is not taking writes', 'store-full');
    }
    if (!crowd.mayTry(address)) {
      onLimit('attempts-per-address');
      throw new UpgradeRefused(429, 'too many attempts from your address', 'attempts-per-address', {
        retryAfter: RETRY_AFTER_S,
      });
    }
    const trust = this.trustIn(request);
    const host = this.#hostOf(request);
    if (trust === 'none') {
      const origin = originOf(request) ?? '';
      throw new UpgradeRefused(
        403,
        `pages of ${shownOrigin(origin)} may not connect (ALLOWED_ORIGINS)`,
        'origin',
        { explanation: explainOrigin(origin, host, request) },
      );
    }
    if (isOpen && !isLoopback(request.socket.remoteAddress ?? '')) {
      // On an application's server that others reach.
      throw new UpgradeRefused(
        403,
        'without authentication only this machine may connect',
        'host',
        {
          explanation: { hint: AUTH_HINT },
        },
      );
    }
    if (isOpen && !isLocalHost(host)) {
      throw new UpgradeRefused(
        403,
        'without authentication this server goes by no name but localhost',
        'host',
        { explanation: { host: shownOrigin(host ?? ''), hint: AUTH_HINT } },
      );
    }
    if (trust === 'any') dropAmbientCredentials(request);
    return await this.#identify(room, request);
  }

  async #decide(upgrade: Upgrade, address: string, key: string | undefined): Promise<Admitted> {
    const { room, request } = upgrade;
    const { crowd, onLimit } = this.#options;
    const { identity, brought, from } = await this.#mayCome(upgrade, address);
    const newcomer = { address, user: identity.user?.id, room };
    const limit = crowd.enter(newcomer);
    if (limit !== undefined) {
      onLimit(limit);
      throw full(limit);
    }
    // A socket may be gone before it is a WebSocket.
    const { socket } = request;
    const leave = () => {
      crowd.leave(newcomer);
      this.#leavesDoor();
    };
    if (socket.destroyed) leave();
    else socket.once('close', leave);
    return {
      identity,
      brought,
      address,
      clientKey: key,
      handOver: () => {
        socket.off('close', leave);
        const isStale = this.#concerns(from, room, identity);
        this.#leavesDoor();
        return !isStale;
      },
    };
  }

  async #identify(room: string, request: IncomingMessage): Promise<Known> {
    const { authenticator, patience, clock, onLimit } = this.#options;
    let token: string | undefined;
    try {
      token = readToken(request.url ?? '', request.headers);
      const brought = { token, cookie: request.headers.cookie };
      const asked = this.#ask(room, () => authenticator.ask({ ...brought, room, request }));
      const answer = await within(patience, clock, asked);
      if (answer === undefined) {
        onLimit('handshake');
        throw new AuthRefused('unavailable', 'who you are could not be found out');
      }
      const { identity, from } = answer;
      if (identity.access === 'none') {
        throw new AuthRefused('forbidden', 'this room is not open to you');
      }
      // Else it would come in, be closed in the same moment, and come back.
      if (hasEnded(identity, clock)) {
        throw new AuthRefused('unauthenticated', 'what you were allowed has ended');
      }
      return { identity, brought: authenticator.mayChange ? brought : undefined, from };
    } catch (error) {
      if (error instanceof AuthRefused) {
        const isWithout = error.kind === 'unauthenticated' && token === undefined;
        throw new UpgradeRefused(STATUS[error.kind], error.message, error.kind, {
          explanation: isWithout ? lostToken(request.headers) : undefined,
        });
      }
      throw error;
    }
  }

  /**
   * An answer to a question that was put before something changed is none.
   *
   * @returns how many orders there were before it
   */
  async #ask(
    room: string,
    question: () => Promise<Identity>,
  ): Promise<{ identity: Identity; from: number }> {
    for (let i = 0; i < MAX_ASKED; i++) {
      const from = this.#orders.length;
      const identity = await question();
      if (!this.#concerns(from, room, identity)) return { identity, from };
    }
    throw new AuthRefused('unavailable', 'who you are could not be found out');
  }

  /** Whether anything was ordered about them since. */
  #concerns(from: number, room: string, { user }: Identity): boolean {
    return this.#orders.slice(from).some((order) => isAbout(order, room, user?.id));
  }
}

/** Whether somebody in this room, perhaps known, is meant. */
export function isAbout(order: Order, room: string, user: string | undefined): boolean {
  if (order.kind === 'recheck') return order.user === user;
  if (order.kind === 'delete' || order.kind === 'replace') return order.room === room;
  // At the door nobody has said yet which clients they hold.
  if (order.kind === 'undelete' || order.kind === 'kick-client') return false;
  return order.room === room && (order.user === undefined || order.user === user);
}

/**
 * Which page sends this: it says so itself where browsers do not, when it asks why its upgrade to
 * what it takes for its own host was refused.
 */
function originOf({ headers }: IncomingMessage): string | undefined {
  const told = headers['cowrite-origin'];
  return headers.origin ?? (Array.isArray(told) ? told[0] : told);
}
