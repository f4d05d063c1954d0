/** The demo's menus in the text, its share dialog, following a person, and what is loaded when. */

import type { Locator, Page } from 'playwright';
import { expect, test } from 'vitest';
import { eventually, sharedServer, Tab } from './fixtures.js';

const hasFocus = (element: Locator) => element.evaluate((node) => node === document.activeElement);

/** What the focused element, or what it names as its active one, is called. */
const active = (page: Page) =>
  page.evaluate(() => {
    const focused = document.activeElement;
    const id = focused?.getAttribute('aria-activedescendant');
    const element = id ? document.getElementById(id) : focused;
    return element?.getAttribute('aria-label') ?? element?.querySelector('span')?.textContent;
  });

async function paste(tab: Tab, text: string): Promise<void> {
  await tab.editor.evaluate((editor, content) => {
    const data = new DataTransfer();
    data.setData('text/plain', content);
    editor.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    );
  }, text);
}

test('[DEMO-13] selected text has a menu beside it, for the mouse and for the keyboard', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const { page } = ada;
  const press = (key: string) => page.keyboard.press(key);
  const menu = page.getByRole('menu', { name: 'Selected text' });
  const item = (name: string) => menu.getByRole('menuitemcheckbox', { name, exact: true });
  await ada.write('one two');
  expect(await menu.count()).toBe(0);
  await ada.select('Shift+Home', 'one two');
  await menu.waitFor();
  expect(await item('Bold').getAttribute('aria-checked')).toBe('false');

  // The Tab key leads in, arrows go round, Enter works, Escape leads back.
  await press('Tab');
  await eventually(() => active(page)).toBe('Bold');
  await press('ArrowLeft');
  expect(await active(page)).toBe('Link');
  await press('ArrowRight');
  await press('Enter');
  await eventually(() => ada.html()).toBe('<p><strong>one two</strong></p>');
  await eventually(() => item('Bold').getAttribute('aria-checked')).toBe('true');
  expect(await hasFocus(item('Bold'))).toBe(true);
  await press('Escape');
  await menu.waitFor({ state: 'hidden' });
  await eventually(() => hasFocus(ada.editor)).toBe(true);

  // It is back with another selection, and stays while others write.
  await ada.select('Shift+ArrowRight', 'ne two');
  await menu.waitFor();
  const grace = await Tab.open(server, { name: 'Grace' });
  await grace.write('!');
  await ada.editor.getByText('one two!').waitFor();
  expect(await menu.isVisible()).toBe(true);
  await item('Italic').click();
  await eventually(() => ada.html()).toContain('<em>ne two</em>');
  expect(await hasFocus(ada.editor)).toBe(true);
  await menu.getByRole('menuitem', { name: 'Link' }).click();
  await page.getByLabel('Link address').fill('example.com');
  await press('Enter');
  await ada.editor.getByRole('link', { name: 'ne two' }).waitFor();
  await eventually(() => hasFocus(ada.editor)).toBe(true);

  // Inside a narrow window it stays within.
  await page.setViewportSize({ width: 320, height: 600 });
  await ada.moveTo('end');
  await menu.waitFor({ state: 'hidden' });
  await ada.select('Shift+ArrowLeft', '!');
  await eventually(async () => {
    const box = await menu.boundingBox();
    return box !== null && box.x >= 0 && box.x + box.width <= 320;
  }).toBe(true);
});

test('[DEMO-14] a slash offers what can be inserted, to the one who types it', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const { page } = ada;
  const press = (key: string) => page.keyboard.press(key);
  const menu = page.getByRole('listbox', { name: 'Insert' });
  const options = () => menu.getByRole('option').locator('span').allTextContents();
  await ada.write('either/or ');
  await page.keyboard.type('/');
  await menu.waitFor();
  expect(await ada.html()).toContain('either/or /');
  await eventually(() => active(page)).toBe('Heading 1');
  expect(await hasFocus(ada.editor)).toBe(true);
  await press('ArrowUp');
  expect(await active(page)).toBe('Divider');
  await press('ArrowDown');
  await press('ArrowDown');
  expect(await active(page)).toBe('Heading 2');
  // Escape leaves what was typed, and Enter is a new line again.
  await press('Escape');
  await menu.waitFor({ state: 'hidden' });
  expect(await ada.editor.getAttribute('aria-activedescendant')).toBe(null);
  await press('Enter');
  await page.keyboard.type('/TA');
  await eventually(options).toEqual(['Task list', 'Table']);
  await page.keyboard.type('x');
  await menu.waitFor({ state: 'hidden' });
  await press('Backspace');
  await eventually(options).toEqual(['Task list', 'Table']);
  await press('ArrowDown');
  await press('Enter');
  await ada.editor.locator('table').waitFor();
  await page.keyboard.type('Name');
  await ada.status.getByText('Saved', { exact: true }).waitFor();

  // Somebody who comes later sees the table at once; of a slash of others they see the text alone.
  const grace = await Tab.open(server, { name: 'Grace' });
  expect(await grace.editor.locator('th').first().textContent()).toBe('Name');
  expect(await grace.words()).toEqual(['either/or', '/', 'Name']);
  await grace.write('/');
  await grace.page.getByRole('listbox').waitFor();
  await grace.page.keyboard.press('Escape');
  await grace.page.keyboard.press('Backspace');
  await eventually(() => ada.words()).toEqual(['either/or', '/', 'Name']);
  await ada.moveTo('end');
  await page.keyboard.type('/quo');
  await menu.waitFor();
  await grace.editor.getByText('/quo').waitFor();
  await grace.moveTo('end');
  expect(await grace.page.getByRole('listbox').count()).toBe(0);
  // While others write it stays, and takes the place that was meant.
  await grace.moveTo('start');
  await grace.page.keyboard.type('Well: ');
  await ada.editor.getByText('Well: either').waitFor();
  await menu.getByRole('option', { name: 'Quote' }).click();
  await page.keyboard.type('said');
  await eventually(() => grace.html()).toContain('<blockquote><p>said</p></blockquote>');
});

test('[DEMO-15] code is coloured in its language, which is chosen beside it', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const { page } = ada;
  const coloured = (tab: Tab, kind: string) =>
    tab.editor.locator(`.hljs-${kind}`).allTextContents();
  await ada.write('```js ');
  await page.keyboard.type('const a = "b"');
  await eventually(() => coloured(ada, 'keyword')).toEqual(['const']);
  expect(await coloured(ada, 'string')).toEqual(['"b"']);
  const language = page.getByRole('group', { name: 'Code block' }).getByLabel('Language');
  await eventually(() => language.inputValue()).toBe('javascript');
  // Neither its colours nor its menus are in the document or in the way of the text.
  expect(await ada.html()).toBe('<pre><code>const a = "b"</code></pre>');
  await ada.select('Shift+Home', 'const a = "b"');
  expect(await page.getByRole('menu', { name: 'Selected text' }).count()).toBe(0);

  const grace = await Tab.open(server, { name: 'Grace' });
  await eventually(() => coloured(grace, 'keyword')).toEqual(['const']);
  await page.keyboard.press('Tab');
  await eventually(() => hasFocus(language)).toBe(true);
  await language.selectOption({ label: 'Python' });
  for (const tab of [ada, grace]) await eventually(() => coloured(tab, 'keyword')).toEqual([]);
  await page.keyboard.press('Escape');
  await eventually(() => hasFocus(ada.editor)).toBe(true);
  await ada.moveTo('end');
  await page.keyboard.type('; def f');
  for (const tab of [ada, grace]) await eventually(() => coloured(tab, 'keyword')).toEqual(['def']);
  // A language that nobody knows is shown as it is, and a block that is too long stays plain.
  await paste(ada, ` def ${'x'.repeat(20_000)}`);
  for (const tab of [ada, grace]) await eventually(() => coloured(tab, 'keyword')).toEqual([]);
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await page.getByTestId('apart-banner').count()).toBe(0);
});
