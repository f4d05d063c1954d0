/**
 * A browser whose tabs lie behind each other, as people's do: only the last that was brought to
 * the front is visible. Playwright keeps all of its own visible, and what is visible cannot be frozen.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type BrowserContext, chromium, errors, type Page } from 'playwright';
import { expect, onTestFinished } from 'vitest';
import { PATIENCE } from './eventually.js';
import { temporaryFolder } from './fixtures.js';

/** It takes a second on a machine that has too much to do. */
const CONNECT_MS = 15_000;

export class BackgroundTabs {
  readonly browser: BrowserContext;
  readonly #group: number;

  private constructor(browser: BrowserContext, group: number) {
    this.browser = browser;
    this.#group = group;
  }

  /** One start in some hundred ends in a browser that never answers Playwright: then there is another. */
  static async open(): Promise<BackgroundTabs> {
    try {
      return await BackgroundTabs.#start();
    } catch (error) {
      if (!(error instanceof errors.TimeoutError)) throw error;
      console.log(`the browser is started again: ${error.message}`);
      return await BackgroundTabs.#start();
    }
  }

  static async #start(): Promise<BackgroundTabs> {
    const child = spawn(
      process.env.CHROMIUM_PATH || (await findChromium()),
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
        '--window-size=800,600',
        '--remote-debugging-port=0',
        `--user-data-dir=${temporaryFolder()}`,
        // Not the page for new tabs, which is an application of its own.
        'about:blank',
      ],
      // A group of its own: its processes stop and end together.
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
    );
    const ended = once(child, 'close');
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid!, 'SIGKILL');
      await ended;
    });
    const address = await new Promise<string>((resolve, reject) => {
      let output = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const ready = /DevTools listening on (ws:\S+)/.exec(output);
        if (ready !== null) resolve(ready[1]!);
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the browser ended with ${code}: ${output}`)));
    });
    const connection = await chromium.connectOverCDP(address, {
      noDefaults: true,
      timeout: CONNECT_MS,
    });
    const [browser] = connection.contexts();
    if (browser === undefined) throw new Error('the browser has no tabs of its own');
    const thrown: Error[] = [];
    browser.setDefaultTimeout(PATIENCE);
    browser.on('weberror', (error) => thrown.push(error.error()));
    onTestFinished(async () => {
      await connection.close();
      expect(thrown, 'exceptions that nothing caught in the pages').toEqual([]);
    });
    return new BackgroundTabs(browser, child.pid!);
  }

  /**
   * Stops a tab that is not in front, as browsers do with those that nobody has looked at for long.
   *
   * @returns what lets it go on
   */
  async freeze(page: Page): Promise<() => Promise<void>> {
    await page.evaluate(() => {
      document.addEventListener('freeze', () => Object.assign(window, { wasFrozen: true }));
    });
    const session = await this.browser.newCDPSession(page);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    return async () => {
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      await page.bringToFront();
      expect(await page.evaluate(() => 'wasFrozen' in window)).toBe(true);
    };
  }

  /**
   * Stops all of it, as a laptop does that is closed: no page hears of it.
   *
   * @returns what lets it go on
   */
  sleep(): () => void {
    process.kill(-this.#group, 'SIGSTOP');
    return () => process.kill(-this.#group, 'SIGCONT');
  }
}

/** `npm test` has found one already, and says so in CHROMIUM_PATH. */
async function findChromium(): Promise<string> {
  const script = new URL('../scripts/chromium.mjs', import.meta.url).href;
  const found: { chromium(): Promise<string> } = await import(/* @vite-ignore */ script);
  return await found.chromium();
}
