/** What the server answers over plain HTTP: its health, metrics, what an administrator may do, who would be let in, and a folder of static files. */
import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { Hono, type MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Administrator } from './administrator.js';
import { namesOf, type RequestNames } from './api/errors.js';
import { strictHeaders } from './api/strict-headers.js';
import type { OriginTrust } from './auth/origin.js';
import type { Readiness } from './health.js';
import { isAdministrators, meansAnother } from './request-path.js';
import { addStaticFiles } from './static-files.js';
import { offersWebSocket } from './upgrade-offers.js';

export interface HttpOptions {
  /** Whether rooms can be opened now. */
  readonly isReady: () => boolean;
  /** Whether it should be given new sockets, and why not. */
  readiness(): Promise<Readiness>;
  readonly administrator: Administrator;
  /** Undefined where there is no administrator. */
  readonly metrics: { readonly contentType: string; text(): Promise<string> } | undefined;
  /** What only the administrator may use; undefined where there is none. */
  readonly api: Hono<{ Bindings: HttpBindings }> | undefined;
  /** A request ended in something that nobody expected. */
  readonly onError: (error: unknown, request: RequestNames) => void;
  /** Folder of a built web app; paths without a file in it get its index.html. */
  readonly staticDir: string | undefined;
  /** What the page may do that sends this request. */
  trustIn(request: IncomingMessage): OriginTrust;
  /** Told of each request: it may be one for a WebSocket that does not belong here. */
  onRequest(request: IncomingMessage): void;
  /** What an upgrade of this request would be answered. */
  door(request: IncomingMessage): Promise<DoorAnswer>;
}

export interface DoorAnswer {
  /** 426 for whoever would be let in. */
  readonly status: number;
  readonly message: string;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
}

/**
 * Says that it was this server who refused, and not something before it, such as a proxy
 * that has a page of its own for 403.
 */
const REFUSAL_HEADER = 'Cowrite-Refusal';
/** Says to a page that only `*` allows that its visitor's cookies do not count here. */
const CREDENTIALS_HEADER = 'Cowrite-Credentials';
const REFUSALS: Partial<Record<number, string>> = { 401: 'token', 403: 'forbidden' };

export function httpApp(options: HttpOptions): Hono<{ Bindings: HttpBindings }> {
  const { isReady, readiness, administrator, metrics, api, onError, staticDir, trustIn, door } =
    options;
  const app = new Hono<{ Bindings: HttpBindings }>();
  // A proxy's, or a new one: the same in the proxy's log, in the answer and in this log.
  app.use(requestId());
  // Whether all of a host and its subdomains speak TLS is for the proxy in front to say.
  const usualHeaders = secureHeaders({ strictTransportSecurity: false });
  app.use(async (c, next) => {
    options.onRequest(c.env.incoming);
    // One or the other: of two, the one outside would have the last word. Where there is no
    // administrator, an application may have pages of its own at these paths.
    const isStrict = administrator.exists && isAdministrators(c.req.path);
    return await (isStrict ? strictHeaders : usualHeaders)(c, next);
  });
  app.use(async (c, next) => {
    const { url = '' } = c.env.incoming;
    if (!meansAnother(url, c.req.path)) return await next();
    const message = 'the path has a step in it, . or .., or hides where it leads';
    c.header('Cache-Control', 'no-store');
    return isAdministrators(c.req.path)
      ? c.json({ error: { code: 'bad-request', message } }, 400)
      : c.text(`${message}\n`, 400);
  });
  // Such as a body that is not sent to its end: nobody is there to be answered.
  app.onError((error, c) => {
    onError(error, namesOf(c));
    return c.text('internal error\n', 500);
  });
  app.notFound((c) => {
    const isLost = offersWebSocket(c.req.header('Upgrade'));
    return c.text(isLost ? 'rooms are at /ws/<room>\n' : '404 Not Found', 404);
  });
  app.get('/health/live', (c) => c.text('ok\n'));
  app.get('/health/ready', async (c) => {
    const answer = await readiness();
    c.header('Cache-Control', 'no-store');
    return c.json(answer, answer.ready ? 200 : 503);
  });
  app.get('/health', (c) => (isReady() ? c.text('ok\n') : c.text('not ready\n', 503)));
  const shared = {
    allowMethods: ['GET'],
    allowHeaders: ['Authorization'],
    exposeHeaders: [REFUSAL_HEADER, CREDENTIALS_HEADER, 'Retry-After'],
  };
  const anyOrigin = cors({ ...shared, origin: '*' });
  const corsFor: Readonly<Record<OriginTrust, MiddlewareHandler>> = {
    // As in an upgrade, where cookies are sent whether or not the page asks for it.
    named: cors({ ...shared, origin: (origin) => origin, credentials: true }),
    any: anyOrigin,
    // It may read that it may not connect, and is told nothing else.
    none: anyOrigin,
  };
  app.use('/ws/*', async (c, next) => {
    if (c.req.header('Origin') === undefined) return await next();
    const trust = trustIn(c.env.incoming);
    if (trust !== 'named') c.header(CREDENTIALS_HEADER, 'ignored');
    const answer = await corsFor[trust](c, next);
    const isAboutOrigin = c.req.method === 'OPTIONS' || c.res.status === 403;
    // That a store is full, for instance, is for pages to know that may connect.
    if (trust === 'none' && !isAboutOrigin) c.res.headers.delete('Access-Control-Allow-Origin');
    return answer;
  });
  app.get('/ws/*', async (c) => {
    const { status, message, retryAfter } = await door(c.env.incoming);
    const refusal = REFUSALS[status];
    if (refusal !== undefined) c.header(REFUSAL_HEADER, refusal);
    if (status === 426) c.header('Upgrade', 'websocket');
    if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter));
    c.header('Cache-Control', 'no-store');
    return c.text(`${message}\n`, status as ContentfulStatusCode);
  });
  app.get('/metrics', async (c) => {
    const refusal = administrator.refusal(c.req.header('Authorization'));
    if (refusal !== undefined)
      return c.text(`${refusal.message}\n`, refusal.code === 'closed' ? 403 : 401);
    return c.body(await metrics!.text(), 200, { 'Content-Type': metrics!.contentType });
  });
  if (api === undefined) {
    app.all('/api/*', (c) => {
      c.header('Cache-Control', 'no-store');
      return c.json({ error: administrator.refusal(undefined) }, 403);
    });
  } else app.route('/', api);
  app.all('/api/*', (c) => {
    const error = { code: 'not-found', message: 'there is no such route: /api/docs lists them' };
    return c.json({ error }, 404);
  });
  if (staticDir !== undefined) addStaticFiles(app, staticDir);
  return app;
}
