/** Blocks in blocks, deeper than anybody needs. */
import { expect, test } from 'vitest';
import { eventually } from './eventually.js';
import { Server, Tab, temporaryFolder } from './fixtures.js';

const LEVELS = 130;
const TOKEN = 'the-token-of-the-administrator,-long-enough';

const quotes = async (tab: Tab): Promise<number> => await tab.editor.locator('blockquote').count();

test('[E2E-33] 130 block quotes in each other are saved, and stay when the document is compacted, the server is killed, and the page is loaded again', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    ADMIN_TOKEN: TOKEN,
  });
  const ada = await Tab.open(server, { name: 'Ada' });
  await ada.type('> '.repeat(LEVELS));
  await ada.page.keyboard.type('at the bottom');
  await eventually(() => quotes(ada)).toBe(LEVELS);
  await eventually(() => ada.status.textContent()).toContain('Saved');
  const compacted = await fetch(`${server.url}/api/rooms/minutes/compact`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKEN}` },
  });
  expect(compacted.status).toBe(200);
  await server.kill();
  await server.start();
  await ada.hurry();
  const grace = await Tab.open(server, { name: 'Grace' });
  await eventually(() => grace.words()).toEqual(['at', 'the', 'bottom']);
  expect(await quotes(grace)).toBe(LEVELS);
  // Inside all of them somebody else goes on.
  await grace.write(' and below');
  await eventually(() => ada.words()).toEqual(['at', 'the', 'bottom', 'and', 'below']);
  expect(await quotes(ada)).toBe(LEVELS);
});
