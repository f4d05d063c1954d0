/** Tokens that are good, and tokens that are not. */
import { createHmac } from 'node:crypto';
import type { Dice } from '../test/seeded.js';

export const SECRET = 'what the server under fuzz signs with';
/** Of attackers; the server lets each have 200 connections. */
const USERS = 24;
const HOUR = 3_600;

export interface Claims {
  readonly sub?: string;
  readonly exp?: number;
  readonly rooms?: unknown;
  readonly [claim: string]: unknown;
}

export function signed(claims: Claims, secret = SECRET, alg = 'HS256'): string {
  const whole = { exp: now() + HOUR, ...claims };
  const head = `${encoded({ alg, typ: 'JWT' })}.${encoded(whole)}`;
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
}

/** For everything under one prefix, and nothing else. */
export function tokenFor(prefix: string, user: string, access = 'write'): string {
  return signed({ sub: user, rooms: { [`${prefix}*`]: access } });
}

export function aUser(dice: Dice): string {
  return `user ${dice.below(USERS)}`;
}

/** None of them opens a room. */
export function aBadToken(prefix: string, user: string, dice: Dice): string {
  const rooms = { [`${prefix}*`]: 'write' };
  const good = { sub: user, rooms };
  return dice.pick([
    () => signed(good, 'another secret than that of the server'),
    () => signed(good, SECRET, 'none'),
    () => signed(good, SECRET, 'RS256'),
    () => signed({ ...good, exp: now() - HOUR }),
    () => signed({ ...good, nbf: now() + HOUR }),
    () => signed({ ...good, exp: 2 ** 53 * 2 ** 60, sub: '' }),
    () => signed({ ...good, rooms: { ...rooms, x: 'admin' } }),
    () => signed({ ...good, rooms: ['*'] }),
    () => signed({ ...good, rooms: { __proto__: 'write', constructor: 'write' } }),
    () => signed({ ...good, sub: '\u0000'.repeat(300) }),
    () => `${encoded({ alg: 'none' })}.${encoded({ ...good, exp: now() + HOUR })}.`,
    () => `${signed(good)}x`,
    () => signed(good).slice(0, -5),
    () => 'x'.repeat(8_200),
    () => '..',
  ])();
}

/** Ends while its session is open. */
export function aShortToken(prefix: string, user: string): string {
  return signed({ sub: user, rooms: { [`${prefix}*`]: 'write' }, exp: now() + 1 });
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
