/**
 * What an application passes to the provider, and what it hears from it.
 *
 * Owns the checks: an option that could never work is refused when the provider
 * is made, with a message that says what to do.
 */
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import { type Clock, systemClock } from './clock.js';
import type { Fetch } from './door.js';
import { checkProtocols, checkRoom, type Params, resolveUrl, tokenProtocols } from './endpoint.js';
import type { CopySettings } from './offline.js';
import type { CopyOf } from './offline-database.js';
import {
  type Access,
  COWRITE_SUBPROTOCOL,
  type RefusalReason,
  type RejectReason,
} from './protocol/index.js';
import type { Positions } from './safe-state.js';
import type { SocketConstructor } from './socket.js';
import { type TabsBrowser, tabsBrowser } from './tabs.js';
import { subjectOf, type TokenSource } from './token.js';

/**
 * - `offline`: not connected and not trying, until `connect()`.
 * - `connecting`: an attempt is under way.
 * - `syncing`: connected; the document does not hold all of the room yet.
 * - `online`: connected and synced.
 * - `retrying`: the connection was lost or could not be made; the next attempt is at
 *   `nextRetryAt`, or when the page runs again.
 * - `refused`: the server does not want another attempt as things are; see `refusal`.
 *   What was written stays in the document. `connect()` tries again.
 * - `closed`: the provider is destroyed.
 */
export type CowriteStatus =
  | 'offline'
  | 'connecting'
  | 'syncing'
  | 'online'
  | 'retrying'
  | 'refused'
  | 'closed';

/** Why the server does not want another attempt. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** The close code: from 4400 to 4499, or 1009. */
  readonly code: number;
  /** As the server words it; may be empty. */
  readonly message: string;
}

/** Whether and how a provider is connected. */
export interface StatusChange {
  readonly status: CowriteStatus;
  readonly nextRetryAt: Date | null;
  readonly refusal: Refusal | null;
}

/** What the server refused. */
export interface Rejection {
  readonly reason: RejectReason;
  readonly isTakenBack: boolean;
}

/** What was unsaved in a document that was deleted, or whose place another has taken. */
export interface RecoverableCopy {
  /** Which of the documents of the room's name it was: later ones have higher numbers. Null if no server has said. */
  readonly generation: number | null;
  /** When it was preserved, by this browser's clock. */
  readonly at: Date;
  /** The whole document, with what was unsaved, as an update of Yjs. */
  readonly update: Uint8Array;
  /** The same without what was unsaved, as far as it is known what that was. */
  readonly before: Uint8Array;
  /** Removes it from this browser. */
  discard(): Promise<void>;
}

/** What a {@link CowriteProvider} emits, by event. */
export interface CowriteProviderEvents {
  status: StatusChange;
  /** `synced` has changed. */
  synced: boolean;
  /** The same as `synced`, under the name that y-websocket gives it. */
  sync: boolean;
  /** `unsaved` has changed. */
  unsaved: boolean;
  /** `loaded` has turned true. */
  loaded: undefined;
  /** Every local change is on disk. */
  saved: { readonly at: Date };
  /** What this client may do in the room has changed. */
  access: Access;
  /**
   * The server refused a change, and nobody else will see it. It has been taken back from the
   * document, unless `isTakenBack` is false: content that was in the document before this
   * provider stays, unsaved, and only a new document shows what the others see; where there is
   * an offline copy, after `clearOffline()`.
   */
  rejected: Rejection;
  /** The server closed the connection and wants no other attempt. */
  refused: Refusal;
  /**
   * An observer of the document threw while a change from elsewhere was applied. The document has
   * the change; what the observer keeps may have come apart from it, such as what an editor shows,
   * and then what is typed there may never be in the document. The error is uncaught as well.
   */
  'observer-error': { readonly error: unknown };
  /** An attempt failed, or the server sent something of no use. Retried where that can help. */
  'connection-error': { readonly error: Error };
}

/** What a {@link CowriteProvider} is made with. */
export interface CowriteProviderOptions {
  /** The server, such as `wss://host/ws`; http and https work as well, and in browsers a path such as `/ws`. */
  readonly url: string;
  /** The room's name: any text but `.` and `..`. */
  readonly room: string;
  /** Stays the caller's. Without it the awareness's document is used, or a new one made. */
  readonly doc?: Y.Doc | undefined;
  /** Stays the caller's. Without it one is made, and destroyed together with the provider. */
  readonly awareness?: Awareness | undefined;
  /** Whether to connect at once; true if left out. */
  readonly connect?: boolean | undefined;
  /**
   * Who this is, for a server that asks. A function is called before each attempt to
   * connect; where it returns a JSON Web Token, also some time before that ends, and the
   * session goes on with the new one. It never stands in an address. Visible ASCII, at most
   * 16 KB: another is a `TypeError`, of a function the status `refused`.
   */
  readonly token?: TokenSource | undefined;
  /** What `generation` of the provider said when the application stored the document, if it did. */
  readonly generation?: number | null | undefined;
  /** Subprotocols offered besides `cowrite.v1`; a function is called before each attempt. */
  readonly protocols?: readonly string[] | (() => readonly string[]) | undefined;
  /** The address's query; a function is called before each attempt, so that it can hold a fresh token. */
  readonly params?: Params | (() => Params) | undefined;
  /**
   * Whether a browser is to ask before it closes the page while something is unsaved, and not
   * in an offline copy either; true if left out. What nobody has received is gone with the page.
   */
  readonly warnBeforeUnload?: boolean | undefined;
  /**
   * Whether this browser keeps a copy of the document, which is there before the network is
   * and takes what is written without it; false if left out. It has to be known who
   * {@link user} is. `maxBytes`, 100 MB if left out, bounds all copies of the page's origin:
   * those that were not used for longest go first, but none that holds something unsaved.
   */
  readonly offline?: boolean | { readonly maxBytes?: number | undefined } | undefined;
  /**
   * Whether the tabs of one browser that have this room open share one socket, and each other's
   * edits also while there is none; true if left out. They do so in pages where it is known
   * who {@link user} is, and where the browser has BroadcastChannel and Web Locks, which an
   * insecure page lacks; in all others each tab has a socket of its own. What a user may do
   * is for all of their tabs what the token of the one with the socket says.
   */
  readonly tabs?: boolean | undefined;
  /**
   * Who this is: any text that is another one for another user, such as an id. Tabs of
   * different users have nothing in common, nor do their offline copies. Left out, it is the `sub` of a `token` that is a
   * text, or nobody where there are no `token`, `params` and `protocols`; of anything else
   * it is not known who it is. Cookies tell a page nothing: say who it is where they decide.
   */
  readonly user?: string | undefined;
  /** The constructor to use; needed in Node 20, which has none of its own: pass that of `ws`. */
  readonly WebSocket?: SocketConstructor | undefined;
  /**
   * Names of the fields of awareness states that hold relative positions: `ranges`, with an
   * `anchor` and a `head`, are `cursor` and `selection` if left out, `points` are `anchor`, `head`,
   * `anchorPos` and `focusPos`. What stands there in a state of somebody else and is none is not handed over, because
   * editors throw at it. Give `{ ranges: [] }` if your application means something else by `cursor`.
   */
  readonly positions?: Positions | undefined;
  /** Milliseconds between two sends of the own awareness state, from 0 to 10,000; 50 if left out. */
  readonly awarenessInterval?: number | undefined;
  /** What asks why a socket was refused; that of the platform if left out. For tests. */
  readonly fetch?: Fetch | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
  /** @internal For tests. */
  readonly browser?: TabsBrowser | undefined;
  /** For tests; returns numbers from 0 up to, not including, 1. */
  readonly random?: (() => number) | undefined;
}

export interface Settings {
  readonly url: string;
  readonly room: string;
  readonly token: TokenSource;
  readonly protocols: () => readonly string[];
  readonly params: () => Params;
  /** Null if no copy is kept. */
  readonly copy: CopySettings | null;
  /** What the tabs that share a socket have in common; null if this one is alone. */
  readonly group: { readonly name: string; readonly browser: TabsBrowser } | null;
  readonly WebSocket: SocketConstructor;
  readonly awarenessInterval: number;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Bytes of all copies of an origin together. */
const MAX_OFFLINE_BYTES = 100 * 1024 * 1024;

/** @throws {TypeError} when an option cannot work. @throws {RangeError} when the interval is out of range. */
export function settingsOf(options: CowriteProviderOptions): Settings {
  const { room, token = '', protocols = [], params = {}, awarenessInterval = 50 } = options;
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (typeof options.url !== 'string') throw new TypeError('url is not a string');
  if (typeof room !== 'string') throw new TypeError('room is not a string');
  if (typeof WebSocket !== 'function') {
    throw new TypeError('there is no WebSocket here: pass one as an option');
  }
  if (!(awarenessInterval >= 0 && awarenessInterval <= 10_000)) {
    throw new RangeError('awarenessInterval is not between 0 and 10,000 milliseconds');
  }
  if (typeof token !== 'string' && typeof token !== 'function') {
    throw new TypeError('token is neither a string nor a function');
  }
  for (const names of [options.positions?.ranges, options.positions?.points]) {
    if (names !== undefined && !Array.isArray(names)) {
      throw new TypeError('positions.ranges and positions.points are lists of names');
    }
  }
  checkRoom(room);
  if (typeof token === 'string') tokenProtocols(token);
  if (typeof protocols !== 'function') checkProtocols([COWRITE_SUBPROTOCOL, ...protocols]);
  if (options.user !== undefined && typeof options.user !== 'string') {
    throw new TypeError('user is not a string');
  }
  const url = resolveUrl(options.url);
  const user = userOf(options);
  return {
    url,
    room,
    copy: copyOf({ url, room, user }, options),
    group: groupOf({ url, room, user }, options),
    token,
    protocols: typeof protocols === 'function' ? protocols : () => protocols,
    params: typeof params === 'function' ? params : () => params,
    WebSocket,
    awarenessInterval,
    // Called as a method of anything else, browsers refuse.
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}

/** What is known of whom a document is opened for; `user` is null if that is not. */
type For = Omit<CopyOf, 'user'> & { readonly user: string | null };

function groupOf({ url, room, user }: For, options: CowriteProviderOptions): Settings['group'] {
  const browser = options.browser ?? tabsBrowser();
  if (options.tabs === false || browser === undefined || user === null) return null;
  // The number is that of what the tabs say to each other: versions that differ do not meet. Nor do
  // those that keep a copy and those that do not: what is in the copy has to be in the document.
  const isKept = Boolean(options.offline);
  return { name: `cowrite 1 ${JSON.stringify([url, room, user, isKept])}`, browser };
}

function copyOf({ url, room, user }: For, { offline }: CowriteProviderOptions): Settings['copy'] {
  if (!offline) return null;
  if (user === null) {
    throw new TypeError('offline copies need to know whose they are: pass the option user');
  }
  const { maxBytes = MAX_OFFLINE_BYTES } = offline === true ? {} : offline;
  if (!(maxBytes > 0)) throw new RangeError('offline.maxBytes is not above 0');
  return { of: { url, room, user }, maxBytes };
}

/** @returns null if it is not known */
function userOf({ user, token = '', params, protocols }: CowriteProviderOptions): string | null {
  if (user !== undefined) return `user ${user}`;
  if (typeof token !== 'string') return null;
  if (token !== '') {
    const subject = subjectOf(token);
    return subject === null ? null : `user ${subject}`;
  }
  return params === undefined && protocols === undefined ? 'nobody' : null;
}
