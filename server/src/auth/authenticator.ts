/** The one question that the server asks about somebody, and the ways of answering it. */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import { Endpoint } from './endpoint.js';
import { ANYBODY, AuthRefused, type Identity } from './identity.js';
import { type TokenSettings, Tokens } from './tokens.js';

export interface Question {
  /** NFC-normalised. */
  readonly room: string;
  /** As the client brought it: nobody has looked at it yet. */
  readonly token: string | undefined;
  /** The upgrade; left out when a session renews its token. */
  readonly request?: IncomingMessage;
}

/** @throws {AuthRefused} */
export type Authenticate = (question: Question) => Promise<Identity>;

/**
 * - `'none'`: everybody may do everything.
 * - `{ secret }`, `{ jwksUrl }`, or both: JSON Web Tokens.
 * - `{ url }`: the application's own endpoint is asked.
 */
export type AuthSettings = 'none' | TokenSettings | { readonly url: string };

export interface AuthenticatorOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @throws {TypeError} or {RangeError} when the settings cannot work */
export function authenticatorOf(
  settings: AuthSettings,
  { clock, logger }: AuthenticatorOptions,
): Authenticate {
  if (settings === 'none') return async () => ANYBODY;
  if ('url' in settings) {
    const endpoint = new Endpoint({ url: settings.url, clock, logger });
    return ({ room, token, request }) =>
      endpoint.ask({ room, token, cookie: request?.headers.cookie });
  }
  const tokens = new Tokens(settings, clock);
  return async ({ room, token }) => {
    if (token === undefined) throw new AuthRefused('unauthenticated', 'there is no token');
    return await tokens.verify(token, room);
  };
}
