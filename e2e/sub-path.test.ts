/** Everything under a path of another site, behind a real nginx with what the handbook says to write. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { startNginx } from '../server/test/nginx-service.js';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, temporaryFolder } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { ROOT } from './packed.js';
import { compile, typeScriptOf } from './snippets.js';

const PAGE = 'docs/operations/sub-path.md';
const ADMIN_TOKEN = 'the-token-of-the-administrator,-long-enough';
/** Where the shipped file has its `location`s. */
const LOCATIONS = / {2}# nginx matches decoded paths[\s\S]*\n\}\n$/;

test('[DEP-19] under a path the demo, the pages of the administrator and rooms are found, and nothing is asked for outside of it', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    ADMIN_TOKEN,
  });
  const [snippet] = codeBlocks(PAGE).filter(({ language }) => language === 'nginx');
  const nginx = await startNginx([server.url, server.url], '', (template) => {
    expect(template).toMatch(LOCATIONS);
    return template.replace(LOCATIONS, () => `${snippet!.text}\n}\n`);
  });
  const url = `${nginx.url}/cowrite`;
  const browser = await openBrowser();
  const page = await browser.newPage();
  const outside: string[] = [];
  const failed: string[] = [];
  browser.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) outside.push(request.url());
  });
  browser.on('response', (response) => {
    if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`);
  });

  await page.goto(`${url}/`);
  await page.getByRole('button', { name: 'New document' }).click();
  await page.waitForURL(`${url}/d/*`);
  await page.getByTestId('editor').waitFor();
  await page.keyboard.type('Under a path');
  await page.getByTestId('save-status').getByText('Saved', { exact: true }).waitFor();
  await page.reload();
  await page.getByTestId('editor').getByText('Under a path').waitFor();
  await page.getByRole('link', { name: 'Your documents' }).click();
  await page.waitForURL(`${url}/`);
  await page.getByRole('link', { name: 'Under a path' }).click();
  await page.getByTestId('editor').getByText('Under a path').waitFor();
  const room = decodeURIComponent(new URL(page.url()).pathname.split('/').at(-1)!);
  // A name with parts, and a path that leads nowhere, however deep.
  await page.goto(`${url}/d/a/b/c`);
  await page.getByTestId('editor').waitFor();
  await page.goto(`${url}/elsewhere/a/b/c`);
  await page.getByText('There is nothing here').waitFor();

  await page.goto(`${url}/admin`);
  await page.getByLabel('Token').fill(ADMIN_TOKEN);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByText(room).first().waitFor();
  await page.getByRole('link', { name: 'HTTP API' }).click();
  await page.waitForURL(`${url}/api/docs`);
  await page.getByText('/api/rooms/{room}/kick').first().waitFor();
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.waitForURL(`${url}/admin`);
  await eventually(() => failed).toEqual([]);
  expect(outside).toEqual([]);

  // As it is encoded, also where nginx would make another name of it.
  const odd = 'a//b/../100%/ü?';
  const provider = new CowriteProvider({
    url: `${url.replace('http', 'ws')}/ws`,
    room: odd,
    WebSocket,
  });
  onTestFinished(() => provider.destroy());
  provider.doc.getText('t').insert(0, 'x');
  await provider.whenSaved();
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
  const listed = await fetch(`${url}/api/rooms`, { headers }).then((answer) => answer.json());
  expect(listed.rooms.map(({ room: name }: { room: string }) => name)).toContain(odd);
});

test('[DEP-19] what the page says to write compiles', async () => {
  const folder = temporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const blocks = typeScriptOf(PAGE);
  expect(blocks).toHaveLength(1);
  await compile(folder, blocks);
});
