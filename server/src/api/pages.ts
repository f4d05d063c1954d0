/**
 * The administrator's page and the API's, as they were built into the package. They
 * hold no secret, and ask for the token themselves. They are small, and held in memory.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import { LASTING, revalidated } from '../static-files.js';

/** Built, also when this module is run from its source. */
const FOLDER = new URL('../../dist/admin/', import.meta.url);
const PAGES: Readonly<Record<string, string>> = {
  '/admin': 'index.html',
  '/api/docs': 'docs.html',
};

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export function addPages(app: Hono<{ Bindings: HttpBindings }>): void {
  const files = filesIn(FOLDER);
  const answer = (c: Context, name: string) => {
    const bytes = files.get(name);
    if (bytes === undefined) return c.notFound();
    const type = TYPES[extname(name)] ?? 'application/octet-stream';
    return c.body(bytes, 200, { 'Content-Type': type });
  };
  for (const [path, file] of Object.entries(PAGES)) {
    app.get(path, revalidated, (c) => answer(c, file));
  }
  app.get('/admin/*', revalidated, (c) => {
    const name = c.req.path.slice('/admin/'.length);
    // The build puts a hash of the content into these names.
    if (name.startsWith('assets/')) c.header('Cache-Control', LASTING);
    return answer(c, name);
  });
}

/** None where the page was not built. */
function filesIn(folder: URL): ReadonlyMap<string, Uint8Array<ArrayBuffer>> {
  if (!existsSync(folder)) return new Map();
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
    name.includes('.'),
  );
  return new Map(
    names.map((name) => [
      name.replaceAll('\\', '/'),
      new Uint8Array(readFileSync(new URL(name, folder))),
    ]),
  );
}
