/** What an application that embeds the server gives it, and gets. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { HttpServer } from './attach.js';
import type { AuthenticateHook, AuthSettings } from './auth/authenticator.js';
import type { Clock } from './clock.js';
import type { Limits } from './limits.js';
import type { Ended, KickOptions } from './orders.js';
import type { Presence } from './presence/presence.js';
import type { Relay } from './relay/relay.js';
import type { StorageLost } from './storage/lock.js';
import type { Quarantined, Storage } from './storage/storage.js';

/** Calls into the application that embeds the server. One that throws or rejects closes at most its own session. */
export interface Hooks {
  /**
   * Decides who somebody is and what they may do in a room, instead of
   * {@link ServerOptions.auth}: at the upgrade, before the handshake ends; and when a
   * session brings a new token, or its user is rechecked: then there is no request. The
   * token is as the client brought it. Throw {@link AuthRefused} to refuse. Whatever else
   * it throws, or an answer that is none, is logged, and the client tries again.
   */
  authenticate?: AuthenticateHook | undefined;
  /** All entries of the room's log up to `seq` are on disk. Called often: once a commit and room. */
  onSaved?(about: { readonly room: string; readonly seq: number }): void;
  /** Updates of another instance have arrived, `lagMs` after it sent them by the clocks of both machines. */
  onRelayed?(about: { readonly updates: number; readonly lagMs: number }): void;
  /** Entries of the room's log could not be part of the document and were set aside. */
  onQuarantine?(about: { readonly room: string; readonly entries: readonly Quarantined[] }): void;
}

export interface ServerOptions {
  /**
   * An HTTP or HTTPS server of the application, to use in the place of one of its own: rooms are at
   * {@link path} there, and everything else is left to the application. It may listen already. Close
   * this server before that one.
   */
  readonly server?: HttpServer | undefined;
  /** Where rooms are on {@link server}: `<path>/<room>`. Default `/ws`. */
  readonly path?: string | undefined;
  /** 0 takes a free port. Default 8080. */
  readonly port?: number | undefined;
  /** Default 127.0.0.1: this machine only. Any other needs {@link auth}, or the hook `authenticate`. */
  readonly host?: string | undefined;
  /**
   * Who may come in. Left out, and without the hook `authenticate`, everybody on this
   * machine may do everything; `'none'` says that everybody else may, too.
   */
  readonly auth?: AuthSettings | undefined;
  /** Origins of pages that may connect besides those of this host, such as `https://app.example`; `*` for all. One that no page can be of is a `TypeError`. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are believed: addresses, nets such as `10.0.0.0/8`, `loopback`. Default none. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Whether others are shown those who may only read. Default true. */
  readonly areReadersPresent?: boolean | undefined;
  /**
   * `lmdb:<folder>`, `postgres://…`, `redis://…`, `memory:`, or an adapter, which the
   * server closes when it closes. Default `lmdb:./data`, or `redis` where that is an address.
   */
  readonly storage?: string | Storage | undefined;
  /**
   * Whether an `lmdb:` folder may be on a network file system, or on one without file locks:
   * what was saved can be lost there. Default false.
   */
  readonly allowNetworkFolder?: boolean | undefined;
  /**
   * Where several instances meet: the address of a Redis, or adapters, which the
   * server closes when it closes. Needs a storage that instances can share.
   */
  readonly redis?: string | { readonly relay: Relay; readonly presence: Presence } | undefined;
  /** What `Authorization: Bearer` has to have for `/api` and `/metrics`; without it there are none. At least 32 bytes. */
  readonly adminToken?: string | undefined;
  /** A port of their own for the metrics, without a token; 0 takes a free one. `host` is 127.0.0.1 if left out. */
  readonly metrics?: { readonly port: number; readonly host?: string | undefined } | undefined;
  /** Folder of a built web app to serve at `/`. */
  readonly staticDir?: string | undefined;
  /**
   * Where the application shows a document, with `{room}` in it, such as `https://docs.example/d/{room}`:
   * the administrator's page links to it.
   */
  readonly documentUrl?: string | undefined;
  readonly hooks?: Hooks | undefined;
  readonly limits?: { readonly [Name in keyof Limits]?: Limits[Name] | undefined } | undefined;
  /** A pino logger, or a level for one that writes JSON to stdout. Default `'info'`. */
  readonly logger?: Logger | string | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
  /** From 0 to below 1, for jitter; for tests. */
  readonly random?: (() => number) | undefined;
}

export interface CowriteServer {
  /** Where the metrics are without a token, if that was asked for. */
  readonly metricsUrl: string | undefined;
  /**
   * Answers whatever a server of its own answers beside rooms: `/health`, `/metrics`, `/api`, `/admin`,
   * and the files of {@link ServerOptions.staticDir}; by `request.url`, from which an application takes
   * the path away under which it shows that. A body must not have been read.
   */
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  /** Where it listens, such as `http://127.0.0.1:8080`; empty while a server that it was given does not. */
  readonly url: string;
  readonly port: number;
  /**
   * Kicks those in a room, one user of them or one client, on every instance: their sockets are closed with 4403.
   * Nothing keeps them from coming back but what they are allowed then; clients that come back
   * by themselves, as those of y-websocket, are refused for a minute.
   *
   * @returns how many sessions that were here, and whether the other instances were told
   * @throws {TypeError} for what is no room's name, or no user's id
   */
  kick(room: string, about?: KickOptions): Ended;
  /**
   * What a user may do has changed: on every instance their sessions are asked about again,
   * or, where that is for a token to say, closed with 4401 until they bring a new one.
   *
   * @throws {TypeError} for what is no user's id
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
  /**
   * Settles as {@link close} or {@link drain} do, whoever asked for it: an administrator may have.
   * Rejects with {@link StorageLost} where another process has taken the store: the server has
   * ended by itself then.
   */
  readonly whenClosed: Promise<void>;
}
