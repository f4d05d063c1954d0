/** What a page of `docs` says to do, done word by word in an empty folder: from nothing to two tabs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import type { Page } from 'playwright';
import { expect, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../server/test/free-port.js';
import { argumentsIn, CREATE_VITE, start } from './blank-app.js';
import { openBrowser } from './browsers.js';
import { pressUntil } from './caret.js';
import { WAYS } from './demo-page.js';
import { eventually } from './eventually.js';
import { Server } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { ROOT, run } from './packed.js';

/** An application that was made by a page's text. */
export interface Made {
  readonly folder: string;
  /** What its text says to start it with, as `npm run dev`. */
  readonly dev: string;
  /** What it is served by: this server allows the page below and no other. */
  readonly server: Server;
  /** Where it is opened in the test. */
  readonly page: string;
}

/** Ways in which a new application is made, each at one version, so that nobody's release fails a test. */
const CREATORS: Readonly<Record<string, (rest: readonly string[]) => readonly string[]>> = {
  'npm create vite@latest': (rest) => [process.execPath, CREATE_VITE, ...rest],
  'npx create-next-app@latest': (rest) => [
    ...['npx', '--yes', '--prefer-offline', 'create-next-app@16.4.3', ...rest],
    // npm installs once, below; and there may be no git.
    ...['--skip-install', '--disable-git'],
  ],
  // Later ones are not for each Node that this runs in.
  'npx @angular/cli@latest new': (rest) => [
    ...['npx', '--yes', '--prefer-offline', '@angular/cli@21.2.27', 'new', ...rest],
    ...['--skip-install', '--skip-git'],
  ],
};

/**
 * @param path of the page, from the repository's root
 * @param folder where the application is made
 * @param tarball what npm would get for `@cowrite/client`
 */
export async function make(path: string, folder: string, tarball: string): Promise<Made> {
  const [commands, ...files] = codeBlocks(path).filter(
    ({ language, file }) => language === 'sh' || file !== undefined,
  );
  const [create, enter, add, serve] = commands!.text.split('\n');
  const creator = Object.keys(CREATORS).find((each) => create!.startsWith(`${each} `))!;
  const [command, ...args] = CREATORS[creator]!(argumentsIn(create, creator));
  await run(command!, [...args], { cwd: folder, env: QUIET });
  const app = join(folder, ...argumentsIn(enter, 'cd'));

  pin(join(app, 'package.json'));
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  // As "Packages from a clone" says: the file first, and then the page's own line.
  await run('npm', ['install', tarball, ...quiet], { cwd: app });
  await run('npm', ['install', ...argumentsIn(add, 'npm install'), ...quiet], { cwd: app });

  const text = readFileSync(join(ROOT, path), 'utf8');
  const how = /`(npm (?:run dev|start))`\. Open (http:\/\/localhost:\d+) in two tabs/;
  const [, dev, address] = how.exec(text)!;
  expect(serve).toBe(`ALLOWED_ORIGINS=${address} npx @cowrite/server`);
  const page = `http://localhost:${await freePort()}`;
  const server = await Server.start(undefined, { STORAGE_URL: 'memory:', ALLOWED_ORIGINS: page });
  expect(files.length).toBeGreaterThan(0);
  for (const { file, text } of files) {
    const url = text.replace('127.0.0.1:8080', new URL(server.url).host);
    writeFileSync(join(app, file!), url);
  }
  return { folder: app, dev: dev!, server, page };
}

/** What the makers of a new application leave open, such as `^19.2.0`, is the least of it. */
function pin(manifest: string): void {
  const text = readFileSync(manifest, 'utf8');
  writeFileSync(manifest, text.replace(/": "[~^](\d+\.\d+\.\d+)"/g, '": "$1"'));
}

/** Starts the application as its page says; it ends with the test. */
export async function serve(
  { folder, dev, page }: Made,
  ...args: readonly string[]
): Promise<void> {
  const command = `${dev} -- --port ${new URL(page).port} ${args.join(' ')}`;
  await start(command, folder, /Local: +(http:\S+)/);
}

/** What tools tell their makers is not for a test. */
export const QUIET = {
  ...process.env,
  NEXT_TELEMETRY_DISABLED: '1',
  NG_CLI_ANALYTICS: 'false',
  CI: '1',
};

const OTHERS_CARETS = '.collaboration-carets__caret';

/** What stands in a tab's editor, without others' carets. */
function textIn(tab: Page): Promise<string> {
  return tab.locator('.tiptap').evaluate((editor, carets) => {
    const copy = editor.cloneNode(true) as Element;
    for (const caret of copy.querySelectorAll(carets)) caret.remove();
    return (copy.textContent ?? '').replace(/[\u200b\u2060\ufeff]/g, '');
  }, OTHERS_CARETS);
}

/** Whether a tab says, in its title or its text, that all of it is saved. */
async function saysSaved(tab: Page): Promise<boolean> {
  if ((await tab.title()) === 'Saved') return true;
  return (await tab.getByText('Saved', { exact: true }).count()) === 1;
}

/**
 * Two tabs of one browser: each sees what the other writes, both see that it is saved, and the server
 * has it. Undo is of one's own edits only.
 *
 * @returns what was said on the browser's console that somebody has to see
 */
export async function writeTogether({ page, server }: Made): Promise<readonly string[]> {
  const browser = await openBrowser();
  const complaints: string[] = [];
  browser.on('console', (message) => {
    // Not every new application has an icon.
    if (message.location().url.endsWith('/favicon.ico')) return;
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(page);
    await tab.locator('.tiptap').click();
    return tab;
  };
  const [ada, grace] = [await open(), await open()];
  for (const tab of [ada, grace]) await eventually(() => saysSaved(tab)).toBe(true);
  await ada.keyboard.type('hello');
  await eventually(() => textIn(grace)).toBe('hello');
  await pressUntil(grace.locator('.tiptap'), WAYS.end.keys, WAYS.end.isThere);
  await grace.keyboard.type(', hello');
  await eventually(() => textIn(ada)).toBe('hello, hello');

  await eventually(async () => {
    await grace.keyboard.press('ControlOrMeta+z');
    return await textIn(grace);
  }).toBe('hello');
  await grace.keyboard.press('ControlOrMeta+z');
  await grace.keyboard.type('!');
  await eventually(() => textIn(ada)).toBe('hello!');
  for (const tab of [ada, grace]) await eventually(() => saysSaved(tab)).toBe(true);

  const url = `${server.url.replace('http', 'ws')}/ws`;
  const provider = new CowriteProvider({ url, room: 'my-document', WebSocket });
  onTestFinished(() => provider.destroy());
  await provider.whenSynced();
  const stored = provider.doc.getXmlFragment('default').toString();
  expect(stored).toBe('<paragraph>hello!</paragraph>');
  return complaints;
}
