/**
 * What only whoever runs the server may do: metrics, ending sessions, deleting rooms. Each of these routes
 * asks for the administrator's token; without one being set they are closed.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, Env, Hono, Next } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { MAX_ID } from './auth/tokens.js';
import { checkRoomName, type RoomName } from './room-name.js';

export interface AdminOptions {
  /** Undefined: there is nobody who may. */
  readonly adminToken: string | undefined;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  kick(room: string, about: KickOptions): Ended;
  recheck(user: string): Ended;
  /** @throws whatever the store throws */
  remove(room: string): Promise<Ended>;
  /** @returns false for one that is not deleted @throws whatever the store throws */
  revive(room: string): Promise<boolean>;
  /** The store did not do what it was asked. */
  readonly onError: (error: unknown) => void;
}

export interface KickOptions {
  /** Only this one; everybody if left out. */
  readonly user?: string | undefined;
  /** As they are told, 123 bytes at most. */
  readonly reason?: string | undefined;
}

/** What became of sessions that were to end. */
export interface Ended {
  /** How many were here. */
  readonly sessions: number;
  /** Whether every other instance was told; also where there is none. */
  readonly isEverywhere: boolean;
}

const MAX_BODY = 16 * 1024;
/** A close frame has room for no more. */
const MAX_REASON = 123;

const kickBody = z.strictObject({
  user: z.string().min(1).max(MAX_ID).optional(),
  reason: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= MAX_REASON, `has more than ${MAX_REASON} bytes`)
    .optional(),
});

export function adminRoutes<E extends Env>(app: Hono<E>, options: AdminOptions): void {
  const { adminToken, metrics, kick, recheck, remove, revive, onError } = options;
  const ask = async (c: Context, next: Next) => {
    if (adminToken === undefined) return c.text('closed: ADMIN_TOKEN is not set\n', 403);
    const shown = /^Bearer +(\S+) *$/i.exec(c.req.header('Authorization') ?? '')?.[1] ?? '';
    if (!isEqual(shown, adminToken)) return c.text('the administrator has another token\n', 401);
    return await next();
  };
  app.get('/metrics', ask, async (c) =>
    c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }),
  );
  const small = bodyLimit({ maxSize: MAX_BODY, onError: (c) => c.text('too large\n', 413) });
  app.post('/api/rooms/:room/kick', ask, small, async (c) => {
    const room = roomOf(c);
    if (!room.ok) return c.text(`${room.problem}\n`, 400);
    const body = read(await c.req.text());
    if (typeof body === 'string') return c.text(`${body}\n`, 400);
    return told(c, kick(room.name, body));
  });
  app.post('/api/users/:id/recheck', ask, small, (c) => {
    const user = part(c, 3);
    return user === undefined ? c.text(`${NOT_ENCODED}\n`, 400) : told(c, recheck(user));
  });
  /** Where the store fails, nobody knows whether it was done; once more does no harm. */
  const stored = async (c: Context, act: (room: string) => Promise<Response>) => {
    const room = roomOf(c);
    if (!room.ok) return c.text(`${room.problem}\n`, 400);
    try {
      return await act(room.name);
    } catch (error) {
      onError(error);
      return c.text('the store did not answer: try again\n', 503);
    }
  };
  app.delete('/api/rooms/:room', ask, small, (c) =>
    // The others find out from the store, should they not be told: it is done.
    stored(c, async (room) => c.json(await remove(room))),
  );
  app.post('/api/rooms/:room/revive', ask, small, (c) =>
    stored(c, async (room) =>
      (await revive(room)) ? c.json({}) : c.text('no deleted room has this name\n', 404),
    ),
  );
}

function roomOf(c: Context): RoomName {
  const encoded = part(c, 3);
  return encoded === undefined ? { ok: false, problem: NOT_ENCODED } : checkRoomName(encoded);
}

const NOT_ENCODED = 'the path is not percent-encoded UTF-8';

/** Strictly, where Hono would take a wrong encoding as it stands. @returns undefined for a wrong one */
function part(c: Context, index: number): string | undefined {
  try {
    return decodeURIComponent(new URL(c.req.url).pathname.split('/')[index] ?? '');
  } catch {
    return undefined;
  }
}

/** @returns what is wrong with it, or what it says */
function read(text: string): string | z.infer<typeof kickBody> {
  let value: unknown = {};
  try {
    if (text !== '') value = JSON.parse(text);
  } catch {
    return 'the body is not JSON';
  }
  const parsed = kickBody.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  return `${path.join('.') || 'the body'}: ${message}`;
}

function told(c: Context, { sessions, isEverywhere }: Ended): Response {
  if (isEverywhere) return c.json({ sessions });
  return c.json({ sessions, error: 'other servers could not be told: try again' }, 503);
}

/** In a time that says nothing of how much of it is right. */
function isEqual(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
