/** A document that outlives the pages of its application: whoever opens it again is seen again. */
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';
import { openBrowser } from './browsers.js';
import { buildPage } from './build-page.js';
import { eventually } from './eventually.js';
import { Server } from './fixtures.js';

const SOURCE = fileURLToPath(new URL('./navigation', import.meta.url));

test('[E2E-34] who leaves a page and opens it again with the same document is seen by others each time', async () => {
  const server = await Server.start(await buildPage(SOURCE));
  const open = async (name: string) => {
    const page = await (await openBrowser()).newPage();
    await page.goto(`${server.url}/?name=${name}`);
    return page;
  };
  const [ada, grace] = [await open('Ada'), await open('Grace')];
  const seen = () => grace.locator('#people').textContent();
  await eventually(seen).toBe('Ada 1, Grace 1');
  for (const visit of [2, 3, 4]) {
    await ada.locator('#leave').click();
    await eventually(seen).toBe('Grace 1');
    await ada.locator('#open').click();
    await eventually(seen).toBe(`Ada ${visit}, Grace 1`);
    await eventually(() => ada.locator('#people').textContent()).toBe(`Ada ${visit}, Grace 1`);
  }
});
