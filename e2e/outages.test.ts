/**
 * The server dies, stays away, comes back, refuses; the network breaks. Nothing that was typed is
 * lost.
 */
import { decodeMessage } from '@cowrite/client/protocol';
import type { Page, WebSocket, WebSocketRoute } from 'playwright';
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { converged, Server, sharedServer, Tab, Wire } from './fixtures.js';
import { Typist, twoWriters } from './typist.js';

describe('a killed server', () => {
  test('[E2E-4] is killed and started again while two tabs type: every word is there once', async () => {
    const server = await Server.start();
    const [ada, grace] = await twoWriters(server);
    const typists = [new Typist(ada), new Typist(grace)];
    await eventually(() => grace.words()).toContain('Ada3');
    await eventually(() => ada.words()).toContain('Grace3');
    await server.kill();
    await Promise.all(typists.map((typist) => typist.goOn(5)));
    const apart = typists[1]?.words.at(-1);
    expect(await ada.words()).not.toContain(apart);
    await server.start();
    await Promise.all(typists.map((typist) => typist.goOn(5)));
    await Promise.all(typists.map((typist) => typist.stop()));

    const [ours, theirs] = typists.map(({ words }) => words);
    const all = ['Ada:', ...(ours ?? []), 'Grace:', ...(theirs ?? [])];
    for (const tab of [ada, grace]) await eventually(() => tab.words()).toEqual(all);
    await converged(ada, grace);
    const ruth = await Tab.open(server, { name: 'Ruth' });
    expect(await ruth.words()).toEqual(all);
  });

  test('[E2E-4] is killed the moment a tab says “Saved”: all that the tab held is there afterwards', async () => {
    const server = await Server.start();
    const ada = await Tab.open(server, { name: 'Ada' });
    const words = Array.from({ length: 12 }, (_, index) => `word${index}`);
    await ada.write(words.join(' '));
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    await server.kill();
    await ada.page.close();

    await server.start();
    const grace = await Tab.open(server, { name: 'Grace' });
    expect(await grace.words()).toEqual(words);
  });

  test('[E2E-6] edits made while the server is away survive its return', async () => {
    const server = await Server.start();
    const [ada, grace] = await twoWriters(server);
    await server.kill();
    for (const tab of [ada, grace]) await tab.offlineBanner.waitFor();
    expect(await ada.offlineBanner.textContent()).toContain('Offline');
    await ada.page.keyboard.type(' kept here');
    await grace.page.keyboard.type(' kept there');
    await ada.status.getByText('Offline').waitFor();
    expect(await ada.words()).toEqual(['Ada:', 'kept', 'here', 'Grace:']);

    await server.start();
    for (const tab of [ada, grace]) await tab.offlineBanner.waitFor({ state: 'hidden' });
    const all = ['Ada:', 'kept', 'here', 'Grace:', 'kept', 'there'];
    for (const tab of [ada, grace]) {
      await eventually(() => tab.words()).toEqual(all);
      await tab.status.getByText('Saved', { exact: true }).waitFor();
    }
    const ruth = await Tab.open(server, { name: 'Ruth' });
    expect(await ruth.words()).toEqual(all);
    await eventually(async () => new Set(await ruth.people())).toEqual(
      new Set(['Ruth', 'Ada', 'Grace']),
    );
  });

  test('[E2E-6] “Try now” does not wait for the next attempt', async () => {
    const server = await Server.start();
    const ada = await Tab.open(server, {
      prepare: async (page) => {
        await page.clock.install();
        await longestWaits(page);
      },
    });
    await server.kill();
    await ada.offlineBanner.waitFor();
    const next = ada.offlineBanner.getByText(/^Next try in \d+ s$/);
    await eventually(async () => {
      await ada.page.clock.runFor(20_000);
      return Number.parseInt((await next.textContent())?.replace(/\D/g, '') ?? '', 10);
    }).toBeGreaterThan(25);
    await server.start();
    await ada.offlineBanner.getByRole('button', { name: 'Try now' }).click();
    await ada.offlineBanner.waitFor({ state: 'hidden' });
  });
});

describe('a refusal for good', () => {
  /** The server as it is, until the test closes the socket in its name. */
  async function closable(page: Page, sockets: WebSocketRoute[]): Promise<void> {
    await page.routeWebSocket(/\/ws\//, (route) => {
      route.connectToServer();
      sockets.push(route);
    });
  }

  test('[E2E-15] stops the editor, says why, and keeps on the page what was written', async () => {
    const server = await sharedServer();
    const sockets: WebSocketRoute[] = [];
    const ada = await Tab.open(server, { prepare: (page) => closable(page, sockets) });
    await ada.write('written before');
    await sockets[0]?.close({ code: 4401, reason: 'token expired' });
    const banner = ada.page.getByTestId('closed-banner');
    await banner.getByText('Your access has expired.').waitFor();
    await eventually(() => ada.editor.getAttribute('contenteditable')).toBe('false');
    expect(await ada.words()).toEqual(['written', 'before']);
    expect(sockets).toHaveLength(1);

    await banner.getByRole('button', { name: 'Reload the page' }).click();
    await eventually(() => sockets.length).toBe(2);
    await eventually(() => ada.words()).toEqual(['written', 'before']);
    await banner.waitFor({ state: 'hidden' });
  });

  test('[E2E-15] before the document is there says that there will be none', async () => {
    const server = await sharedServer();
    const page = await (await openBrowser()).newPage();
    await page.routeWebSocket(/\/ws\//, (route) => route.close({ code: 4403, reason: 'no' }));
    await page.goto(`${server.url}/d/secret`);
    await page.getByTestId('closed-banner').getByText('You do not have access').waitFor();
    await page.getByText('This document cannot be shown.').waitFor();
    expect(await page.getByTestId('editor').count()).toBe(0);
    expect(await page.getByTestId('save-status').isVisible()).toBe(false);
  });
});

describe('broken connections', () => {
  test('[E2E-13] in a row, while somebody types, leave one open socket per tab', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const [ada, grace] = [new Sockets(), new Sockets()];
    const first = await Tab.open(wire, { name: 'Ada', prepare: (page) => ada.watch(page) });
    const second = await Tab.open(wire, { name: 'Grace', prepare: (page) => grace.watch(page) });
    const words = Array.from({ length: 15 }, (_, index) => `n${index}`);
    await first.moveTo('end');
    for (const [index, word] of words.entries()) {
      wire.cutWebSockets();
      await first.page.keyboard.type(`${word} `);
      await eventually(() => [ada.synced, grace.synced]).toEqual([index + 2, index + 2]);
    }

    await eventually(() => second.words()).toEqual(words);
    await converged(first, second);
    expect([ada.opened, grace.opened]).toEqual([16, 16]);
    expect([ada.open, grace.open]).toEqual([1, 1]);
    expect(wire.openWebSockets).toBe(2);
    await eventually(() => first.people()).toEqual(['Ada', 'Grace']);
  });

  test('[E2E-13] 50 in a row leave one socket, and the heap as it was', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const sockets = new Sockets();
    const { page } = await Tab.open(wire, { prepare: (opened) => sockets.watch(opened) });
    let before = { bytes: 0, listeners: 0 };
    for (let count = 0; count < 50; count++) {
      if (count === WARM) before = await heapOf(page);
      wire.cutWebSockets();
      await eventually(() => sockets.synced).toBe(count + 2);
    }
    const after = await heapOf(page);
    const grown = (after.bytes - before.bytes) / (50 - WARM);
    console.info(`the heap grew by ${Math.round(grown)} bytes a reconnect`);
    expect(grown).toBeLessThan(LEAK);
    expect([sockets.open, wire.openWebSockets]).toEqual([1, 1]);
    // A socket that is kept has four of them, and few bytes of this heap.
    expect(after.listeners).toBeLessThan(before.listeners + (50 - WARM));
  });
});

/** Reconnects after which all code has run and been compiled. */
const WARM = 20;

/** Bytes a reconnect that measuring alone may show. */
const LEAK = 2_048;

/** What of the page's heap is in use, and how many listeners of events are in it. */
async function heapOf(page: Page): Promise<{ bytes: number; listeners: number }> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  const { jsEventListeners } = await session.send('Memory.getDOMCounters');
  await session.detach();
  return { bytes: usedSize, listeners: jsEventListeners };
}

/** How long a tab waits for its next attempt is random; here it is near its limits. */
async function longestWaits(page: Page): Promise<void> {
  await page.addInitScript('Math.random = () => 0.999');
}

async function shortWaits(page: Page): Promise<void> {
  await page.addInitScript('Math.random = () => 0.1');
}

/** The sockets of a page, counted. */
class Sockets {
  readonly #all: WebSocket[] = [];
  /** How many of them have brought the document. */
  synced = 0;

  async watch(page: Page): Promise<void> {
    await shortWaits(page);
    page.on('websocket', (socket) => {
      this.#all.push(socket);
      socket.on('framereceived', ({ payload }) => {
        if (typeof payload !== 'string' && decodeMessage(payload).type === 'step2') this.synced++;
      });
    });
  }

  get opened(): number {
    return this.#all.length;
  }

  get open(): number {
    return this.#all.filter((socket) => !socket.isClosed()).length;
  }
}
