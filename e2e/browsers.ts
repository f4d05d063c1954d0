/** The Chromium of a worker's files, and what a test opens in it. A script of a page that throws fails its test. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  type CDPSession,
  chromium,
  type Page,
} from 'playwright';
import { expect, onTestFinished } from 'vitest';
import { PATIENCE } from './eventually.js';

const PLAYWRIGHTS = [
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsUpgrades',
  'HttpsFirstBalancedModeAutoEnable',
  'MediaRouter',
  'PaintHolding',
  'ThirdPartyStoragePartitioning',
  'OptimizationHints',
];
/** Each window would have a renderer that takes half a core while it begins: for suggestions under the address bar, and a spare one. */
const RENDERERS = [
  'WebUIOmniboxPopup',
  'WebUIOmniboxFullPopup',
  'WebUIOmniboxAimPopup',
  'SpareRendererForSitePerProcess',
];

interface BrowserOptions extends NonNullable<Parameters<Browser['newContext']>[0]> {
  /** Pages that are left are kept for "back", as people's browsers do it: Chromium with its windows. */
  readonly keepsPages?: boolean;
}

/** Of Chromium with its windows, and of the one without, which takes two thirds of its time for a tab. */
const launched = new Map<boolean, Promise<Browser>>();

/** Vitest ends a worker so, when all of its files have run. */
process.once('SIGTERM', async () => {
  for (const browser of launched.values()) await (await browser).close();
});

async function launch(hasWindows: boolean): Promise<Browser> {
  const whole = process.env.CHROMIUM_PATH || (await findChromium());
  return await chromium.launch({
    executablePath: (!hasWindows && process.env.CHROMIUM_SHELL_PATH) || whole,
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    handleSIGTERM: false,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      // The last such argument counts: Playwright's own, and ours.
      `--disable-features=${[...PLAYWRIGHTS, ...RENDERERS].join(',')}`,
    ],
  });
}

/** `npm test` has found one already, and says so in CHROMIUM_PATH. */
async function findChromium(): Promise<string> {
  const script = new URL('../scripts/chromium.mjs', import.meta.url).href;
  const found: { chromium(): Promise<string> } = await import(/* @vite-ignore */ script);
  return await found.chromium();
}

async function newContext({
  keepsPages = false,
  ...options
}: BrowserOptions): Promise<BrowserContext> {
  const browser = launched.get(keepsPages) ?? launch(keepsPages);
  launched.set(keepsPages, browser);
  const context = await (await browser).newContext({
    viewport: { width: 800, height: 600 },
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  return context;
}

/** A browser of its own, with its own storage, so that only the server connects it to others. */
export async function openBrowser(options: BrowserOptions = {}): Promise<BrowserContext> {
  const context = await newContext(options);
  guard(context, () => context.close());
  return context;
}

const idle: KeptTab[] = [];

/**
 * The tab of a browser of its own, at a place without a script. It may have been another test's, which
 * left nothing there: its process knows the page's scripts, which is half of what a new tab costs.
 *
 * @param origin the one place where the test goes with it
 */
export async function takeTab(origin: string): Promise<Page> {
  const tab = idle.pop() ?? (await KeptTab.open());
  guard(tab.page.context(), async (hasFailed) => {
    if (!hasFailed && (await tab.clear(origin))) idle.push(tab);
    else await tab.page.context().close();
  });
  return tab.page;
}

/** What a test may do with a tab that another one takes after it. What it does beside that ends the tab. */
const LEAVES_NOTHING = new Set([
  ...['bringToFront', 'context', 'frames', 'isClosed', 'mainFrame', 'pages', 'url', 'viewportSize'],
  ...['evaluate', 'evaluateHandle', 'goto', 'reload', 'screenshot', 'title', 'content'],
  ...['getByLabel', 'getByPlaceholder', 'getByRole', 'getByTestId', 'getByText', 'locator'],
  ...['waitForFunction', 'waitForLoadState', 'waitForURL'],
]);

class KeptTab {
  readonly page: Page;
  readonly #devTools: CDPSession;
  #isMarked = false;

  private constructor(page: Page, devTools: CDPSession) {
    this.page = page;
    this.#devTools = devTools;
    const mark = () => {
      this.#isMarked = true;
    };
    page.on('crash', mark);
    for (const object of [page, page.context(), page.clock]) watch(object, mark);
  }

  static async open(): Promise<KeptTab> {
    const context = await newContext({});
    const page = await context.newPage();
    return new KeptTab(page, await context.newCDPSession(page));
  }

  /** @returns whether the next test finds nothing of this one */
  async clear(origin: string): Promise<boolean> {
    const { page } = this;
    if (this.#isMarked || page.isClosed() || page.context().pages().length > 1) return false;
    if (new URL(page.url()).origin !== origin) return false;
    await page.goto(`${origin}/health/live`);
    await page.evaluate(() => sessionStorage.clear());
    const everything = { origin, storageTypes: 'all' };
    await this.#devTools.send('Storage.clearDataForOrigin', everything);
    await this.#devTools.send('Page.resetNavigationHistory');
    await page.mouse.move(0, 0);
    return true;
  }
}

/** Calls `mark` when a method is called that may leave something: a route, a clock, a listener. */
function watch(object: object, mark: () => void): void {
  const methods = Object.getPrototypeOf(object) as object;
  for (const name of Object.getOwnPropertyNames(methods)) {
    const method: unknown = Reflect.get(object, name);
    const isHarmless = name.startsWith('_') || name === 'constructor' || LEAVES_NOTHING.has(name);
    if (isHarmless || typeof method !== 'function') continue;
    Reflect.set(object, name, (...args: unknown[]) => {
      mark();
      return Reflect.apply(method, object, args);
    });
  }
}

/** Fails the running test when a page throws; a test that fails leaves a picture of each of its tabs. */
function guard(context: BrowserContext, end: (hasFailed: boolean) => Promise<void>): void {
  const thrown: Error[] = [];
  const hear = (error: { error(): Error }) => thrown.push(error.error());
  context.on('weberror', hear);
  onTestFinished(async ({ task }) => {
    const hasFailed = task.result?.state === 'fail';
    if (hasFailed) await photograph(context, task.name);
    await end(hasFailed);
    context.off('weberror', hear);
    expect(thrown, 'exceptions that nothing caught in the pages').toEqual([]);
  });
}

let pictures = 0;

async function photograph(context: BrowserContext, name: string): Promise<void> {
  for (const page of context.pages()) {
    const subject = name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
    const path = join(tmpdir(), `cowrite-e2e-${subject}-${process.pid}-${++pictures}.png`);
    // A picture is a help; a page that cannot give one must not hide why the test failed.
    const failure = await page.screenshot({ path, timeout: 5_000 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    console.error(failure === undefined ? `The tab ${page.url()}: ${path}` : String(failure));
  }
}
