/** The administrator, as they use the page. */
import type { ConsoleMessage, Locator, Page } from 'playwright';
import { expect, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { openBrowser } from './browsers.js';
import { Server, temporaryFolder } from './fixtures.js';

export const ADMIN_TOKEN = 'the-token-of-the-administrator,-long-enough';

export async function governed(
  environment: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const STORAGE_URL = `lmdb:${temporaryFolder()}`;
  return await Server.start(undefined, { STORAGE_URL, ADMIN_TOKEN, ...environment });
}

export const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };

/** Writes what is new of the document. */
export async function writeTo(server: Server, room: string, doc: Y.Doc): Promise<void> {
  const body = Y.encodeStateAsUpdate(doc) as Uint8Array<ArrayBuffer>;
  const path = `/api/rooms/${encodeURIComponent(room)}/updates`;
  const response = await fetch(server.url + path, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
}

/** A page that may complain of nothing, not of its Content-Security-Policy either. */
export async function quietPage(
  options: Parameters<typeof openBrowser>[0] = {},
  expected = /\b401\b/,
): Promise<Page> {
  const browser = await openBrowser({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await browser.newPage();
  const said: string[] = [];
  page.on('console', (message: ConsoleMessage) => {
    // A server on a busy machine is late, and says that it is not ready.
    if (/\b503\b/.test(message.text()) && message.location().url.endsWith('/health/ready')) return;
    said.push(message.text());
  });
  onTestFinished(() => expect(said.filter((text) => !expected.test(text))).toEqual([]));
  return page;
}

export async function signIn(page: Page, server: Server, shown = ADMIN_TOKEN): Promise<void> {
  await page.goto(`${server.url}/admin`);
  await page.getByLabel('Token').fill(shown);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
}

/** What a browser keeps of a click: the file's name and what is in it. */
export async function downloaded(
  page: Page,
  button: Locator,
): Promise<[name: string, bytes: Buffer]> {
  const downloading = page.waitForEvent('download');
  await button.click();
  const download = await downloading;
  const parts: Buffer[] = await (await download.createReadStream()).toArray();
  return [download.suggestedFilename(), Buffer.concat(parts)];
}

/** How the tiles read, by what they are called. */
export async function figuresOn(page: Page): Promise<Record<string, string>> {
  const texts = await page.locator('.tile').evaluateAll((tiles) =>
    // Without what stands behind the name.
    tiles.map(({ children: [label, value] }) => [
      label?.firstChild?.textContent ?? '',
      value?.textContent ?? '',
    ]),
  );
  return Object.fromEntries(texts);
}

export async function widths(page: Page): Promise<[page: number, window: number]> {
  return await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
}
