/** The demo's pages without the server behind them, as a service worker would have them. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { Server } from './fixtures.js';

const DEMO = fileURLToPath(new URL('../client/demo/dist', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

/** Serves the pages, whether or not the server behind it is there, as a service worker would. */
export async function pagesBefore(server: Server): Promise<{ url: string }> {
  const sockets = new Set<Socket>();
  const http = createServer(async ({ url = '/' }, answer) => {
    const { pathname } = new URL(url, 'http://pages');
    const path = pathname.startsWith('/d/') ? '/index.html' : pathname;
    if (!(extname(path) in TYPES)) return void answer.writeHead(404).end();
    answer.setHeader('Content-Type', TYPES[extname(path)] as string);
    const file = await readFile(join(DEMO, path));
    // What the page refers to lies beside it, and the page's address is a folder further down.
    const isDeeper = pathname.startsWith('/d/');
    answer.end(isDeeper ? String(file).replaceAll('="./', '="../') : file);
  });
  http.on('connection', (socket) => sockets.add(socket));
  http.on('upgrade', ({ url, rawHeaders }, near: Socket) => {
    const far = connect(server.port, '127.0.0.1');
    const headers = rawHeaders.map((text, at) => text + (at % 2 === 0 ? ': ' : '\r\n')).join('');
    far.write(`GET ${url} HTTP/1.1\r\n${headers}\r\n`);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    http.close();
    await once(http, 'close');
  });
  return { url: `http://127.0.0.1:${(http.address() as { port: number }).port}` };
}
