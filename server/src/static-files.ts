/**
 * The files of a built web app, and what a browser may keep of them.
 *
 * Without a word about it, a browser keeps a page for as long as it likes, and shows the old one after
 * an upgrade. So it asks again each time, and learns in a few bytes that nothing has changed; but for
 * what lies in `assets/`, whose names change with the content.
 *
 * Invariant: no answer depends on the path under which a proxy shows the app. That path is in no
 * request; what a page refers to relative to its app (`./assets/…`) is found from every path of it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HttpBindings } from '@hono/node-server';
import { serveStatic } from '@hono/node-server/serve-static';
import type { Context, Hono, MiddlewareHandler } from 'hono';
import { etag, RETAINED_304_HEADERS } from 'hono/etag';
import { FileTags } from './file-tags.js';

/** For files whose names have a hash of the content in them. */
export const LASTING = 'public, max-age=31536000, immutable';

const conditional = etag({ retainedHeaders: [...RETAINED_304_HEADERS, 'X-Request-Id'] });
/** Bytes of a file that has an ETag, at most. */
const MAX_HASHED = 1024 * 1024;

/** In a path of a page, which is as much larger for each: the name of a room has 256 bytes. */
const MOST_FOLDERS = 300;

/** Answers with an ETag of the content, or with 304 where the browser has that. */
export const revalidated: MiddlewareHandler = async (c, next) => {
  await next();
  const { res } = c;
  if (!res.ok || res.headers.has('Cache-Control')) return;
  c.header('Cache-Control', 'no-cache');
  if (!isTagged(c)) return;
  const { body } = c.res;
  await conditional(c, async () => undefined);
  // A file that is not sent is not to stay open.
  if (c.res.status === 304 && body?.locked === false) await body.cancel();
};

function isTagged({ res, req }: Context): boolean {
  const isWhole = res.status === 200 && req.method === 'GET';
  return isWhole && Number(res.headers.get('Content-Length') ?? 0) <= MAX_HASHED;
}

/** @param folder of a built web app; paths without a file in it get its index.html */
export function addStaticFiles(app: Hono<{ Bindings: HttpBindings }>, folder: string): void {
  const tags = new FileTags();
  const found = new WeakMap<Context, string>();
  app.use(revalidated);
  app.use(async (c, next) => {
    await next();
    const path = found.get(c);
    if (path === undefined || c.res.headers.has('Cache-Control') || !isTagged(c)) return;
    c.header('ETag', await tags.of(path));
  });
  app.use('/assets/*', async (c, next) => {
    await next();
    if (c.res.ok) c.header('Cache-Control', LASTING);
  });
  app.use(serveStatic({ root: folder, onFound: (path, c) => void found.set(c, path) }));
  app.get('/assets/*', (c) => c.notFound());
  app.get('*', async (c) => {
    const depth = depthOf(c.req.url);
    if (depth > MOST_FOLDERS) return c.notFound();
    const page = await readFile(join(folder, 'index.html'), 'utf8').catch(ifMissing);
    return page === undefined ? c.notFound() : c.html(fromDepth(page, depth));
  });
}

/** How many folders lie between the app and a path of it. */
function depthOf(url: string): number {
  return new URL(url).pathname.split('/').length - 2;
}

/** The page with what it refers to at `./` found from so many folders further down. */
function fromDepth(page: string, depth: number): string {
  return depth === 0
    ? page
    : page.replace(/(\s(?:src|href)=["'])\.\//g, `$1${'../'.repeat(depth)}`);
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
