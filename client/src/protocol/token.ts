/**
 * How a token stands in a subprotocol, and what it may be: one definition for both ends.
 *
 * Pure. Nothing that is said of a token holds any of it.
 */

/** A subprotocol that begins so is none: what follows is the client's token. */
export const TOKEN_SUBPROTOCOL = 'cowrite.token.';

/** So is one that begins so: what follows is the token in base64url, for what no subprotocol can hold. */
export const ENCODED_TOKEN_SUBPROTOCOL = 'cowrite.token-base64url.';

/** Bytes of a token at most: with it in base64url, 6 KB of cookies and what browsers add, headers stay under 32 KB. */
export const MAX_TOKEN_BYTES = 16 * 1024;

/** Whether a client that offers this subprotocol shows its token by it. */
export function isTokenSubprotocol(name: string): boolean {
  return name.startsWith(TOKEN_SUBPROTOCOL) || name.startsWith(ENCODED_TOKEN_SUBPROTOCOL);
}

/**
 * Why a text can be nobody's token: it has to fit into a header, and into one that proxies pass on.
 *
 * @returns undefined where it can be one
 */
export function tokenProblem(token: string): string | undefined {
  if (token.length > MAX_TOKEN_BYTES) return `the token is longer than ${MAX_TOKEN_BYTES} bytes`;
  if (!/^[\x21-\x7e]*$/.test(token)) {
    return 'the token has a space, or another character that is not visible ASCII';
  }
  return undefined;
}
