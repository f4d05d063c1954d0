/** The secret that tokens are signed with, and how long it has to be. */

/** RFC 7518, 3.2: a key of the size of the hash or larger. */
export const MIN_SECRET = 32;

/** @throws {RangeError} when it is too short */
export function secretOf(secret: string): Uint8Array {
  const bytes = new TextEncoder().encode(secret);
  if (bytes.length < MIN_SECRET) {
    throw new RangeError(`the secret has ${bytes.length} bytes, fewer than ${MIN_SECRET}`);
  }
  return bytes;
}
