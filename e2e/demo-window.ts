/** A document open in the demo, in a browser that Playwright does not drive. */
import { expect, onTestFinished } from 'vitest';
import type { BrowserWindow, OtherBrowser } from './browser-window.js';
import { caretsIn, plainHtml, selectionIn, WAYS, wordsOf } from './demo-page.js';
import { eventually } from './eventually.js';
import { addressOf } from './fixtures.js';

export class DemoWindow {
  readonly window: BrowserWindow;
  readonly name: string;
  readonly #thrown: string[] = [];
  #isClosed = false;

  private constructor(window: BrowserWindow, name: string) {
    this.window = window;
    this.name = name;
  }

  /** Resolves once the document is there. */
  static async open(
    server: { readonly url: string },
    browser: OtherBrowser,
    name: string,
  ): Promise<DemoWindow> {
    const window = await browser.openWindow();
    const demo = new DemoWindow(window, name);
    onTestFinished(async ({ task }) => {
      if (!demo.#isClosed) await demo.#hearErrors();
      if (task.result?.state === 'fail') console.error(`${name} saw:`, await demo.#shown());
      expect(demo.#thrown, `exceptions that nothing caught in the page of ${name}`).toEqual([]);
    });
    await window.goto(addressOf(server, { name }));
    await demo.isThere();
    return demo;
  }

  /** Resolves once the page shows the document. */
  async isThere(): Promise<void> {
    await eventually(() => this.#ask(isShown, EDITOR)).toBe(true);
    await this.#ask(listen);
  }

  async reload(): Promise<void> {
    await this.#hearErrors();
    await this.window.reload();
    await this.isThere();
  }

  async close(): Promise<void> {
    await this.#hearErrors();
    this.#isClosed = true;
    await this.window.close();
  }

  /** The browser says that there is a network: left alone, the next try may be half a minute away. */
  async hurry(): Promise<void> {
    await this.window.evaluate(`dispatchEvent(new Event('online')) && undefined`);
  }

  /** Puts the caret at the document's end and types there. */
  async write(text: string): Promise<void> {
    await this.moveTo('end');
    await this.window.type(text);
  }

  /** An editor hears of a moved caret a moment later, so it may take more than one try. */
  async moveTo(place: keyof typeof WAYS): Promise<void> {
    const { keys, isThere } = WAYS[place];
    await eventually(async () => {
      await this.#ask(focusOn, EDITOR);
      for (const key of keys) await this.press(key);
      return isThere(await this.#askEditor(selectionIn));
    }).toBe(true);
  }

  async press(keys: string): Promise<void> {
    await this.window.press(keys.replace('ControlOrMeta', 'Control'));
  }

  async html(): Promise<string> {
    return await this.#askEditor(plainHtml);
  }

  async words(): Promise<string[]> {
    return wordsOf(await this.html());
  }

  async carets(): Promise<Record<string, string>> {
    return await this.#askEditor(caretsIn);
  }

  /** Who is shown to be here, oneself first. */
  async people(): Promise<string[]> {
    return await this.#ask(namesIn, '[data-testid="people"] [data-testid="person"]');
  }

  async status(): Promise<string> {
    return await this.#ask(textOf, '[data-testid="save-status"]');
  }

  /** Whether the page says in large that there is no server. */
  async isOffline(): Promise<boolean> {
    return await this.#ask(isShown, '[data-testid="offline-banner"]');
  }

  async #hearErrors(): Promise<void> {
    this.#thrown.push(...(await this.#ask(thrownErrors)));
  }

  async #shown(): Promise<unknown> {
    return this.#isClosed ? 'a window that was closed' : await this.#ask(textOf, 'body');
  }

  async #ask<A extends readonly unknown[], T>(
    inPage: (...args: A) => T | Promise<T>,
    ...args: A
  ): Promise<T> {
    return (await this.window.evaluate(`(${inPage})(...${JSON.stringify(args)})`)) as T;
  }

  async #askEditor<T>(inPage: (editor: HTMLElement) => T | Promise<T>): Promise<T> {
    return (await this.window.evaluate(`(${inPage})(document.querySelector('${EDITOR}'))`)) as T;
  }
}

const EDITOR = '[data-testid="editor"]';

// What follows runs in the page, so it can use nothing from here.

type Watched = Window & { thrown?: string[] };

/** Once a page, which may have been kept for "back". */
function listen(): void {
  const page = window as Watched;
  if (page.thrown !== undefined) return;
  const thrown: string[] = [];
  page.thrown = thrown;
  addEventListener('error', ({ message, error }) => thrown.push(String(error?.stack ?? message)));
  addEventListener('unhandledrejection', ({ reason }) => thrown.push(String(reason)));
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    thrown.push(`${violatedDirective}: ${blockedURI}`),
  );
}

function thrownErrors(): string[] {
  return (window as Watched).thrown?.splice(0) ?? [];
}

function isShown(selector: string): boolean {
  const element = document.querySelector(selector);
  return element !== null && element.getClientRects().length > 0;
}

function focusOn(selector: string): void {
  document.querySelector<HTMLElement>(selector)?.focus();
}

function textOf(selector: string): string {
  return document.querySelector<HTMLElement>(selector)?.innerText.replace(/\s+/g, ' ').trim() ?? '';
}

function namesIn(selector: string): string[] {
  const avatars = [...document.querySelectorAll<HTMLElement>(selector)];
  return avatars.map((avatar) => avatar.dataset.name ?? '');
}
