/** Somebody whose presence no editor can show, and who may be allowed to read and nothing else. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encodeMessage } from '@cowrite/client/protocol';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { buildPage } from './build-page.js';
import { buildPage as buildCodeMirror, linesOf, openPage } from './codemirror-page.js';
import { eventually, openBrowser, Server, sharedServer, Tab, temporaryFolder } from './fixtures.js';

const COMMAND = fileURLToPath(new URL('../server/bin/cowrite.js', import.meta.url));
const VANILLA = fileURLToPath(new URL('../client/examples/vanilla', import.meta.url));
const AUTH_SECRET = 'a secret of more than thirty-two bytes';
/** Beginning with this, each state has a client id of its own. */
const FIRST_CLIENT = 7;

/** Each of them makes some binding throw that is shown it, or styles the page. */
function hostile(type: string): unknown[] {
  const end = { type: null, tname: type, item: null, assoc: 0 };
  const noText = { toString: 1, valueOf: 1 };
  const cursors = [
    {},
    { anchor: {}, head: {} },
    { anchor: end },
    { anchor: null, head: end },
    end,
    1,
    'x',
    [],
    true,
    { anchor: { item: { client: 1, clock: -1 } }, head: end },
    { anchor: { item: { client: 1, clock: 0.5 } }, head: { type: { client: 1, clock: 2 ** 60 } } },
    { anchor: { ...end, tname: '__proto__' }, head: { ...end, tname: 'no such type' } },
    { anchor: { ...end, assoc: {} }, head: { ...end, assoc: 1e300 } },
  ];
  const good = { anchor: end, head: end };
  return [
    ...cursors.map((cursor) => ({ user: {}, cursor, selection: cursor })),
    ...['Eve', 1, true, [], { name: noText, color: noText }, { color: [noText], name: {} }].map(
      (user) => ({ user, cursor: good }),
    ),
    { user: { name: 'Eve', color: 'red;position:fixed;inset:0;z-index:9999' }, cursor: good },
    ...[1, 'x', true, [], [null]],
  ];
}

class Eve {
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async enter(server: Server, room: string, token = ''): Promise<Eve> {
    const protocols = ['cowrite.v1', ...(token === '' ? [] : [`cowrite.token.${token}`])];
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws/${room}`, protocols);
    onTestFinished(() => socket.terminate());
    await once(socket, 'open');
    return new Eve(socket);
  }

  /** As so many people at once. */
  show(states: readonly unknown[]): void {
    const varUint = (n: number): number[] =>
      n < 128 ? [n] : [(n & 127) | 128, ...varUint(n >> 7)];
    const people = states.flatMap((state, i) => {
      const text = Buffer.from(JSON.stringify(state));
      return [...[FIRST_CLIENT + i, 1, text.length].flatMap(varUint), ...text];
    });
    const update = Uint8Array.from([...varUint(states.length), ...people]);
    this.#socket.send(encodeMessage({ type: 'awareness', update }));
  }
}

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
  await ada.write('one ');
  await eventually(() => bob.words()).toEqual(['one']);
  await bob.write('two ');
  await eventually(() => ada.words()).toEqual(['one', 'two']);
  await ada.write('three');
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
