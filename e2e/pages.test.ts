/** The pages around the editor: documents made, opened, shared; and a browser with nothing to complain of. */
import type { ConsoleMessage, Page, Request, Response } from 'playwright';
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { type Server, sharedServer, Tab } from './fixtures.js';

async function openPage(server: Server, path: string, page?: Page): Promise<Page> {
  const opened = page ?? (await (await openBrowser()).newPage());
  await opened.goto(server.url + path);
  return opened;
}

describe('the first page', () => {
  test('[E2E-10] makes a document, and lists it afterwards under its first line', async () => {
    const server = await sharedServer();
    const browser = await openBrowser({ keepsPages: true });
    const page = await openPage(server, '/', await browser.newPage());
    await page.getByText('Documents you open in this browser are listed here.').waitFor();
    await page.getByRole('button', { name: 'New document' }).click();
    await page.waitForURL(/\/d\/[a-z]+-[a-z]+-\d{4}$/);
    const address = new URL(page.url());
    await page.getByTestId('editor').waitFor();
    // An empty document is ready to be written in.
    await page.keyboard.type('Opening night');
    await page.getByTestId('save-status').getByText('Saving…').waitFor();
    await page.getByTestId('save-status').getByText('Saved', { exact: true }).waitFor();
    await eventually(() => page.title()).toContain('Opening night');

    await page.getByRole('link', { name: 'Your documents' }).click();
    const recent = page.getByRole('region', { name: 'Recent documents' });
    await recent.getByRole('link', { name: 'Opening night' }).click();
    await page.waitForURL(address.href);
    await eventually(() => page.getByTestId('editor').textContent()).toBe('Opening night');

    await page.goBack({ waitUntil: 'commit' });
    await recent.getByRole('button', { name: 'Remove Opening night' }).click();
    await page.getByText('Documents you open in this browser are listed here.').waitFor();
  });

  test('[E2E-10] opens a document by its name and by its link', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { room: 'board-minutes' });
    await ada.write('as agreed');
    await ada.status.getByText('Saved', { exact: true }).waitFor();

    for (const typed of ['board minutes', `${server.url}/d/board-minutes?name=Eve`]) {
      const page = await openPage(server, '/');
      await page.getByLabel('Or open one by its name or link').fill(typed);
      await page.getByRole('button', { name: 'Open', exact: true }).click();
      await page.waitForURL(`${server.url}/d/board-minutes`);
      const text = page.getByTestId('editor').getByText('as agreed');
      await text.waitFor();
    }
  });

  test('[E2E-10] says what is wrong with a name instead of going there', async () => {
    const server = await sharedServer();
    const page = await openPage(server, '/');
    const input = page.getByLabel('Or open one by its name or link');
    const problem = page.getByRole('alert');
    for (const [typed, said] of [
      ['', 'Type a document’s name'],
      ['été?', 'That is not a document’s name or link.'],
      ['https://example.com/elsewhere', 'That is not a document’s name or link.'],
    ] as const) {
      await input.fill(typed);
      await input.press('Enter');
      await problem.getByText(said).waitFor();
      expect(await input.getAttribute('aria-invalid')).toBe('true');
    }
    await input.press('a');
    await problem.waitFor({ state: 'hidden' });
    expect(new URL(page.url()).pathname).toBe('/');
  });
});

describe('a document’s address', () => {
  test('[E2E-10] is what “Copy link” copies, and opens the document for somebody else', async () => {
    const server = await sharedServer();
    const browser = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });
    const ada = await Tab.open(server, { browser, room: 'board' });
    await ada.write('for you');
    const copy = ada.page.getByTestId('copy-link');
    await copy.click();
    await copy.getByText('Copied').waitFor();
    const link = await ada.page.evaluate(() => navigator.clipboard.readText());
    // Not with the name that this tab was given.
    expect(link).toBe(`${server.url}/d/board`);

    const page = await (await openBrowser()).newPage();
    await page.goto(link);
    await page.getByTestId('editor').getByText('for you').waitFor();
  });

  test('[E2E-10] is shown to be copied by hand where the browser copies nothing', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, {
      room: 'board',
      prepare: async (page) => {
        await page.addInitScript('delete Navigator.prototype.clipboard');
      },
    });
    await ada.page.getByTestId('copy-link').click();
    const link = ada.page.getByLabel('This browser does not let the page copy.');
    await link.waitFor();
    expect(await link.inputValue()).toBe(`${server.url}/d/board`);
    const selected = link.evaluate((input: HTMLInputElement) =>
      input.value.slice(input.selectionStart ?? 0, input.selectionEnd ?? 0),
    );
    expect(await selected).toBe(`${server.url}/d/board`);
  });

  test('[E2E-10] that cannot be one gets a page that says so, and no connection', async () => {
    const server = await sharedServer();
    const page = await (await openBrowser()).newPage();
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    const invalid = 'This cannot be a document’s name';
    for (const [path, title, text] of [
      ['/d/a%20b', invalid, 'No document can be called a b.'],
      ['/d/%2e%2e%2fetc', invalid, 'No document can be called ../etc.'],
      ['/d/%3Cimg%20src=x%20onerror=alert(1)%3E', invalid, '<img src=x onerror=alert(1)>'],
      ['/d/%ff', invalid, 'No document can be called %ff.'],
      [`/d/${'x'.repeat(101)}`, invalid, `${'x'.repeat(60)}…`],
      ['/d/', invalid, 'The link ends before the document’s name.'],
      ['/elsewhere', 'There is nothing here', '/d/amber-fox-4821'],
    ] as const) {
      await openPage(server, path, page);
      await page.getByRole('heading', { name: title }).waitFor();
      expect(await page.getByRole('main').textContent()).toContain(text);
    }
    await page.getByRole('link', { name: 'Go to your documents' }).click();
    await page.getByRole('button', { name: 'New document' }).waitFor();
    expect(sockets).toEqual([]);
  });
});

test('[E2E-14] a normal session leaves nothing in the console and no failed request', async () => {
  const server = await sharedServer();
  const complaints: string[] = [];
  const listen = async (page: Page) => {
    page.on('console', (message: ConsoleMessage) => {
      if (['error', 'warning', 'assert'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request: Request) => complaints.push(`failed: ${request.url()}`));
    page.on('response', (response: Response) => {
      if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
    });
  };
  const page = await (await openBrowser()).newPage();
  await listen(page);
  await openPage(server, '/', page);
  await page.getByRole('button', { name: 'New document' }).click();
  await page.getByTestId('editor').waitFor();
  const room = new URL(page.url()).pathname.slice('/d/'.length);
  const grace = await Tab.open(server, { name: 'Grace', room, prepare: listen });

  await page.getByRole('button', { name: 'Heading 1' }).click();
  await page.keyboard.type('Programme\nThe quartet plays');
  await eventually(() => grace.words()).toEqual(['Programme', 'The', 'quartet', 'plays']);
  await grace.write(' in the foyer');
  await grace.select('Shift+Home', 'The quartet plays in the foyer');
  await grace.page.getByRole('button', { name: 'Bold', exact: true }).click();
  await grace.page.keyboard.press('ControlOrMeta+k');
  await grace.page.getByLabel('Link address').fill('example.com');
  await grace.page.keyboard.press('Enter');
  await page.getByTestId('editor').getByRole('link', { name: 'The quartet plays' }).waitFor();
  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  await page.getByRole('button', { name: /\(you\)/ }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Undo' }).click();
  for (const tab of [page, grace.page]) {
    await tab.getByTestId('save-status').getByText('Saved', { exact: true }).waitFor();
  }
  await grace.page.reload();
  await grace.editor.waitFor();
  await page.getByRole('link', { name: 'Your documents' }).click();
  await page.getByRole('region', { name: 'Recent documents' }).getByRole('link').waitFor();
  await eventually(() => grace.people()).toEqual(['Grace']);
  expect(complaints).toEqual([]);
});
