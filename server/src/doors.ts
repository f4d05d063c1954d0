/**
 * Who may come in: everything that is decided about an upgrade before the handshake ends.
 *
 * In an order in which what costs least comes first: whether the store takes anything, how
 * often this address has tried, where the page is from, who that is, and whether there
 * is room.
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { clientAddress, type TrustedProxies } from './address.js';
import type { Authenticator } from './auth/authenticator.js';
import { readToken } from './auth/credentials.js';
import { AuthRefused, type Identity, type RefusalKind } from './auth/identity.js';
import { isLocalHost, mayConnect } from './auth/origin.js';
import type { Clock } from './clock.js';
import type { Crowd, CrowdLimit } from './crowd.js';
import type { LimitName } from './limits.js';
import type { Credentials } from './standing.js';
import { type Upgrade, UpgradeRefused } from './transport.js';
import { within } from './within.js';

export interface DoorsOptions {
  readonly authenticator: Authenticator;
  readonly crowd: Crowd;
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
  /** Their socket is another's business from now on, who tells the crowd when it is gone. */
  handOver(): void;
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

/** Times that somebody is asked about again because something has changed meanwhile. */
const MAX_ASKED = 5;

export class Doors {
  readonly #options: DoorsOptions;
  /** How often what was said of somebody has become doubtful. */
  #changes = 0;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** Somebody was shown out, or has to be asked about again: so have those who are at the door now. */
  reconsider(): void {
    this.#changes++;
    this.#options.authenticator.forget();
  }

  /** @throws {UpgradeRefused} */
  async admit(upgrade: Upgrade): Promise<Admitted> {
    const { request, room } = upgrade;
    const { proxies, logger } = this.#options;
    const address = clientAddress(
      request.socket.remoteAddress,
      request.headers['x-forwarded-for'],
      proxies,
    );
    try {
      return await this.#decide(upgrade, address);
    } catch (error) {
      if (error instanceof UpgradeRefused) {
        const { status, message } = error;
        logger.info({ room, address, status, reason: message }, 'not let in');
      }
      throw error;
    }
  }

  async #decide({ room, request }: Upgrade, address: string): Promise<Admitted> {
    const { crowd, onLimit, isStoreFull, allowedOrigins, isOpen } = this.#options;
    if (isStoreFull()) throw new UpgradeRefused(503, 'the store is not taking writes');
    const { origin, host } = request.headers;
    if (!crowd.mayTry(address)) {
      onLimit('attempts-per-address');
      throw new UpgradeRefused(429, 'too many attempts from your address');
    }
    if (!mayConnect(origin, host, allowedOrigins)) {
      throw new UpgradeRefused(403, 'pages of this origin may not connect (ALLOWED_ORIGINS)');
    }
    if (isOpen && !isLocalHost(host)) {
      throw new UpgradeRefused(
        403,
        'without authentication this server goes by no name but localhost',
      );
    }
    const { identity, brought } = await this.#identify(room, request);
    const newcomer = { address, user: identity.user?.id, room };
    const limit = crowd.enter(newcomer);
    if (limit !== undefined) {
      onLimit(limit);
      throw new UpgradeRefused(...FULL[limit]);
    }
    // A socket may be gone before it is a WebSocket.
    const { socket } = request;
    const leave = () => crowd.leave(newcomer);
    if (socket.destroyed) leave();
    else socket.once('close', leave);
    return { identity, brought, address, handOver: () => socket.off('close', leave) };
  }

  async #identify(
    room: string,
    request: IncomingMessage,
  ): Promise<{ identity: Identity; brought: Credentials | undefined }> {
    const { authenticator, patience, clock, onLimit } = this.#options;
    try {
      const token = readToken(request.url ?? '', request.headers);
      const brought = { token, cookie: request.headers.cookie };
      const asked = this.#ask(() => authenticator.ask({ ...brought, room, request }));
      const identity = await within(patience, clock, asked);
      if (identity === undefined) {
        onLimit('handshake');
        throw new AuthRefused('unavailable', 'who you are could not be found out');
      }
      if (identity.access === 'none') {
        throw new AuthRefused('forbidden', 'this room is not open to you');
      }
      return { identity, brought: authenticator.mayChange ? brought : undefined };
    } catch (error) {
      if (error instanceof AuthRefused) throw new UpgradeRefused(STATUS[error.kind], error.message);
      throw error;
    }
  }

  /** An answer to a question that was put before something changed is none. */
  async #ask(question: () => Promise<Identity>): Promise<Identity> {
    for (let i = 0; i < MAX_ASKED; i++) {
      const before = this.#changes;
      const identity = await question();
      if (before === this.#changes) return identity;
    }
    throw new AuthRefused('unavailable', 'who you are could not be found out');
  }
}
