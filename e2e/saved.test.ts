/** “Saved” is said only after the server said that everything is on disk. */
import { decodeMessage } from '@cowrite/client/protocol';
import type { Page } from 'playwright';
import { expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, sharedServer, Tab, temporaryFolder } from './fixtures.js';

const MINUTE = 60_000;

/** Keeps what the server says about saving from the page until it is let through. */
class Gate {
  readonly #held: { readonly count: number; readonly pass: () => void }[] = [];
  closed = false;

  readonly stand = async (page: Page): Promise<void> => {
    await page.routeWebSocket(/\/ws\//, (route) => {
      const server = route.connectToServer();
      server.onMessage((data) => {
        const message = typeof data === 'string' ? undefined : decodeMessage(data);
        if (!this.closed || message?.type !== 'saved') return route.send(data);
        this.#held.push({ count: message.count, pass: () => route.send(data) });
      });
    });
  };

  /** How many document messages the newest held report says to be on disk. */
  get heldCount(): number {
    return this.#held.at(-1)?.count ?? 0;
  }

  passOne(): void {
    this.#held.shift()?.pass();
  }

  open(): void {
    this.closed = false;
    for (const { pass } of this.#held.splice(0)) pass();
  }
}

/** Every text that the status has shown from now on. */
async function statusHistory(tab: Tab): Promise<() => Promise<string[]>> {
  const history = await tab.status.evaluateHandle((status) => {
    const texts = [status.textContent ?? ''];
    new MutationObserver(() => {
      const text = status.textContent ?? '';
      if (text !== texts.at(-1)) texts.push(text);
    }).observe(status, { childList: true, characterData: true, subtree: true });
    return texts;
  });
  return () => history.jsonValue();
}

test('[E2E-5] “Saving…” stays until the server’s word arrives, and for the last change', async () => {
  const server = await sharedServer();
  const gate = new Gate();
  const ada = await Tab.open(server, {
    prepare: async (page) => {
      await page.clock.install();
      await gate.stand(page);
    },
  });
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const history = await statusHistory(ada);

  gate.closed = true;
  await ada.write('a');
  await eventually(() => gate.heldCount).toBeGreaterThan(0);
  const first = gate.heldCount;
  await ada.page.keyboard.type('b');
  await eventually(() => gate.heldCount).toBeGreaterThan(first);
  // It is on disk and with everybody, but this tab has not been told.
  await eventually(() => grace.words()).toEqual(['ab']);
  await ada.page.clock.runFor(10_000);
  expect(await ada.status.textContent()).toBe('Saving…');

  gate.passOne();
  await ada.page.clock.runFor(10_000);
  expect(await history()).toEqual(['Saved', 'Saving…']);

  gate.open();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await history()).toEqual(['Saved', 'Saving…', 'Saved']);
});

test('[E2E-5] without a server nothing is ever called saved after an edit', async () => {
  const server = await Server.start();
  const ada = await Tab.open(server, { prepare: (page) => page.clock.install() });
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const history = await statusHistory(ada);
  await server.kill();
  await ada.offlineBanner.waitFor();
  // Nothing was changed so far: what is on disk is what is shown.
  expect(await history()).toEqual(['Saved']);

  await ada.write('nobody hears this');
  for (let minute = 0; minute < 5; minute++) await ada.page.clock.runFor(MINUTE);
  expect(await history()).toEqual(['Saved', 'Offline']);

  await server.start();
  await ada.offlineBanner.getByRole('button', { name: 'Try now' }).click();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  // On its way it may be seen, or be saved before that.
  const meanwhile = (await history()).filter((text) => text !== 'Saving…');
  expect(meanwhile).toEqual(['Saved', 'Offline', 'Saved']);
  const grace = await Tab.open(server, { name: 'Grace' });
  expect(await grace.words()).toEqual(['nobody', 'hears', 'this']);
});

test('[E2E-5] a report that was lost with its connection counts for nothing', async () => {
  const server = await Server.start();
  const gate = new Gate();
  const ada = await Tab.open(server, { prepare: gate.stand });
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const history = await statusHistory(ada);
  gate.closed = true;
  await ada.write('once');
  await eventually(() => gate.heldCount).toBeGreaterThan(0);
  await server.kill();
  await ada.offlineBanner.waitFor();
  await server.start();
  await ada.offlineBanner.waitFor({ state: 'hidden' });
  expect(await history()).toEqual(['Saved', 'Saving…', 'Offline', 'Saving…']);
  gate.open();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await ada.words()).toEqual(['once']);
});

/** Whether whoever leaves the page now is asked whether to go. */
async function wouldAsk({ page }: Tab): Promise<boolean> {
  return await page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));
}

test('[E2E-5] the tab asks before it is closed with unsaved changes that this browser does not keep, and only then', async () => {
  const server = await sharedServer();
  const browser = await openBrowser();
  const gate = new Gate();
  const ada = await Tab.open(server, {
    browser,
    prepare: async (page) => {
      await gate.stand(page);
      await page.addInitScript('Object.defineProperty(window, "indexedDB", { value: undefined })');
    },
  });
  const asked: string[] = [];
  ada.page.on('dialog', async (dialog) => {
    asked.push(dialog.type());
    await dialog.dismiss();
  });
  gate.closed = true;
  await ada.write('unsaved');
  await ada.status.getByText('Saving…').waitFor();
  await ada.page.close({ runBeforeUnload: true });
  await eventually(() => asked).toEqual(['beforeunload']);

  gate.open();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const closed = ada.page.waitForEvent('close');
  await ada.page.close({ runBeforeUnload: true });
  await closed;
  expect(asked).toEqual(['beforeunload']);

  const again = new Gate();
  const kept = await Tab.open(server, { browser, prepare: again.stand });
  kept.page.on('dialog', (dialog) => asked.push(dialog.type()));
  again.closed = true;
  await kept.write(' and kept');
  await kept.status.getByText('Saving…').waitFor();
  await eventually(() => wouldAsk(kept)).toBe(false);
  const gone = kept.page.waitForEvent('close');
  await kept.page.close({ runBeforeUnload: true });
  await gone;
  expect(asked).toEqual(['beforeunload']);
});

test('[E2E-21] a refused change disappears where it was made, and says why; what follows is saved', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    MAX_DOCUMENT_BYTES: '20000',
  });
  const ada = await Tab.open(server);
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.write('kept');
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const history = await statusHistory(ada);

  await ada.page.keyboard.insertText('x'.repeat(30_000));
  const banner = ada.page.getByTestId('refused-banner');
  await banner.getByText('largest size').waitFor();
  expect(await ada.words()).toEqual(['kept']);
  await ada.status.getByText('Saved', { exact: true }).waitFor();

  await ada.write(' and more');
  await eventually(() => grace.words()).toEqual(['kept', 'and', 'more']);
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  await banner.waitFor({ state: 'hidden' });
  expect(await history()).toEqual(['Saved', 'Saving…', 'Saved', 'Saving…', 'Saved']);
  await grace.write(' still');
  await eventually(() => ada.words()).toEqual(['kept', 'and', 'more', 'still']);
});

test('[E2E-21] so does one that is more than the server takes at once, and it is sent once', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    MAX_MESSAGE_BYTES: '20000',
  });
  const ada = await Tab.open(server);
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.write('kept');
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  const sockets: string[] = [];
  ada.page.on('websocket', (socket) => sockets.push(socket.url()));
  await ada.page.keyboard.insertText('x'.repeat(30_000));
  const banner = ada.page.getByTestId('refused-banner');
  await banner.getByText('more than the server takes at once').waitFor();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await ada.words()).toEqual(['kept']);
  await ada.write(' and more');
  await eventually(() => grace.words()).toEqual(['kept', 'and', 'more']);
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(sockets.length).toBe(1);
});
