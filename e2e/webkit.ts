/**
 * WebKitGTK, by its W3C WebDriver on a display without a screen. Each driver has one browser with
 * one storage, and commands go to the window that was switched to last: so they take turns.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { findWebKitDriver, findXvfb } from '../scripts/find-programs.mjs';
import { freePort } from '../server/test/free-port.js';
import type { BrowserWindow, Engine, EngineFactory, OtherBrowser } from './browser-window.js';
import { eventually, PATIENCE } from './eventually.js';

export const webkit: EngineFactory = {
  keepsPages: true,
  missing() {
    if (findWebKitDriver() === undefined) return 'there is no WebKitWebDriver on this machine';
    if (findXvfb() === undefined) return 'there is no Xvfb on this machine';
    return undefined;
  },
  async launch() {
    const options = ['-displayfd', '1', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'];
    const screen = spawn(findXvfb() as string, options, { stdio: ['ignore', 'pipe', 'ignore'] });
    const display = await new Promise<string>((resolve, reject) => {
      screen.stdout.once('data', (number) => resolve(`:${String(number).trim()}`));
      screen.once('error', reject);
      screen.once('exit', (code) => reject(new Error(`Xvfb ended with ${code}`)));
    });
    return new WebKit(screen, display);
  },
};

class WebKit implements Engine {
  readonly #screen: ChildProcess;
  readonly #display: string;

  constructor(screen: ChildProcess, display: string) {
    this.#screen = screen;
    this.#display = display;
  }

  async openBrowser(): Promise<OtherBrowser> {
    const home = mkdtempSync(join(tmpdir(), 'cowrite-webkit-'));
    const port = await freePort();
    const driver = spawn(findWebKitDriver() as string, [`--port=${port}`], {
      env: {
        PATH: process.env.PATH,
        HOME: home,
        DISPLAY: this.#display,
        LANG: 'C.UTF-8',
        // A picture that nobody looks at is made in half the time.
        WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      },
      stdio: 'ignore',
    });
    const session = new Session(`http://127.0.0.1:${port}`);
    onTestFinished(async () => {
      try {
        await session.end();
      } finally {
        await stop(driver);
        rmSync(home, { recursive: true, force: true });
      }
    });
    await session.begin();
    return {
      async openWindow() {
        return new WebKitWindow(session, await session.openWindow());
      },
    };
  }

  async close(): Promise<void> {
    await stop(this.#screen);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}

class Session {
  readonly #driver: string;
  #address: string | undefined;
  #current: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(driver: string) {
    this.#driver = driver;
  }

  async begin(): Promise<void> {
    const isReady = () =>
      fetch(`${this.#driver}/status`, { signal: AbortSignal.timeout(PATIENCE) }).then(
        ({ ok }) => ok,
        () => false,
      );
    await eventually(isReady).toBe(true);
    const timeouts = { script: PATIENCE, pageLoad: PATIENCE };
    const capabilities = { alwaysMatch: { timeouts } };
    const begun = await request('POST', `${this.#driver}/session`, { capabilities });
    this.#address = `${this.#driver}/session/${(begun as { sessionId: string }).sessionId}`;
  }

  /** The first is there already. */
  async openWindow(): Promise<string> {
    return await this.#inTurn(async () => {
      if (this.#current === undefined)
        return await this.#switchTo(await this.#ask('GET', '/window'));
      const opened = await this.#ask('POST', '/window/new', { type: 'window' });
      return (opened as { handle: string }).handle;
    });
  }

  /** Asks one window, whatever is asked of others. */
  async askWindow(handle: string, method: string, path: string, body?: unknown): Promise<unknown> {
    return await this.#inTurn(async () => {
      if (this.#current !== handle) await this.#switchTo(handle);
      return await this.#ask(method, path, body);
    });
  }

  /** The last takes the session with it. */
  async closeWindow(handle: string): Promise<void> {
    const left = (await this.askWindow(handle, 'DELETE', '/window')) as string[];
    this.#current = 'none';
    if (left.length === 0) this.#address = undefined;
  }

  async end(): Promise<void> {
    if (this.#address !== undefined) await this.#inTurn(() => this.#ask('DELETE', ''));
  }

  async #switchTo(handle: unknown): Promise<string> {
    await this.#ask('POST', '/window', { handle });
    this.#current = handle as string;
    return this.#current;
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return await request(method, this.#address + path, body);
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

async function request(method: string, address: string, body: unknown): Promise<unknown> {
  const answer = await fetch(address, {
    method,
    signal: AbortSignal.timeout(PATIENCE),
    ...(method === 'POST' && { body: JSON.stringify(body ?? {}) }),
  });
  const { value } = (await answer.json()) as { value: { error?: string; message?: string } | null };
  if (!answer.ok) throw new Error(`${method} ${address}: ${value?.error}: ${value?.message}`);
  return value;
}

/** By their names of the standard: https://www.w3.org/TR/webdriver2/#keyboard-actions */
const KEYS: Readonly<Record<string, string>> = {
  Backspace: '\ue003',
  Enter: '\ue007',
  Shift: '\ue008',
  Control: '\ue009',
  End: '\ue010',
  Home: '\ue011',
};

class WebKitWindow implements BrowserWindow {
  readonly #session: Session;
  readonly #handle: string;

  constructor(session: Session, handle: string) {
    this.#session = session;
    this.#handle = handle;
  }

  async goto(address: string): Promise<void> {
    await this.#ask('POST', '/url', { url: address });
  }

  async back(): Promise<void> {
    await this.evaluate('history.back()');
  }

  async reload(): Promise<void> {
    await this.#ask('POST', '/refresh');
  }

  async evaluate(expression: string): Promise<unknown> {
    const script = `
      const done = arguments[0];
      (async () => (${expression}))().then(
        (value) => done({ value }),
        (error) => done({ error: String(error) }),
      );`;
    const { value, error } = (await this.#ask('POST', '/execute/async', { script, args: [] })) as {
      value?: unknown;
      error?: string;
    };
    if (error !== undefined) throw new Error(error);
    return value;
  }

  async type(text: string): Promise<void> {
    await this.#keys([...text].flatMap((letter) => stroke([letter === '\n' ? 'Enter' : letter])));
  }

  async press(keys: string): Promise<void> {
    await this.#keys(stroke(keys.split('+')));
  }

  async close(): Promise<void> {
    await this.#session.closeWindow(this.#handle);
  }

  async #keys(actions: readonly unknown[]): Promise<void> {
    await this.#ask('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return await this.#session.askWindow(this.#handle, method, path, body);
  }
}

/** Down in order, up in the other. */
function stroke(keys: readonly string[]): unknown[] {
  const values = keys.map((key) => KEYS[key] ?? key);
  return [
    ...values.map((value) => ({ type: 'keyDown', value })),
    ...[...values].reverse().map((value) => ({ type: 'keyUp', value })),
  ];
}
