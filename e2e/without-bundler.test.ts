/** A page that takes the packages as npm installs them, by the import map of the documentation. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, temporaryFolder } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { ROOT } from './packed.js';

test('[DOC-10] two tabs of a page without a bundler write together', async () => {
  const folder = temporaryFolder();
  const block = codeBlocks('docs/without-a-bundler.md').find(({ language }) => language === 'html');
  const page = block!.text.replace("'ws://127.0.0.1:8080/ws'", "'/ws'");
  expect(page).toContain("url: '/ws'");
  writeFileSync(join(folder, 'index.html'), page);
  for (const part of ['@cowrite/client/dist', 'yjs/dist', 'y-protocols', 'lib0']) {
    const path = join('node_modules', part);
    const isWanted = (file: string) => !/\.map$|\.d\.ts$|\/(cjs|src|tests)$/.test(file);
    cpSync(join(ROOT, path), join(folder, path), { recursive: true, filter: isWanted });
  }
  const server = await Server.start(folder, { STORAGE_URL: 'memory:' });
  const browser = await openBrowser();
  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(server.url);
    await tab.getByText('Saved', { exact: true }).waitFor();
    return tab;
  };
  const [ada, grace] = [await open(), await open()];
  await ada.getByRole('textbox').fill('milk');
  await ada.getByRole('button', { name: 'Add' }).click();
  await grace.getByText('milk').waitFor();
  await grace.getByRole('textbox').fill('bread');
  await grace.keyboard.press('Enter');
  for (const tab of [ada, grace]) {
    await eventually(() => tab.getByRole('listitem').allTextContents()).toEqual(['milk', 'bread']);
    await tab.getByText('Saved', { exact: true }).waitFor();
  }
});
