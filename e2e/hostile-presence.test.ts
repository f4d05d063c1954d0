/** Somebody whose presence no editor can show, and who may be allowed to read and nothing else. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { buildPage } from './build-page.js';
import { buildPage as buildCodeMirror, linesOf, openPage } from './codemirror-page.js';
import { Eve, hostile } from './eve.js';
import { eventually } from './eventually.js';
import { Server, sharedServer, Tab, temporaryFolder } from './fixtures.js';

const COMMAND = fileURLToPath(new URL('../server/bin/cowrite.js', import.meta.url));
const VANILLA = fileURLToPath(new URL('../client/examples/vanilla', import.meta.url));
const AUTH_SECRET = 'a secret of more than thirty-two bytes';

async function token(user: string, access: string): Promise<string> {
  const args = ['token', '--user', user, '--name', user, '--room', `*=${access}`];
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...args], {
    env: { AUTH_SECRET },
  });
  return stdout.trim();
}

test('[E2E-28] a reader’s hostile states break no Tiptap: two people go on writing, and see each other', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    AUTH_SECRET,
  });
  const ada = await Tab.open(server, { token: await token('Ada', 'write') });
  const bob = await Tab.open(server, { token: await token('Bob', 'write') });
  const eve = await Eve.enter(server, 'minutes', await token('Eve', 'read'));
  eve.show(hostile('default'));
  // A page that has heard of them shows that they are somebody, and that they are one.
  for (const tab of [ada, bob]) {
    await tab.page.getByRole('button', { name: 'Eve', exact: true }).waitFor();
  }
  await ada.write('one');
  await eventually(() => bob.words()).toEqual(['one']);
  await bob.write(' two');
  await eventually(() => ada.words()).toEqual(['one', 'two']);
  await ada.write(' three');
  await eventually(() => bob.words()).toEqual(['one', 'two', 'three']);
  await eventually(() => ada.status.innerText()).toBe('Saved');
  expect(await ada.page.getByTestId('apart-banner').count()).toBe(0);
});

test('[E2E-28] nor CodeMirror, nor a page that only counts who is here', async () => {
  const server = await Server.start(await buildCodeMirror());
  const [ada, bob] = [await openPage(server, 'Ada'), await openPage(server, 'Bob')];
  const eve = await Eve.enter(server, 'code');
  eve.show(hostile('codemirror'));
  await ada.locator('.cm-ySelectionInfo').first().waitFor({ state: 'attached' });
  await ada.keyboard.type('one ');
  await eventually(() => linesOf(bob)).toEqual(['one ']);
  await bob.keyboard.press('ControlOrMeta+End');
  await bob.keyboard.type('two');
  await eventually(() => linesOf(ada)).toEqual(['one two']);
  const list = await Server.start(await buildPage(VANILLA));
  const page = await (await openBrowser()).newPage();
  await page.goto(list.url);
  const other = await Eve.enter(list, 'shopping');
  const states = hostile('items');
  other.show(states);
  await page.getByText(`Others here: ${states.length}`).waitFor();
});

test('[E2E-29] an editor that has come apart from its document says so, instead of “Saved”', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  await ada.write('before ');
  await eventually(() => ada.status.innerText()).toBe('Saved');
  // As where a plugin throws while the binding shows a change.
  await ada.editor.evaluate((element) => {
    const { view } = (element as unknown as { editor: { view: { updateState: unknown } } }).editor;
    view.updateState = () => undefined;
  });
  const bob = await Tab.open(server, { name: 'Bob' });
  await bob.write('after');
  await ada.page.getByTestId('apart-banner').waitFor();
  expect(await ada.status.isVisible()).toBe(false);
  expect(await ada.editor.getAttribute('contenteditable')).toBe('false');
  expect(await bob.page.getByTestId('apart-banner').count()).toBe(0);
});
