/** What every example of the client package has to do, whatever it is made with. */
import type { Page } from 'playwright';
import { expect } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, Wire } from './fixtures.js';

/** @param built the folder of the built example */
export async function writeListTogether(built: string): Promise<void> {
  const server = await Server.start(built);
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
}

const items = async (page: Page) =>
  (await page.locator('li').allTextContents()).map((text) => text.replace(' Done', ''));
