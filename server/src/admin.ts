/**
 * What only whoever runs the server may do, beside the API on rooms (api/): metrics, draining. Each of these
 * routes asks for the administrator's token; without one being set they are closed.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, Env, Hono, Next } from 'hono';
import { bodyLimit } from 'hono/body-limit';

export interface AdminOptions {
  /** Undefined: there is nobody who may. */
  readonly adminToken: string | undefined;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Begins to let go of everybody, or has begun. @returns how many sessions are here */
  drain(): number;
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
export function adminRoutes<E extends Env>(app: Hono<E>, options: AdminOptions): void {
  const { adminToken, metrics, drain } = options;
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
  app.post('/api/drain', ask, small, (c) => {
    const sessions = drain();
    // The server ends, and waits for nothing that may come behind the answer.
    c.header('Connection', 'close');
    return c.json({ sessions }, 202);
  });
}

/** In a time that says nothing of how much of it is right. */
export function isEqual(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
