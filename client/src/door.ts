/**
 * Why no WebSocket could be opened, which browsers do not say: a Cowrite server tells it to
 * whoever asks for the room over plain HTTP with the same token.
 *
 * Owns what counts as an answer: only a refusal that bears the server's own header, or a 429 of
 * anybody that says how long to wait. Anything else (no network, another server, a proxy with pages of
 * its own) says nothing.
 */
import type { CloseReason } from './connection.js';
import { CLOSE } from './protocol/index.js';

/** A refusal as a close code would tell it; or no code, and how long to wait at least. */
export interface Answer extends CloseReason {
  /** Seconds; 0 where it is a refusal. */
  readonly wait: number;
}

export type Fetch = typeof fetch;

/** Milliseconds for an answer. */
const PATIENCE = 10_000;
/** Seconds that no answer makes a client wait for longer than: a proxy may say anything. */
const MAX_WAIT = 60;
const TOO_MANY = 429;
/** Characters of the reason that are kept; a close frame has room for no more. */
const MAX_REASON = 123;

/** As servers answer headers or an address that are longer than they take; nginx and HAProxy say 400. */
const TOO_LONG: readonly number[] = [400, 414, 431];

const CODES: ReadonlyMap<string | null, number> = new Map([
  ['token', CLOSE.unauthenticated],
  ['forbidden', CLOSE.forbidden],
]);

/**
 * @param address of the WebSocket
 * @returns the close code that says the same of an open socket, or how long to wait; an error where
 *   the question itself was too long for somebody, null where the answer says none of it, or
 *   undefined where there is none
 */
export async function askAtDoor(
  fetch: Fetch,
  address: string,
  token: string,
): Promise<Answer | Error | null | undefined> {
  const url = address.replace(/^ws/, 'http');
  const headers = {
    ...(token !== '' && { Authorization: `Bearer ${token}` }),
    ...originFor(url),
  };
  const ask = async (credentials: RequestCredentials) =>
    await fetch(url, {
      headers,
      credentials,
      cache: 'no-store',
      // React Native has none.
      signal: AbortSignal.timeout?.(PATIENCE) ?? null,
    });
  try {
    // As a WebSocket does: where cookies say who somebody is, without them it would be nobody.
    return await readAnswer(await ask('include'));
  } catch {
    // Nobody is there, or pages like this one have to ask without: that the server says, because
    // of anybody else's the answer without cookies would be about nobody.
    try {
      const response = await ask('omit');
      return response.headers.get('Cowrite-Credentials') === 'ignored'
        ? await readAnswer(response)
        : undefined;
    } catch {
      // The next attempt will show.
      return undefined;
    }
  }
}

/**
 * An upgrade says which origin its page is of; of the questions of a page, browsers say it only to
 * another origin. So where the page takes the server for its own, it says it itself: a proxy that
 * changes the `Host` makes it another one for the server.
 */
function originFor(url: string): Record<string, string> {
  const origin = (globalThis as { location?: { origin?: string } }).location?.origin;
  return origin !== undefined && origin === new URL(url).origin ? { 'Cowrite-Origin': origin } : {};
}

async function readAnswer(response: Response): Promise<Answer | Error | null> {
  const { headers, status } = response;
  const code = CODES.get(headers.get('Cowrite-Refusal')) ?? 0;
  const asked = status === TOO_MANY ? Number(headers.get('Retry-After')) : 0;
  const wait = asked > 0 ? Math.min(asked, MAX_WAIT) : 0;
  if (code || wait) {
    return { code, reason: (await response.text()).trim().slice(0, MAX_REASON), wait };
  }
  if (!TOO_LONG.includes(status)) return null;
  return new Error(
    `the server, or a proxy in front of it, answers ${status}: the token, the cookies or the address may be longer than it takes`,
  );
}
