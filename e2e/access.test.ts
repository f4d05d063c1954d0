/** The demo without a mouse, on a small screen, and in the dark. */
import type { Locator, Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, sharedServer, Tab } from './fixtures.js';

const hasFocus = (element: Locator) => element.evaluate((node) => node === document.activeElement);

/** Presses Tab until the focus is on the element, as somebody without a mouse would. */
async function tabTo(page: Page, element: Locator, presses = 20): Promise<void> {
  for (let press = 0; press < presses; press++) {
    await page.keyboard.press('Tab');
    if (await hasFocus(element)) return;
  }
  throw new Error(`${presses} times Tab did not reach ${element}`);
}

describe('the keyboard', () => {
  test('[E2E-11] reaches the toolbar and works it; Escape goes back to the text', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server);
    const { page } = ada;
    const tool = (name: string) => page.getByRole('button', { name, exact: true });
    await ada.write('plain ');
    await page.keyboard.press('Alt+F10');
    await eventually(() => hasFocus(tool('Undo'))).toBe(true);
    await page.keyboard.press('ArrowLeft');
    await eventually(() => hasFocus(tool('Link'))).toBe(true);
    await page.keyboard.press('Home');
    for (let press = 0; press < 5; press++) await page.keyboard.press('ArrowRight');
    expect(await hasFocus(tool('Bold'))).toBe(true);
    await page.keyboard.press('Enter');
    await eventually(() => tool('Bold').getAttribute('aria-pressed')).toBe('true');
    expect(await hasFocus(tool('Bold'))).toBe(true);

    await page.keyboard.press('Escape');
    await eventually(() => hasFocus(ada.editor)).toBe(true);
    await page.keyboard.type('strong');
    await eventually(() => ada.html()).toBe('<p>plain <strong>strong</strong></p>');
  });

  test('[E2E-11] gets everywhere with Tab, past the toolbar in one step, and out of the text again', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server);
    await ada.write('text');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    const { page } = ada;
    await page.reload();
    await ada.editor.waitFor();
    await tabTo(page, page.getByRole('link', { name: 'Skip to the document' }), 1);
    await tabTo(page, page.getByRole('link', { name: 'Your documents' }), 1);
    await tabTo(page, page.getByRole('button', { name: /\(you\)/ }));
    await tabTo(page, page.getByRole('button', { name: /theme$/ }));
    await tabTo(page, page.getByTestId('copy-link'), 1);
    await tabTo(page, page.getByRole('button', { name: 'Undo' }), 1);
    await tabTo(page, ada.editor, 1);
    await page.keyboard.press('Shift+Tab');
    expect(await hasFocus(page.getByRole('button', { name: 'Undo' }))).toBe(true);
  });

  test('[E2E-11] skips to the document with the first link', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server);
    await ada.write('text');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    await ada.page.reload();
    await ada.editor.waitFor();
    await ada.page.keyboard.press('Tab');
    await ada.page.keyboard.press('Enter');
    await eventually(() => hasFocus(ada.editor)).toBe(true);
    await ada.page.keyboard.type('more ');
    await eventually(async () => (await ada.words()).sort()).toEqual(['more', 'text']);
  });

  test('[E2E-11] sets a link and comes back to where it was', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server);
    await ada.write('example');
    await ada.select('Shift+Home', 'example');
    await ada.page.keyboard.press('ControlOrMeta+k');
    const address = ada.page.getByLabel('Link address');
    await eventually(() => hasFocus(address)).toBe(true);
    await ada.page.keyboard.type('javascript:alert(1)');
    await ada.page.keyboard.press('Enter');
    await ada.page.getByRole('alert').getByText('This cannot be a link.').waitFor();
    await address.fill('example.com');
    await ada.page.keyboard.press('Enter');
    await eventually(() => hasFocus(ada.editor)).toBe(true);
    const link = ada.editor.getByRole('link', { name: 'example' });
    expect(await link.getAttribute('href')).toBe('https://example.com');
  });
});

describe('a small screen', () => {
  /** How far each width lets the page be scrolled sideways. */
  async function overflows(page: Page): Promise<Record<number, number>> {
    const found: Record<number, number> = {};
    for (const width of [320, 390]) {
      await page.setViewportSize({ width, height: 640 });
      found[width] = await page.evaluate(async () => {
        for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
        const { scrollWidth, clientWidth } = document.documentElement;
        return scrollWidth - clientWidth;
      });
    }
    return found;
  }
  const none = { 320: 0, 390: 0 };

  test('[E2E-11] 320 or 390 pixels wide: no page without a document is wider', async () => {
    const server = await sharedServer();
    const page = await (await openBrowser()).newPage();
    for (const path of ['/', `/d/${'x'.repeat(120)}`, '/elsewhere']) {
      await page.goto(server.url + path);
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect(await overflows(page), path).toEqual(none);
    }
  });

  test('[E2E-11] 320 or 390 pixels wide: no document is wider, whatever is in it', async () => {
    const server = await Server.start();
    const room = 'a-name-that-is-longer-than-any-phone-is-wide-'.repeat(2);
    const browser = await openBrowser({ viewport: { width: 320, height: 640 } });
    const ada = await Tab.open(server, {
      browser,
      room,
      name: 'Ada Augusta, Countess of Lovelace',
    });
    const others = await openBrowser();
    for (const name of ['Grace', 'Ruth', 'Edith']) {
      await Tab.open(server, { browser: others, room, name: `${name} With-a-very-long-name` });
    }
    await ada.page.getByRole('button', { name: '2 more: everyone here' }).waitFor();
    await ada.page.getByRole('button', { name: 'Heading 1' }).click();
    await ada.page.keyboard.insertText('W'.repeat(200));
    await ada.page.keyboard.type('\n``` ');
    await ada.page.keyboard.insertText('x'.repeat(100));
    await ada.editor.locator('pre').waitFor();
    expect(await overflows(ada.page)).toEqual(none);
    for (const part of [ada.status, ada.page.getByTestId('copy-link'), ada.editor]) {
      const box = await part.boundingBox();
      expect(box && box.x >= 0 && box.x + box.width <= 390).toBe(true);
    }

    await ada.page.getByRole('button', { name: /\(you\)/ }).click();
    await ada.page.getByLabel('Your name').waitFor();
    expect(await overflows(ada.page)).toEqual(none);
    await ada.page.keyboard.press('Escape');
    await server.kill();
    await ada.offlineBanner.waitFor();
    expect(await overflows(ada.page)).toEqual(none);
  });
});

describe('the theme', () => {
  const ground = (page: Page) =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

  test('[E2E-11] once chosen it stays, on every page and after a reload', async () => {
    const server = await sharedServer();
    const browser = await openBrowser({ colorScheme: 'light' });
    const ada = await Tab.open(server, { browser });
    const { page } = ada;
    const light = await ground(page);
    await page.getByRole('button', { name: 'Use the dark theme' }).click();
    await eventually(() => ground(page)).not.toBe(light);
    const dark = await ground(page);

    await page.reload();
    await page.getByRole('button', { name: 'Use the light theme' }).waitFor();
    expect(await ground(page)).toBe(dark);
    const landing = await browser.newPage();
    await landing.goto(server.url);
    await landing.getByRole('button', { name: 'Use the light theme' }).click();
    await eventually(() => ground(landing)).toBe(light);
    await page.reload();
    await page.getByRole('button', { name: 'Use the dark theme' }).waitFor();
    expect(await ground(page)).toBe(light);
  });

  test('[E2E-11] is the system’s until one is chosen', async () => {
    const server = await sharedServer();
    const page = await (await openBrowser({ colorScheme: 'dark' })).newPage();
    await page.goto(server.url);
    const dark = await ground(page);
    await page.getByRole('button', { name: 'Use the light theme' }).waitFor();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByRole('button', { name: 'Use the dark theme' }).waitFor();
    expect(await ground(page)).not.toBe(dark);
  });
});
