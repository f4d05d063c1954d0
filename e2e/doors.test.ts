/** Who may come in, as people see it. */
import { describe, expect, test } from 'vitest';
import { startNginxWith, untouchedNginx } from '../server/test/proxies.js';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { type Server, Tab } from './fixtures.js';
import { guarded, listen, token } from './guarded.js';

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

  test('[AUTH-34] behind a proxy that changes the Host the page says why it cannot connect', async () => {
    const server = await guarded();
    const proxy = await startNginxWith(untouchedNginx(), server.port);
    const page = await (await openBrowser()).newPage();
    await page.goto(`${proxy}/d/minutes#token=${await token('Ada', '*')}`);
    const banner = page.getByTestId('closed-banner');
    await banner.getByText(`pages of ${proxy} may not connect (ALLOWED_ORIGINS)`).waitFor();
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
