/** The examples of the client package, built as an application would build them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { buildPage } from './build-page.js';
import { eventually, openBrowser, Server, Wire } from './fixtures.js';

const EXAMPLES = new URL('../client/examples/', import.meta.url);

const items = async (page: Page) =>
  (await page.locator('li').allTextContents()).map((text) => text.replace(' Done', ''));

describe.each([
  ['vanilla', 'main.ts'],
  ['react', 'main.tsx'],
])('%s', (name, main) => {
  test('[E2E-22] two people write a list together; it is saved, and there again', async () => {
    const server = await Server.start(await buildPage(fileURLToPath(new URL(name, EXAMPLES))));
    const wire = await Wire.before(server);
    const open = async () => {
      const page = await (await openBrowser()).newPage();
      await page.goto(wire.url);
      await page.getByRole('heading').waitFor();
      return page;
    };
    const [ada, grace] = [await open(), await open()];
    await ada.getByText('Others here: 1').waitFor();
    const write = async (page: Page, text: string) => {
      await page.getByLabel('New item').fill(text);
      await page.keyboard.press('Enter');
    };
    await write(ada, 'bread');
    await eventually(() => items(grace)).toEqual(['bread']);
    await write(grace, 'milk');
    await eventually(() => items(ada)).toEqual(['bread', 'milk']);
    await ada.getByRole('button', { name: 'Done' }).first().click();
    await eventually(() => items(grace)).toEqual(['milk']);
    for (const page of [ada, grace]) await page.getByText('Saved', { exact: true }).waitFor();
    // Strict mode mounts everything twice.
    expect(wire.openWebSockets).toBe(2);

    await grace.close();
    await ada.getByText('Others here: 0').waitFor();
    await server.kill();
    await server.start();
    await eventually(async () => items(await open())).toEqual(['milk']);
  });

  test('has less than 60 lines', () => {
    const source = readFileSync(new URL(`${name}/${main}`, EXAMPLES), 'utf8');
    expect(source.split('\n').length).toBeLessThan(60);
  });
});
