/** The one question that the server asks about somebody, and the ways of answering it. */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import { identityOf } from './answer.js';
import { Endpoint } from './endpoint.js';
import { ANYBODY, AuthRefused, type Identity } from './identity.js';
import type { TokenSettings } from './tokens.js';

export interface Question {
  /** NFC-normalised. */
  readonly room: string;
  /** As the client brought it: nobody has looked at it yet. */
  readonly token: string | undefined;
  readonly cookie?: string | undefined;
  /** The upgrade; left out when somebody who is in is asked about again. */
  readonly request?: IncomingMessage;
}

export interface Authenticator {
  /** @throws {AuthRefused} */
  ask(question: Question): Promise<Identity>;
  /**
   * Whether the same question may have another answer later. Where it may not, somebody is
   * asked about again by having them bring another token.
   */
  readonly mayChange: boolean;
  /** What was answered so far is not to be answered again from memory. */
  forget(): void;
}

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
export async function authenticatorOf(
  settings: AuthSettings,
  { clock, logger }: AuthenticatorOptions,
): Promise<Authenticator> {
  if (settings === 'none') {
    return { mayChange: false, ask: async () => ANYBODY, forget: () => undefined };
  }
  if ('url' in settings) {
    const endpoint = new Endpoint({ url: settings.url, clock, logger });
    return {
      mayChange: true,
      ask: ({ room, token, cookie }) => endpoint.ask({ room, token, cookie }),
      forget: () => endpoint.forget(),
    };
  }
  // Only who takes tokens has what reads them in memory.
  const { Tokens } = await import('./tokens.js');
  const tokens = new Tokens(settings, { clock, logger });
  return {
    mayChange: false,
    ask: async ({ room, token }) => {
      if (token === undefined) throw new AuthRefused('unauthenticated', 'there is no token');
      return await tokens.verify(token, room);
    },
    forget: () => undefined,
  };
}

/** The application's own function. */
export type AuthenticateHook = (about: {
  readonly room: string;
  readonly token: string | undefined;
  readonly request?: IncomingMessage;
}) => Identity | Promise<Identity>;

/** What the hook throws is its own affair, unless it is a refusal. */
export function authenticatorOfHook(hook: AuthenticateHook, logger: Logger): Authenticator {
  return {
    mayChange: true,
    ask: async ({ room, token, request }) => {
      try {
        return identityOf(await hook({ room, token, ...(request !== undefined && { request }) }));
      } catch (error) {
        if (error instanceof AuthRefused) throw error;
        logger.error({ err: error, hook: 'authenticate' }, 'a hook threw');
        throw new AuthRefused('unavailable', 'internal error');
      }
    },
    forget: () => undefined,
  };
}
