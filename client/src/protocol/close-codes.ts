/**
 * The close codes that a Cowrite server sends, and what a client does about each.
 *
 * y-websocket 3.1 treats 4400 to 4499 as final, so a code in that range means
 * "act first, then connect again" for every client. All others are retried, but for 1009 by
 * clients of this package.
 */
export const CLOSE = {
  /** The client sent what no client may send: a malformed frame, a V2 update, a text frame. */
  malformed: 4400,
  /** The token is missing, has expired or was revoked: with a new one the client may come back. */
  unauthenticated: 4401,
  /** The room or its document may not be used by this session (any more). */
  forbidden: 4403,
  /** The room was deleted: whoever has a copy drops it. */
  deleted: 4404,
  /** Another client has written something else under this client's id: their documents will never be the same. */
  conflict: 4409,
  /** The document has reached its size limit, and the session cannot be told so otherwise. */
  tooLarge: 4413,
  /** Internal error, or the room could not be loaded. */
  internal: 1011,
  /** This instance is restarting. */
  restarting: 1012,
  /** Overloaded, or this socket stayed behind for too long. */
  tryAgainLater: 1013,
  /** A single message was larger than the server accepts (sent by `ws` itself): sent again, it would be so again. */
  messageTooBig: 1009,
} as const;

/** One of {@link CLOSE}. */
export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/** Whether a client must not connect again by itself after this code, as things are. */
export function isFinal(code: number): boolean {
  return (code >= 4400 && code <= 4499) || code === CLOSE.messageTooBig;
}

/**
 * Why a server wants no further attempt as things are: the token is missing, has ended or was
 * revoked; the room is not open to this client (any more); it was deleted; another client uses
 * this client's id (`conflict`); its document is full,
 * or what is unsaved is more than the server takes in one message; or this client sent what the server takes for an error.
 */
export type RefusalReason =
  | 'token'
  | 'forbidden'
  | 'deleted'
  | 'conflict'
  | 'too-large'
  | 'protocol';

const REASONS: ReadonlyMap<number, RefusalReason> = new Map([
  [CLOSE.unauthenticated, 'token'],
  [CLOSE.forbidden, 'forbidden'],
  [CLOSE.deleted, 'deleted'],
  [CLOSE.conflict, 'conflict'],
  [CLOSE.tooLarge, 'too-large'],
  [CLOSE.messageTooBig, 'too-large'],
]);

/**
 * What a close code says to people who cannot read numbers.
 *
 * @param code a final one
 */
export function refusalReason(code: number): RefusalReason {
  return REASONS.get(code) ?? 'protocol';
}
