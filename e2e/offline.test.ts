/** Documents that a browser keeps: opened and written without a server, over reloads, for days. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, Tab, temporaryFolder } from './fixtures.js';
import { pagesBefore } from './pages-before.js';

const DEMO = fileURLToPath(new URL('../client/demo/dist', import.meta.url));

const saved = (tab: Tab) => tab.status.getByText('Saved', { exact: true }).waitFor();

/** Resolves once this browser has written down whatever the page handed to it. */
async function kept({ page }: Tab): Promise<void> {
  await page.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open('cowrite');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    await new Promise<void>((resolve) => {
      const transaction = database.transaction([...database.objectStoreNames], 'readwrite');
      transaction.oncomplete = () => resolve();
    });
    database.close();
  });
}

/** The last record of the browser's copy but so many is not what it was. */
async function damage({ page }: Tab, last: number): Promise<void> {
  await page.evaluate(async (back) => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open('cowrite');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const transaction = database.transaction('updates', 'readwrite');
    const request = transaction.objectStore('updates').openCursor(null, 'prev');
    let at = 0;
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor === null) return;
        if (at++ < back) return cursor.continue();
        cursor.update({ ...cursor.value, update: cursor.value.update.map((b: number) => b ^ 85) });
      };
    });
    database.close();
  }, last);
}

/** The page's clock goes on by a day, and what waits for it. */
async function aDayPasses(page: Page): Promise<void> {
  await page.clock.fastForward(24 * 60 * 60 * 1000);
}

/** Runs in the page: a transaction that everything that is to be kept waits for, for as long as the page lives. */
async function holdUpdates(): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open('cowrite');
    request.onsuccess = () => resolve(request.result);
  });
  const store = database.transaction('updates', 'readwrite').objectStore('updates');
  await new Promise<void>((resolve) => {
    const again = () => {
      store.get(0).onsuccess = again;
      resolve();
    };
    again();
  });
}

describe('offline', () => {
  test('[E2E-25] what is written without a server is there after a reload and a day, and is saved when it is back', async () => {
    const server = await Server.start();
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const prepare = (page: Page) => page.clock.install();
    const ada = await Tab.open(pages, { name: 'Ada', browser, prepare });
    await ada.write('before');
    await ada.page.clock.runFor(1_000);
    await saved(ada);
    await kept(ada);
    await server.kill();
    await ada.write(' offline');
    // At once: the last key has to be there as well.
    await ada.page.reload();
    await ada.editor.waitFor();
    expect(await ada.words()).toEqual(['before', 'offline']);
    await ada.status.getByText('Offline').waitFor();
    await ada.write(' reloaded');
    await kept(ada);
    await aDayPasses(ada.page);
    await ada.page.reload();
    await ada.editor.waitFor();
    expect(await ada.words()).toEqual(['before', 'offline', 'reloaded']);
    await ada.write(' next-day');

    await server.start();
    await eventually(async () => {
      await ada.page.clock.runFor(5_000);
      return await ada.status.textContent();
    }).toContain('Saved');
    const grace = await Tab.open(server, { name: 'Grace' });
    expect(await grace.words()).toEqual(['before', 'offline', 'reloaded', 'next-day']);
    await ada.page.reload();
    await ada.editor.waitFor();
    expect(await ada.words()).toEqual(['before', 'offline', 'reloaded', 'next-day']);
  });

  test('[E2E-25] what is written while the browser’s database is busy is there after a reload', async () => {
    const server = await Server.start();
    const pages = await pagesBefore(server);
    const ada = await Tab.open(pages, { name: 'Ada' });
    await ada.write('before');
    await saved(ada);
    await kept(ada);
    await server.kill();
    await ada.page.evaluate(holdUpdates);
    await ada.write(' busy');
    await ada.page.reload();
    await ada.editor.waitFor();
    expect(await ada.words()).toEqual(['before', 'busy']);
  });

  test('[E2E-25] what others wrote meanwhile is merged', async () => {
    const server = await Server.start();
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const ada = await Tab.open(pages, { name: 'Ada', browser });
    await ada.write('one');
    await saved(ada);
    await kept(ada);
    await ada.page.close();
    const grace = await Tab.open(server, { name: 'Grace' });
    await grace.write(' two');
    await saved(grace);
    await server.kill();
    const again = await Tab.open(pages, { name: 'Ada', browser });
    expect(await again.words()).toEqual(['one']);
    await again.moveTo('start');
    await again.page.keyboard.type('zero ');
    await server.start();
    for (const tab of [again, grace]) {
      await tab.hurry();
      await eventually(() => tab.words()).toEqual(['zero', 'one', 'two']);
    }
    await saved(again);
  });

  test('[E2E-21] what was written without a server and is refused after a reload disappears; what it had deleted is back', async () => {
    const server = await Server.start(DEMO, {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      MAX_DOCUMENT_BYTES: '20000',
    });
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const ada = await Tab.open(pages, { name: 'Ada', browser });
    await ada.write('one two three');
    await saved(ada);
    await kept(ada);
    await server.kill();
    for (const _ of 'three') await ada.page.keyboard.press('Backspace');
    await ada.page.keyboard.insertText('x'.repeat(30_000));
    await ada.page.reload();
    await ada.editor.waitFor();
    expect(await ada.words()).toEqual(['one', 'two', 'x'.repeat(30_000)]);
    await server.start();
    await ada.hurry();
    await ada.page.getByTestId('refused-banner').getByText('largest size').waitFor();
    await eventually(() => ada.words()).toEqual(['one', 'two', 'three']);
    await saved(ada);

    // What came back follows the others as if it had never been away, also after another reload.
    const grace = await Tab.open(server, { name: 'Grace' });
    expect(await grace.words()).toEqual(['one', 'two', 'three']);
    await ada.page.reload();
    await ada.editor.waitFor();
    await saved(ada);
    // By this it is certain that Grace has what came before, which she cannot see.
    await ada.write('!');
    await eventually(() => grace.words()).toEqual(['one', 'two', 'three!']);
    await grace.moveTo('end');
    for (const _ of ' three!') await grace.page.keyboard.press('Backspace');
    await grace.write(' four');
    await eventually(() => ada.words()).toEqual(['one', 'two', 'four']);
    await ada.write(' five');
    for (const tab of [ada, grace]) {
      await eventually(() => tab.words()).toEqual(['one', 'two', 'four', 'five']);
      await saved(tab);
    }
  });

  test('[E2E-21] what was written without a server and is too much for one message is sent in pieces', async () => {
    const server = await Server.start(DEMO, {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      MAX_MESSAGE_BYTES: '20000',
    });
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const ada = await Tab.open(pages, { name: 'Ada', browser });
    await ada.write('before');
    await saved(ada);
    await server.kill();
    const words = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(12_000));
    for (const word of words) {
      await ada.page.keyboard.press('Enter');
      await ada.page.keyboard.insertText(word);
    }
    await ada.page.keyboard.press('Enter');
    await ada.page.keyboard.insertText('x'.repeat(30_000));
    await ada.page.reload();
    await ada.editor.waitFor();
    await server.start();
    await ada.hurry();
    await ada.page.getByTestId('refused-banner').getByText('more than the server takes').waitFor();
    await saved(ada);
    const grace = await Tab.open(server, { name: 'Grace' });
    for (const tab of [ada, grace]) {
      await eventually(() => tab.words()).toEqual(['before', ...words]);
    }
  });

  test('[E2E-31] a damaged record of the copy takes nothing else with it, and nothing is called saved before it is', async () => {
    const server = await Server.start();
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const ada = await Tab.open(pages, { name: 'Ada', browser });
    await ada.write('before');
    await saved(ada);
    await kept(ada);
    await server.kill();
    await ada.type(' offline');
    await kept(ada);
    await damage(ada, 3);
    await ada.page.reload();
    await ada.editor.waitFor();
    await eventually(() => ada.words()).toEqual(['before', 'offine']);
    await ada.status.getByText('Offline').waitFor();

    await server.start();
    await ada.hurry();
    await saved(ada);
    const grace = await Tab.open(server, { name: 'Grace' });
    expect(await grace.words()).toEqual(['before', 'offine']);
    await ada.page.reload();
    await ada.editor.waitFor();
    await ada.write(' more');
    await saved(ada);
    await eventually(() => grace.words()).toEqual(['before', 'offine', 'more']);
  });

  test('[E2E-32] a document that was replaced while somebody was away is not mixed with theirs, and what was unsaved is kept', async () => {
    const token = 'an-administrator-with-a-long-token';
    const server = await Server.start(DEMO, {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      ADMIN_TOKEN: token,
    });
    const pages = await pagesBefore(server);
    const browser = await openBrowser();
    const grace = await Tab.open(server, { name: 'Grace', room: 'other' });
    await grace.write('second');
    await saved(grace);
    const ada = await Tab.open(pages, { name: 'Ada', browser });
    await ada.write('first');
    await saved(ada);
    await kept(ada);
    await server.kill();
    await ada.write(' unsaved');
    await kept(ada);
    await ada.page.close();

    await server.start();
    const headers = { Authorization: `Bearer ${token}` };
    const documentOf = (room: string) => `${server.url}/api/rooms/${room}/document`;
    const body = await (await fetch(documentOf('other'), { headers })).arrayBuffer();
    const answer = await fetch(documentOf('minutes'), { method: 'PUT', headers, body });
    expect(answer.status).toBe(200);

    const back = await Tab.open(pages, { name: 'Ada', browser });
    const banner = back.page.getByTestId('closed-banner');
    await banner.getByText('Another document has taken the place of this one.').waitFor();
    expect(await back.words()).toEqual(['first', 'unsaved']);
    await kept(back);
    await back.page.reload();
    await back.editor.waitFor();
    await eventually(() => back.words()).toEqual(['second']);
    await back.write(' third');
    await saved(back);
    const fresh = await Tab.open(server, { name: 'Bob' });
    expect(await fresh.words()).toEqual(['second', 'third']);
    const recoverable = await back.page.evaluate(async () => {
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open('cowrite');
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      const store = database.transaction('recoverable').objectStore('recoverable');
      const found = await new Promise<number>((resolve, reject) => {
        const request = store.count();
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      database.close();
      return found;
    });
    expect(recoverable).toBe(1);
  });

  test('[E2E-26] a document that was deleted does not come back from a browser that kept it', async () => {
    const token = 'an-administrator-with-a-long-token';
    const server = await Server.start(DEMO, {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      ADMIN_TOKEN: token,
    });
    const browser = await openBrowser();
    const ada = await Tab.open(server, { name: 'Ada', browser });
    await ada.write('secret');
    await saved(ada);
    await ada.page.goto('about:blank');
    const answer = await fetch(`${server.url}/api/rooms/minutes`, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(200);
    const page = await browser.newPage();
    await page.goto(`${server.url}/d/minutes`);
    await page.getByTestId('closed-banner').getByText('This document was deleted.').waitFor();
    await page.reload();
    await page.getByText('This document cannot be shown.').waitFor();
    expect(await page.getByTestId('editor').count()).toBe(0);
  });
});
