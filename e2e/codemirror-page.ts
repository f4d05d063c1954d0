/** The page with CodeMirror, built and opened. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { openBrowser } from './browsers.js';
import { buildPage as build } from './build-page.js';
import type { Server } from './fixtures.js';

const SOURCE = fileURLToPath(new URL('./codemirror', import.meta.url));

/** @returns the folder of the built page. */
export const buildPage = () => build(SOURCE);

/** @param tokens where the page gets its tokens */
export async function openPage(server: Server, name: string, tokens = ''): Promise<Page> {
  const page = await (await openBrowser()).newPage();
  await page.goto(`${server.url}/?${new URLSearchParams({ name, tokens })}`);
  await page.locator('.cm-content').click();
  return page;
}

/** The lines as they are shown, without others' carets. */
export function linesOf(page: Page): Promise<string[]> {
  return page.locator('.cm-line').evaluateAll((lines) =>
    lines.map((line) => {
      const copy = line.cloneNode(true) as Element;
      for (const caret of copy.querySelectorAll('.cm-ySelectionCaret')) caret.remove();
      return copy.textContent ?? '';
    }),
  );
}
