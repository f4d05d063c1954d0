/**
 * Why no WebSocket could be opened, which browsers do not say: a Cowrite server tells it to
 * whoever asks for the room over plain HTTP with the same token.
 *
 * Owns what counts as an answer: only a refusal that bears the server's own header. Anything
 * else (no network, another server, a proxy with pages of its own) says nothing.
 */
import type { CloseReason } from './connection.js';
import { CLOSE } from './protocol/index.js';

export type Fetch = typeof fetch;

/** Milliseconds for an answer. */
const PATIENCE = 10_000;
/** Characters of the reason that are kept; a close frame has room for no more. */
const MAX_REASON = 123;

const CODES: ReadonlyMap<string | null, number> = new Map([
  ['token', CLOSE.unauthenticated],
  ['forbidden', CLOSE.forbidden],
]);

/**
 * @param address of the WebSocket
 * @returns the close code that says the same of an open socket, null where the answer is no
 *   refusal, or undefined where there is none
 */
export async function askAtDoor(
  fetch: Fetch,
  address: string,
  token: string,
): Promise<CloseReason | null | undefined> {
  try {
    const response = await fetch(address.replace(/^ws/, 'http'), {
      headers: token === '' ? {} : { Authorization: `Bearer ${token}` },
      // As a WebSocket does: where cookies say who somebody is, without them it would be nobody.
      credentials: 'include',
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE),
    });
    const code = CODES.get(response.headers.get('Cowrite-Refusal'));
    if (code === undefined) return null;
    return { code, reason: (await response.text()).trim().slice(0, MAX_REASON) };
  } catch {
    // Nobody is there, or this page may not ask: the next attempt will show.
    return undefined;
  }
}
