/**
 * Who a session is and what it may do in its room: what every way of authentication
 * comes to, and what of it is bound into what others are shown.
 */
import type { Clock } from '../clock.js';

/** `none`: the room is not open to them. */
export type Access = 'write' | 'read' | 'none';

export interface User {
  /** Unique among the users of the application, and compared as it is. What it may be, `user-id.ts` says. */
  readonly id: string;
  /** As others are shown it. */
  readonly name?: string | undefined;
}

export interface Identity {
  /** Whoever has none is shown to others as they say themselves. */
  readonly user?: User | undefined;
  readonly access: Access;
  /** When this ends, unless it is renewed; left out for never. */
  readonly expiresAt?: Date | undefined;
}

export function hasEnded({ expiresAt }: Identity, clock: Pick<Clock, 'date'>): boolean {
  return expiresAt !== undefined && expiresAt.getTime() <= clock.date();
}

/** Somebody whom nobody knows, among others who are known. */
export const GUEST = 'guest';
export type Guest = typeof GUEST;

/** What everybody is where nobody is asked. */
export const ANYBODY: Identity = Object.freeze({ access: 'write' });

export type RefusalKind = 'unauthenticated' | 'forbidden' | 'unavailable';

/**
 * Somebody does not come in. The message is told to them and may be logged, so it
 * holds nothing of a token.
 *
 * - `unauthenticated`: with another token, perhaps
 * - `forbidden`: not into this room
 * - `unavailable`: it could not be found out; later, perhaps
 */
export class AuthRefused extends Error {
  override readonly name = 'AuthRefused';
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/**
 * A state as others may see it: its `user.id`, and `user.name` where that is known, are
 * those of the user, and a guest has no `user.id`. A state that is no object can show nobody.
 */
export function bindUser(state: unknown, user: User | Guest): unknown {
  if (!isObject(state)) return state;
  if (user === GUEST) {
    if (!isObject(state.user)) return state;
    const { id: _, ...rest } = state.user;
    return { ...state, user: rest };
  }
  const { id, name } = user;
  const shown = isObject(state.user) ? state.user : {};
  return { ...state, user: { ...shown, id, ...(name !== undefined && { name }) } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
