/** What people see when their tokens end. They live long enough for a slow machine to come as far as their end. */
import { describe, expect, test } from 'vitest';
import { buildPage, linesOf, openPage } from './codemirror-page.js';
import { eventually } from './eventually.js';
import { Tab } from './fixtures.js';
import { endOf, guarded, listen, token } from './guarded.js';

describe('the end of a token', () => {
  test('[E2E-17] a tab whose token has ended says so, and keeps what was written', async () => {
    const server = await guarded();
    const ada = await Tab.open(server, { token: await token('Ada', '*', '20 seconds') });
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
      void token('Ada', '*', '10 seconds').then((text) => {
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
    const text = await token('Ada', '*', '20 seconds');
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
});
