/** Tokens of people who are in many groups, and the cookies that their browsers bring beside them. */
import { SignJWT } from 'jose';
import { SECRET } from './visitors.js';

export const COOKIES = `session=${'c'.repeat(6 * 1024)}`;

/** A good token for all rooms, a few bytes shorter than so many. */
export async function longToken(bytes: number): Promise<string> {
  const sign = async (padding: number) =>
    await new SignJWT({ rooms: { '*': 'write' }, groups: 'g'.repeat(padding) })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject('ada')
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(SECRET));
  const { length } = await sign(0);
  return await sign(Math.floor(((bytes - length) * 3) / 4) - 2);
}
