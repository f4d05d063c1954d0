/** What the browser tests share: the real command as a server, a wire that is cut, tabs of the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Limits } from '@cowrite/server';
import type { BrowserContext, Locator, Page } from 'playwright';
import { onTestFinished } from 'vitest';
import { openBrowser, takeTab } from './browsers.js';
import { enter, pressUntil } from './caret.js';
import { caretsIn, plainHtml, WAYS, wordsOf } from './demo-page.js';
import { eventually } from './eventually.js';

const CLI = fileURLToPath(new URL('../server/dist/cli.js', import.meta.url));
const INSTANCE = fileURLToPath(new URL('../server/test/instance.mjs', import.meta.url));
const DEMO = fileURLToPath(new URL('../client/demo/dist', import.meta.url));

/** A folder of its own for the running test, removed when it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-e2e-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The document that a tab opens unless its test names another. */
const ROOM = 'minutes';
let room = ROOM;
let rooms = 0;

let sharing: Promise<Server> | undefined;

/** Vitest ends a worker so, when all of its files have run, and half a second later for good. */
process.once('SIGTERM', async () => {
  (await sharing)?.remove();
});

/**
 * The server of a worker's tests that neither stop nor set it. Each of them has a document of its
 * own there, which its tabs open if they name none.
 */
export async function sharedServer(): Promise<Server> {
  room = `${ROOM}-${++rooms}`;
  onTestFinished(() => {
    room = ROOM;
  });
  sharing ??= Server.outliving();
  return await sharing;
}

/** The real command on a folder and a port that stay the same when it is started again. */
export class Server {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #script: readonly string[];
  #port = 0;
  #child: ChildProcess | undefined;
  #folder: string | undefined;

  private constructor(
    environment: Readonly<Record<string, string>>,
    script: readonly string[] = [CLI],
  ) {
    this.#environment = environment;
    this.#script = script;
  }

  /** @param environment settings, beside those of the demo on a folder of its own */
  static async start(
    staticDir = DEMO,
    environment: Readonly<Record<string, string>> = { STORAGE_URL: `lmdb:${temporaryFolder()}` },
  ): Promise<Server> {
    return await Server.#started(new Server({ STATIC_DIR: staticDir, ...environment }));
  }

  /** One of several, with limits that the command has no settings for. It cannot be started again. */
  static async startInstance(
    redis: string,
    storage: string,
    limits: Partial<Limits>,
  ): Promise<Server> {
    const options = JSON.stringify({ redis, storage, limits, staticDir: DEMO });
    return await Server.#started(new Server({}, [INSTANCE, options]));
  }

  static async #started(server: Server): Promise<Server> {
    onTestFinished(() => server.kill());
    await server.start();
    return server;
  }

  /** One that several tests use, with a folder of its own; who starts it removes it. */
  static async outliving(): Promise<Server> {
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-e2e-'));
    const server = new Server({ STATIC_DIR: DEMO, STORAGE_URL: `lmdb:${folder}` });
    server.#folder = folder;
    await server.start();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, this.#script, {
      env: {
        PATH: process.env.PATH,
        LOG_LEVEL: 'warn',
        PORT: String(this.#port),
        ...this.#environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    this.#port = await new Promise<number>((resolve, reject) => {
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const ready = /ready: http:\/\/127\.0\.0\.1:(\d+)\n/.exec(output);
        if (ready !== null) resolve(Number(ready[1]));
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${errors}`)));
    });
  }

  /** SIGSTOP: connections stay up, and nothing is heard or said. Only {@link kill} comes after it. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** SIGKILL; resolves once it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** At once, as far as this process has anything to do with it. */
  remove(): void {
    this.#child?.kill('SIGKILL');
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A TCP proxy in front of a server: shows how many WebSockets are open there, and cuts them. */
export class Wire {
  readonly url: string;
  readonly #webSockets: Set<Socket>;

  private constructor(port: number, webSockets: Set<Socket>) {
    this.url = `http://127.0.0.1:${port}`;
    this.#webSockets = webSockets;
  }

  static async before(server: Server): Promise<Wire> {
    const webSockets = new Set<Socket>();
    const sockets = new Set<Socket>();
    const proxy = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      const drop = () => {
        near.destroy();
        far.destroy();
        sockets.delete(near);
        webSockets.delete(near);
      };
      sockets.add(near);
      near.once('data', (head) => {
        if (head.toString('latin1').startsWith('GET /ws/')) webSockets.add(near);
      });
      for (const socket of [near, far]) socket.on('error', drop).on('close', drop);
      near.pipe(far).pipe(near);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    });
    return new Wire((proxy.address() as { port: number }).port, webSockets);
  }

  get openWebSockets(): number {
    return this.#webSockets.size;
  }

  /** As when a cable is pulled: no close frame reaches anybody. */
  cutWebSockets(): void {
    for (const socket of this.#webSockets) socket.destroy();
  }
}

/** The document that the running test opens if it names none. */
export const roomOfTest = () => room;

/** Where the demo shows the document. */
export function addressOf(
  server: { readonly url: string },
  options: { readonly name: string; readonly room?: string; readonly token?: string | undefined },
): string {
  const fragment = options.token === undefined ? '' : `#token=${options.token}`;
  const query = `name=${encodeURIComponent(options.name)}`;
  return `${server.url}/d/${options.room ?? room}?${query}${fragment}`;
}

export interface TabOptions {
  /** What the person is called in this tab. */
  readonly name?: string;
  readonly room?: string;
  /** What the link brings along. */
  readonly token?: string;
  /** Another tab's browser; without it the tab gets one of its own. */
  readonly browser?: BrowserContext;
  /** Called before the address is opened. */
  readonly prepare?: (page: Page) => Promise<void>;
}

/** A document open in the demo. */
export class Tab {
  readonly page: Page;
  readonly name: string;
  readonly editor: Locator;
  readonly status: Locator;
  readonly offlineBanner: Locator;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
    this.editor = page.getByTestId('editor');
    this.status = page.getByTestId('save-status');
    this.offlineBanner = page.getByTestId('offline-banner');
  }

  /** Resolves once the document is there. */
  static async open(
    server: { readonly url: string },
    { name = 'Ada', token, browser, prepare, ...options }: TabOptions = {},
  ): Promise<Tab> {
    const isPlain = browser === undefined && prepare === undefined && token === undefined;
    const page =
      isPlain && server === (await sharing)
        ? await takeTab(server.url)
        : await (browser ?? (await openBrowser())).newPage();
    await prepare?.(page);
    await page.goto(addressOf(server, { ...options, name, token }));
    const tab = new Tab(page, name);
    await tab.editor.waitFor();
    return tab;
  }

  /** The browser says that there is a network: left alone, the next try may be half a minute away. */
  async hurry(): Promise<void> {
    await this.page.evaluate(() => dispatchEvent(new Event('online')));
  }

  /** Puts the caret at the document's end and writes there, a line at a time; a `\n` is the Enter key. */
  async write(text: string): Promise<void> {
    await this.moveTo('end');
    await enter(this.page, text);
  }

  /** The same, key by key. */
  async type(text: string): Promise<void> {
    await this.moveTo('end');
    await this.page.keyboard.type(text);
  }

  async moveTo(place: keyof typeof WAYS): Promise<void> {
    const { keys, isThere } = WAYS[place];
    await pressUntil(this.editor, keys, isThere);
  }

  /** Selects from the caret to where the key leads, which is a text the test knows. */
  async select(key: string, text: string): Promise<void> {
    await pressUntil(this.editor, [key], ({ selected }) => selected === text);
  }

  /** The document as HTML, without what only this tab shows: carets, selections, placeholders. */
  async html(): Promise<string> {
    return await this.editor.evaluate(plainHtml);
  }

  /** The document's words in order. */
  async words(): Promise<string[]> {
    return wordsOf(await this.html());
  }

  /** The carets of others by name, each with the text of its block that comes before it. */
  async carets(): Promise<Record<string, string>> {
    return await this.editor.evaluate(caretsIn);
  }

  /** Who is shown to be here, oneself first. */
  async people(): Promise<(string | null)[]> {
    const shown = this.page.getByTestId('people').getByTestId('person');
    return await shown.evaluateAll((avatars) =>
      avatars.map((avatar) => avatar.dataset.name ?? null),
    );
  }
}

/** Resolves once the tabs show the same. What that is, is for the test to say first. */
export async function converged(...tabs: readonly Tab[]): Promise<void> {
  await eventually(async () => {
    const [first, ...others] = await Promise.all(tabs.map((tab) => tab.html()));
    return others.filter((html) => html !== first);
  }).toEqual([]);
}
