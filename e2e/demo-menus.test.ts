/** The demo's menus in the text, its share dialog, following a person, and what is loaded when. */
import { CowriteProvider } from '@cowrite/client';
import type { Locator, Page } from 'playwright';
import decodeQR from 'qr/decode.js';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { sharedServer, Tab } from './fixtures.js';
import { guarded, token } from './guarded.js';

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
  const ada = await Tab.open(server, { prepare: (page) => page.clock.install() });
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
  // It comes a moment after a selection, so this moment has to pass.
  await page.clock.fastForward(1_000);
  expect(await menu.count()).toBe(0);

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

  // Where the text has been scrolled to just under the bar, that does not lie over it.
  await ada.moveTo('end');
  await menu.waitFor({ state: 'hidden' });
  const bar = page.locator('.doc-header');
  const gap = await ada.editor.evaluate((editor) => {
    editor.style.padding = '300px 0 2000px';
    const line = editor.querySelector('p')!;
    const barEnds = document.querySelector('.doc-header')!.getBoundingClientRect().bottom;
    scrollBy(0, line.getBoundingClientRect().top - barEnds - 10);
    return line.getBoundingClientRect().top - barEnds;
  });
  expect(gap).toBe(10);
  await ada.select('Shift+ArrowLeft', '!');
  await eventually(async () => {
    const [above, box] = [await bar.boundingBox(), await menu.boundingBox()];
    return above !== null && box !== null && box.y >= above.y + above.height;
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
  await eventually(() => ada.words()).toEqual(['either/or', '/', 'Name', '/']);
  expect(await page.getByRole('listbox').count()).toBe(0);
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
  const ada = await Tab.open(server, { room: 'code' });
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

  const grace = await Tab.open(server, { name: 'Grace', room: 'code' });
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
  // Whatever a document says is a language, nothing breaks; a block that is too long stays plain.
  const odd = new CowriteProvider({ url: `${server.url}/ws`, room: 'code', WebSocket });
  onTestFinished(() => odd.destroy());
  await odd.whenSynced();
  for (const language of [7, { x: 1 }, ['js'], '__proto__', 'no such', true]) {
    const block = new Y.XmlElement('codeBlock');
    block.setAttribute('language', language as never);
    block.insert(0, [new Y.XmlText(`const odd`)]);
    odd.doc.getXmlFragment('default').push([block]);
  }
  for (const tab of [ada, grace]) {
    await eventually(() => tab.editor.getByText('const odd').count()).toBe(6);
    expect(await coloured(tab, 'keyword')).toEqual(['def']);
  }
  await paste(ada, ` def ${'x'.repeat(5_000)}`);
  for (const tab of [ada, grace]) await eventually(() => coloured(tab, 'keyword')).toEqual([]);
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await page.getByTestId('apart-banner').count()).toBe(0);
});

/** What a phone reads off the code. */
async function scanned(code: Locator): Promise<string> {
  const { size, squares } = await code.evaluate((svg) => ({
    size: Number(svg.getAttribute('viewBox')?.split(' ')[2]),
    squares: svg.querySelector('path')?.getAttribute('d') ?? '',
  }));
  const scale = 4;
  const width = size * scale;
  const data = new Uint8Array(width * width * 4).fill(255);
  for (const [, x, y] of squares.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    for (let dot = 0; dot < scale * scale; dot++) {
      const left = Number(x) * scale + (dot % scale);
      const top = Number(y) * scale + Math.floor(dot / scale);
      data.fill(0, (top * width + left) * 4, (top * width + left) * 4 + 3);
    }
  }
  return decodeQR({ width, height: width, data });
}

test('[DEMO-16] the share dialog has the link, also as a QR code, and says what it brings along', async () => {
  const server = await sharedServer();
  const browser = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });
  const ada = await Tab.open(server, { browser, room: 'shared' });
  const { page } = ada;
  const share = page.getByRole('button', { name: 'Share' });
  const dialog = page.getByRole('dialog', { name: 'Share this document' });
  const link = `${server.url}/d/shared`;
  await share.focus();
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  expect(await dialog.getByLabel('Link', { exact: true }).inputValue()).toBe(link);
  expect(await scanned(dialog.getByRole('img', { name: 'QR code of the link' }))).toBe(link);
  await dialog.getByText('The link brings no access along').waitFor();
  await dialog.getByText('You can read and write.').waitFor();
  await dialog.getByText('127.0.0.1 is this computer itself: the link opens here').waitFor();
  expect(await dialog.getByRole('radio').count()).toBe(0);
  await dialog.getByRole('button', { name: 'Copy' }).click();
  await dialog.getByRole('status').getByText('Copied').waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);
  await page.setViewportSize({ width: 320, height: 600 });
  const box = await dialog.boundingBox();
  expect(box && box.x >= 0 && box.x + box.width <= 320).toBe(true);
  expect(await dialog.evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(
    0,
  );
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await eventually(() => hasFocus(share)).toBe(true);
});

test('[DEMO-16] with a token, the share dialog hands on what its owner has, and no more', async () => {
  const server = await guarded({ STORAGE_URL: 'memory:' });
  const writer = await token('Grace', 'minutes=write');
  const grace = await Tab.open(server, { room: 'minutes', token: writer });
  await grace.write('for readers');
  const reader = await token('Ada', 'minut*=read');
  const ada = await Tab.open(server, { room: 'minutes', token: reader });
  const open = async ({ page }: Tab) => {
    await page.getByRole('button', { name: 'Share' }).click();
    return page.getByRole('dialog', { name: 'Share this document' });
  };
  const dialog = await open(ada);
  const link = dialog.getByLabel('Link', { exact: true });
  expect(await link.inputValue()).toBe(`${server.url}/d/minutes`);
  await dialog.getByText('for people who already have access to it').waitFor();
  await dialog.getByRole('radio', { name: 'Your access' }).check();
  await dialog
    .getByText(/can read, but not write here in your name \(Ada\), until .*20\d\d/)
    .waitFor();
  await dialog.getByText('It opens other documents as well: minut*.').waitFor();
  const handed = await link.inputValue();
  expect(handed).toBe(`${server.url}/d/minutes#token=${reader}`);
  expect(await scanned(dialog.getByRole('img', { name: 'QR code of the link' }))).toBe(handed);
  await dialog.getByText('Links for other people').click();
  await dialog.getByText(`cowrite token --user grace --name Grace --room 'minutes=read'`).waitFor();
  // Who opens it has what its owner has.
  const page = await (await openBrowser()).newPage();
  await page.goto(handed);
  await page.getByTestId('reading-banner').waitFor();
  await page.getByTestId('editor').getByText('for readers').waitFor();

  const own = await open(grace);
  await own.getByRole('radio', { name: 'Your access' }).check();
  await own.getByText(/can read and write here in your name \(Grace\)/).waitFor();
  expect(await own.getByText('other documents').count()).toBe(0);
});

test('[DEMO-17] the page follows a person until one scrolls, writes, presses Escape, or they leave', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server, { name: 'Ada' });
  await ada.editor.focus();
  await paste(ada, Array.from({ length: 60 }, (_, line) => `line ${line}`).join('\n\n'));
  await ada.editor.getByText('line 59').waitFor();
  const grace = await Tab.open(server, { name: 'Grace' });
  const { page } = grace;
  const said = page.getByRole('status').getByText('Following Ada', { exact: true });
  const isSeen = async () =>
    await grace.editor.evaluate((editor) => {
      const caret = editor.querySelector('.collaboration-carets__caret')?.getBoundingClientRect();
      return caret !== undefined && caret.top > 0 && caret.bottom < innerHeight;
    });
  const follow = async () => {
    await page.getByRole('button', { name: /\(you\)/ }).click();
    const button = page.getByRole('button', { name: 'Follow Ada' });
    expect(await button.getAttribute('aria-pressed')).toBe('false');
    await button.focus();
    await page.keyboard.press('Enter');
    await said.waitFor();
  };
  await grace.moveTo('start');
  await eventually(isSeen).toBe(false);
  await follow();
  await eventually(isSeen).toBe(true);
  for (const place of ['start', 'end'] as const) {
    await ada.moveTo(place);
    await eventually(isSeen).toBe(true);
  }
  const avatar = page.getByRole('button', { name: 'Ada', exact: true });
  expect(await avatar.getAttribute('aria-description')).toBe('You are following');

  const ways: Readonly<Record<string, () => Promise<void>>> = {
    scrolling: () => page.mouse.wheel(0, -2_000),
    writing: () => grace.write('!'),
    Escape: () => page.keyboard.press('Escape'),
    'the button': () => page.getByRole('button', { name: 'Stop following' }).click(),
  };
  await page.mouse.move(400, 400);
  for (const [name, stop] of Object.entries(ways)) {
    await stop();
    await eventually(async () => [name, await said.count()]).toEqual([name, 0]);
    await follow();
  }
  // In another tab, or away from the text, there is nobody to follow for the moment.
  await ada.page.getByRole('button', { name: 'Share' }).focus();
  await page.getByRole('status').getByText('Following Ada, who is not in the text').waitFor();
  await ada.moveTo('start');
  await eventually(isSeen).toBe(true);
  await ada.page.close();
  await page.getByRole('status').getByText('Ada is not here any more').waitFor();
  expect(await page.getByRole('button', { name: 'Stop following' }).count()).toBe(0);
});

test('[DEMO-18] the editor comes beside the document, and what is seldom used when it is first used', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const { page } = ada;
  const scripts = () =>
    page.evaluate(() =>
      (performance.getEntriesByType('resource') as PerformanceResourceTiming[])
        .filter(({ name }) => name.endsWith('.js'))
        .map(({ name, decodedBodySize }) => ({ name, size: decodedBodySize })),
    );
  const part = async (name: string) => (await scripts()).filter((one) => one.name.includes(name));
  const sizeOf = (all: readonly { size: number }[]) => all.reduce((sum, { size }) => sum + size, 0);
  expect(sizeOf(await part('/page-'))).toBeGreaterThan(0);
  expect(sizeOf(await part('/page-'))).toBeLessThan(100_000);
  expect(sizeOf(await scripts())).toBeLessThan(730_000);
  for (const name of ['/slash-menu-', '/code-colours-', '/share-dialog-']) {
    expect(await part(name), name).toEqual([]);
  }

  // What cannot be had is said, and had the next time.
  await page.route('**/slash-menu-*.js', (route) => route.abort());
  await ada.write('/');
  await page.getByRole('status').getByText('could not be loaded').waitFor();
  await page.unroute('**/slash-menu-*.js');
  await page.keyboard.type(' /');
  await page.getByRole('listbox', { name: 'Insert' }).waitFor();
  expect(await part('/code-colours-')).toEqual([]);
  await page.keyboard.press('Escape');
  await page.route('**/markdown-*.js', (route) => route.abort());
  await page.getByRole('button', { name: 'Download' }).click();
  const forms = page.getByRole('dialog', { name: 'Download as' });
  await forms.getByRole('button', { name: 'Markdown' }).click();
  await page.getByRole('status').getByText('What makes Markdown could not be loaded').waitFor();

  const late = await (await openBrowser()).newPage();
  await late.route('**/open-*.js', (route) => route.abort());
  await late.goto(page.url());
  await late.getByRole('alert').getByText('The editor could not be loaded.').waitFor();
  await late.unroute('**/open-*.js');
  await late.getByRole('button', { name: 'Reload the page' }).click();
  await late.getByTestId('editor').getByText('/ /').waitFor();
});
