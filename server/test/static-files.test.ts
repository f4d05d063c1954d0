/** A built web app that is served: what a browser may keep of it, and from which path it is found. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { governed } from './administrator.js';
import { startServer, temporaryFolder } from './support.js';

/** Writes files of which each has the same time, as reproducible builds do it. */
function write(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    utimesSync(path, 1, 1);
  }
}

/** Of one that is closed meanwhile, nothing. */
function readlinkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

const cached = (headers: Headers) => [headers.get('Cache-Control'), headers.get('ETag')];

describe('[HTTP] the files of a web app', () => {
  it('[HTTP-3] a browser asks for a page again, and is told 304 until its content is another', async () => {
    const staticDir = temporaryFolder();
    write(staticDir, {
      'index.html': '<title>1</title>',
      'help/index.html': '<title>help 1</title>',
      'help/more.html': '<title>more 1</title>',
      'boot.js': 'let a = 1;',
    });
    const server = await startServer({ staticDir });
    const paths = ['/', '/index.html', '/d/room', '/help/', '/help/more.html', '/boot.js'];
    const tags = new Map<string, string>();
    for (const path of paths) {
      const { headers } = await fetch(server.url + path);
      expect(cached(headers), path).toEqual([
        'no-cache',
        expect.stringMatching(/^"[0-9a-f]{40}"$/),
      ]);
      tags.set(path, headers.get('ETag')!);
    }
    const again = async (path: string) => {
      const headers = { 'If-None-Match': tags.get(path)!, 'X-Request-Id': 'mine' };
      return await fetch(server.url + path, { headers });
    };
    for (const path of paths) {
      const { status, headers } = await again(path);
      expect([status, ...cached(headers)], path).toEqual([304, 'no-cache', tags.get(path)]);
      expect(headers.get('X-Request-Id'), path).toBe('mine');
    }
    // Of the same length, and by its time as old.
    write(staticDir, {
      'index.html': '<title>2</title>',
      'help/index.html': '<title>help 2</title>',
      'help/more.html': '<title>more 2</title>',
      'boot.js': 'let a = 2;',
    });
    for (const path of paths) {
      const answer = await again(path);
      expect([answer.status, await answer.text()], path).toEqual([
        200,
        expect.stringContaining('2'),
      ]);
    }
  });

  it('[HTTP-3] what has a hash in its name is kept for good, what is not there is not, and a large file is not read into memory', async () => {
    const staticDir = temporaryFolder();
    write(staticDir, {
      'index.html': '<title>app</title>',
      'assets/a-1.js': 'let a;',
      'film.mp4': new Uint8Array(2 * 1024 * 1024),
    });
    const { url } = await startServer({ staticDir });
    const asset = await fetch(`${url}/assets/a-1.js`);
    expect(cached(asset.headers)).toEqual(['public, max-age=31536000, immutable', null]);
    expect(cached((await fetch(`${url}/assets/b-1.js`)).headers)).toEqual([null, null]);
    expect(cached((await fetch(`${url}/film.mp4`)).headers)).toEqual(['no-cache', null]);
    const part = await fetch(`${url}/index.html`, { headers: { Range: 'bytes=0-6' } });
    expect([part.status, await part.text()]).toEqual([206, '<title>']);
    // Before anything is built there is no page.
    const { url: empty } = await startServer({ staticDir: temporaryFolder() });
    expect((await fetch(`${empty}/d/room`)).status).toBe(404);
  });

  it('[HTTP-3] a file that the browser has does not stay open', async () => {
    const staticDir = temporaryFolder();
    write(staticDir, { 'big.js': 'x'.repeat(1_000_000) });
    const { url } = await startServer({ staticDir });
    const { headers } = await fetch(`${url}/big.js`);
    const known = { 'If-None-Match': headers.get('ETag')! };
    for (let i = 0; i < 20; i++) {
      expect((await fetch(`${url}/big.js`, { headers: known })).status).toBe(304);
    }
    // Only Linux tells which files a process has open.
    const open = () =>
      (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd') : [])
        .map((fd) => readlinkOf(`/proc/self/fd/${fd}`))
        .filter((path) => path.startsWith(staticDir));
    await vi.waitFor(() => expect(open()).toEqual([]), { timeout: 60_000 });
  });

  it('[HTTP-3] so it is with the pages of the administrator', async () => {
    const { url } = await governed();
    for (const path of ['/admin', '/api/docs', '/admin/theme-boot.js']) {
      const { status, headers } = await fetch(url + path);
      expect([status, ...cached(headers)], path).toEqual([200, 'no-cache', expect.any(String)]);
      const known = { 'If-None-Match': headers.get('ETag')! };
      expect((await fetch(url + path, { headers: known })).status, path).toBe(304);
    }
    const [, script] = /src="\.\/(admin\/assets\/[^"]+\.js)"/.exec(
      await (await fetch(`${url}/admin`)).text(),
    )!;
    const { headers } = await fetch(`${url}/${script}`);
    expect(cached(headers)).toEqual(['public, max-age=31536000, immutable', null]);
  });

  it('[HTTP-4] what a page refers to at ./ is found from every path of the app', async () => {
    const staticDir = temporaryFolder();
    const page = (to: string) =>
      `<link href='${to}a.css'><script src="${to}assets/a.js"></script><a href="/./b" title="./">`;
    write(staticDir, { 'index.html': page('./') });
    const { url } = await startServer({ staticDir });
    for (const [path, to] of [
      ['/', './'],
      ['/elsewhere', './'],
      ['/d/room', '../'],
      ['/d/a%2Fb?x=a/b', '../'],
      ['/d/room/', '../../'],
      ['/a/b/c/d', '../../../'],
    ] as const) {
      expect(await (await fetch(url + path)).text(), path).toBe(page(to));
    }
    // Each makes the page longer.
    expect((await fetch(`${url}/d${'/a'.repeat(299)}/`)).status).toBe(200);
    expect((await fetch(`${url}/d${'/a'.repeat(300)}/`)).status).toBe(404);
  });

  it('[HTTP-4] the description of the API says where the server is, wherever it is shown', async () => {
    const { url } = await governed();
    const { servers } = await (await fetch(`${url}/api/openapi.json`)).json();
    expect(
      servers.map(
        (at: { url: string }) => new URL(at.url, 'https://a/cowrite/api/openapi.json').href,
      ),
    ).toEqual(['https://a/cowrite/']);
  });
});
