/** Who may come in, as people see it. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { buildPage, linesOf, openPage } from './codemirror-page.js';
import { eventually, openBrowser, Server, Tab, temporaryFolder } from './fixtures.js';

const COMMAND = fileURLToPath(new URL('../server/bin/cowrite.js', import.meta.url));
const AUTH_SECRET = 'a secret of more than thirty-two bytes';

/** As the command makes it. */
async function token(name: string, room: string, expires = '1h'): Promise<string> {
  const args = [
    COMMAND,
    'token',
    '--user',
    name.toLowerCase(),
    '--name',
    name,
    '--room',
    room,
    '--expires',
    expires,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { AUTH_SECRET } });
  return stdout.trim();
}

/** When it ends, in milliseconds since 1970. */
function endOf(jwt: string): number {
  const payload = Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(payload) as { exp: number }).exp * 1000;
}

async function guarded(
  environment: Record<string, string> = {},
  staticDir?: string,
): Promise<Server> {
  return await Server.start(staticDir, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    AUTH_SECRET,
    AUTH_CLOCK_TOLERANCE: '0',
    ...environment,
  });
}

/** @returns where it listens */
async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('who may come in', () => {
  test('[E2E-16] a reader sees what others write, cannot type, and sees why; both appear under their own names', async () => {
    const server = await guarded();
    const ada = await Tab.open(server, { name: 'Somebody', token: await token('Ada', '*') });
    await ada.write('for you to read');
    const bob = await Tab.open(server, { name: 'Ada', token: await token('Bob', '*=read') });
    await eventually(() => bob.words()).toEqual(['for', 'you', 'to', 'read']);
    await bob.page.getByText('You can read this document but not change it.').waitFor();
    expect(await bob.editor.getAttribute('contenteditable')).toBe('false');
    expect(bob.page.url()).not.toContain('token');
    await bob.editor.click();
    await bob.page.keyboard.type('graffiti');
    await ada.write(', and more');
    await eventually(() => bob.words()).toEqual(['for', 'you', 'to', 'read,', 'and', 'more']);
    expect(await ada.words()).toEqual(await bob.words());
    await eventually(async () => (await ada.people())[1]).toBe('Bob');
    await eventually(async () => (await bob.people())[1]).toBe('Ada');

    // The tab keeps its token.
    await bob.page.reload();
    await bob.page.getByText('You can read this document but not change it.').waitFor();
  });

  test('[E2E-17] without a good token the document does not open', async () => {
    const server = await guarded();
    const page = await (await openBrowser()).newPage();
    const forAnother = `#token=${await token('Ada', 'other')}`;
    for (const [fragment, words] of [
      ['', 'The server does not let you into this document.'],
      [forAnother, 'You do not have access to this document.'],
    ] as const) {
      const refused = page
        .waitForEvent('websocket')
        .then((socket) => socket.waitForEvent('socketerror'));
      await page.goto(`${server.url}/d/minutes?x=${fragment.length}${fragment}`);
      await refused;
      await page.getByTestId('closed-banner').getByText(words).waitFor();
      expect(await page.getByTestId('editor').count()).toBe(0);
    }
  });

  test('[E2E-17] a tab whose token has ended says so, and keeps what was written', async () => {
    const server = await guarded();
    const ada = await Tab.open(server, { token: await token('Ada', '*', '10 seconds') });
    await ada.write('before');
    await ada.page.getByText('Your access has expired.').waitFor();
    expect(await ada.words()).toEqual(['before']);
    expect(await ada.editor.getAttribute('contenteditable')).toBe('false');
  });

  test('[E2E-18] a token that runs out while somebody types is renewed, and nobody sees it', async () => {
    const server = await guarded({}, await buildPage());
    const fetched: string[] = [];
    const tokens = await listen((_, response) => {
      // The first is renewed at half its time: a slow machine has as long again for that.
      const lives = fetched.length === 0 ? '20 seconds' : '1 hour';
      void token('Ada', '*', lives).then((text) => {
        fetched.push(text);
        response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end(text);
      });
    });
    const page = await openPage(server, 'Ada', tokens);
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    let typed = '';
    while (Date.now() <= endOf(fetched[0]!)) {
      typed += 'x';
      await page.keyboard.type('x', { delay: 100 });
    }
    expect(fetched.length).toBe(2);
    const other = await openPage(server, 'Grace', tokens);
    await eventually(() => linesOf(other)).toEqual([typed]);
    expect(sockets).toEqual([]);
  });

  test('[E2E-27] a token that ends while the server is away: another is fetched, or the tab says so; nothing is lost', async () => {
    const server = await guarded({}, await buildPage());
    let fetched = '';
    const tokens = await listen((_, response) => {
      void token('Ada', '*', '5 seconds').then((text) => {
        fetched = text;
        response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end(text);
      });
    });
    const page = await openPage(server, 'Ada', tokens);
    await page.keyboard.type('before');
    await eventually(() => linesOf(page)).toEqual(['before']);
    const first = fetched;
    await server.kill();
    await page.keyboard.type(' offline');
    await eventually(() => Date.now()).toBeGreaterThan(endOf(first));
    await server.start();
    const other = await openPage(server, 'Grace', tokens);
    await eventually(() => linesOf(other)).toEqual(['before offline']);
  });

  test('[E2E-27] where the token is a text, the tab says that it has ended, and that something is not saved', async () => {
    const server = await guarded();
    // Long enough for a slow machine to come as far as the server's end.
    const text = await token('Ada', '*', '15 seconds');
    const ada = await Tab.open(server, { token: text });
    await ada.write('before');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    await server.kill();
    await ada.write(' offline');
    await eventually(() => Date.now()).toBeGreaterThan(endOf(text));
    await server.start();
    await ada.hurry();
    const banner = ada.page.getByTestId('closed-banner');
    await banner.getByText('Your access has expired.').waitFor();
    await banner.getByText('What you wrote last is not saved').waitFor();
    expect(await ada.words()).toEqual(['before', 'offline']);
  });

  test('[E2E-20] a tab that is shown out says why and stays out; the others go on', async () => {
    const ADMIN_TOKEN = 'x'.repeat(32);
    const server = await guarded({ ADMIN_TOKEN });
    const ada = await Tab.open(server, { token: await token('Ada', '*') });
    await ada.write('ours');
    const bob = await Tab.open(server, { token: await token('Bob', '*') });
    await eventually(() => bob.words()).toEqual(['ours']);
    const room = new URL(bob.page.url()).pathname.split('/').at(-1);
    const sockets: string[] = [];
    bob.page.on('websocket', (socket) => sockets.push(socket.url()));
    const answer = await fetch(`${server.url}/api/rooms/${room}/kick`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}` },
      body: JSON.stringify({ user: 'bob', reason: 'The meeting is over' }),
    });
    expect(await answer.json()).toEqual({ sessions: 1 });
    const banner = bob.page.getByTestId('closed-banner');
    await banner.getByText('The reason given: “The meeting is over”.').waitFor();
    expect(await bob.editor.getAttribute('contenteditable')).toBe('false');
    await eventually(() => ada.people()).toEqual(['Ada']);
    await ada.write(' alone');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    expect(await bob.words()).toEqual(['ours']);
    // What the browser tells it when it comes back, or is online again, does not bring it back.
    await bob.page.evaluate(() => {
      for (const event of ['online', 'pageshow', 'focus']) window.dispatchEvent(new Event(event));
    });
    await ada.write('!');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    expect(sockets).toEqual([]);
  });

  test('[E2E-19] a page of another site cannot connect, unless it is allowed', async () => {
    const site = await listen((_, response) =>
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>x'),
    );
    const shown = await token('Ada', '*');
    const page = await (await openBrowser()).newPage();
    await page.goto(site);
    const connect = async (server: Server) =>
      await page.evaluate(
        ([url, subprotocol]) =>
          new Promise<string>((resolve) => {
            const socket = new WebSocket(url!, ['cowrite.v1', subprotocol!]);
            socket.onopen = () => resolve('open');
            socket.onerror = () => resolve('refused');
          }),
        [`${server.url.replace('http', 'ws')}/ws/minutes`, `cowrite.token.${shown}`],
      );
    expect(await connect(await guarded())).toBe('refused');
    expect(await connect(await guarded({ ALLOWED_ORIGINS: site }))).toBe('open');
  });
});
