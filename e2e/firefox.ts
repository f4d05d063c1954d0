/** Firefox, by WebDriver BiDi. A browser with a storage of its own is one of its containers. */
import { type Browser, type KeyInput, launch, type Page } from 'puppeteer-core';
import { onTestFinished } from 'vitest';
import { findFirefox } from '../scripts/find-programs.mjs';
import type { BrowserWindow, Engine, EngineFactory, OtherBrowser } from './browser-window.js';
import { PATIENCE } from './eventually.js';

export const firefox: EngineFactory = {
  // It keeps none with an open WebSocket, and none that holds a Web Lock.
  keepsPages: false,
  missing: () => (findFirefox() === undefined ? 'there is no Firefox on this machine' : undefined),
  async launch() {
    const browser = await launch({
      browser: 'firefox',
      executablePath: findFirefox() as string,
      headless: true,
      extraPrefsFirefox: PREFERENCES,
      timeout: PATIENCE,
      protocolTimeout: PATIENCE,
    });
    return new Firefox(browser);
  },
};

/** No process for each site, and none that waits for the next one: each takes a quarter of a second. */
const PREFERENCES = {
  'dom.ipc.processCount': 1,
  'dom.ipc.processPrelaunch.enabled': false,
  'fission.autostart': false,
  'layout.frame_rate': 20,
  'ui.prefersReducedMotion': 1,
};

class Firefox implements Engine {
  readonly #browser: Browser;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  async openBrowser(): Promise<OtherBrowser> {
    const context = await this.#browser.createBrowserContext();
    onTestFinished(() => context.close());
    return {
      async openWindow() {
        const page = await context.newPage({ type: 'window' });
        page.setDefaultTimeout(PATIENCE);
        return new FirefoxWindow(page);
      },
    };
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}

class FirefoxWindow implements BrowserWindow {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  async goto(address: string): Promise<void> {
    await this.#page.goto(address);
  }

  async back(): Promise<void> {
    // Of a page that was kept nothing is loaded, which is what would be waited for.
    await this.#page.evaluate('history.back()');
  }

  async reload(): Promise<void> {
    await this.#page.reload();
  }

  async evaluate(expression: string): Promise<unknown> {
    return await this.#page.evaluate(expression);
  }

  async type(text: string): Promise<void> {
    await this.#activate();
    await this.#page.keyboard.type(text);
  }

  async press(keys: string): Promise<void> {
    await this.#activate();
    const held = keys.split('+') as KeyInput[];
    for (const key of held) await this.#page.keyboard.down(key);
    for (const key of [...held].reverse()) await this.#page.keyboard.up(key);
  }

  async close(): Promise<void> {
    await this.#page.close();
  }

  /** Keys that a window gets without being the active one move no caret. */
  async #activate(): Promise<void> {
    await this.#page.bringToFront();
  }
}
