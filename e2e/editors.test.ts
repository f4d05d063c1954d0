/** The client with the editors that docs/editors.md names, and the code that stands there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CowriteProvider, type CowriteProviderOptions } from '@cowrite/client';
import { SignJWT } from 'jose';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { openBrowser } from './browsers.js';
import { EditorsProject, HEADINGS, PAGE, PEERS, VERSIONS } from './editors-project.js';
import { Eve } from './eve.js';
import { eventually } from './eventually.js';
import { Server, temporaryFolder } from './fixtures.js';
import { hostileTo } from './hostile-to.js';
import { codeBlocks } from './markdown.js';
import { ROOT } from './packed.js';
import { writeForAll } from './same-text.js';

const ROOM = 'my-document';
const AUTH_SECRET = 'a secret of more than thirty-two bytes';
/** Milliseconds: a hundred megabytes, on a machine that has other work to do. */
const INSTALLING = 900_000;

const RULES = '[EDT-2] [EDT-3] [EDT-4]';

interface Editor {
  readonly name: string;
  readonly rules: string;
  /** What is clicked to write. */
  readonly place: string;
  readonly line: string;
  /** What is shown inside the text and is none. */
  readonly caret: string;
  /** The names at others' carets. */
  readonly names: (page: Page) => Promise<readonly (string | null)[]>;
  /** Waits until the editor has been told whether there is a connection. */
  readonly connected?: (page: Page, isConnected: boolean) => Promise<void>;
}

const textsOf = (selector: string) => (page: Page) => page.locator(selector).allTextContents();

const EDITORS: readonly Editor[] = [
  {
    name: 'prosemirror',
    rules: RULES,
    place: '.ProseMirror',
    line: '.ProseMirror > p',
    caret: '.ProseMirror-yjs-cursor',
    names: textsOf('.ProseMirror-yjs-cursor > div'),
  },
  {
    name: 'blocknote',
    rules: RULES,
    // Below the last line a click makes another one.
    place: '.bn-inline-content',
    line: '.bn-inline-content',
    caret: '.bn-collaboration-cursor__base',
    names: textsOf('.bn-collaboration-cursor__label'),
  },
  {
    name: 'quill',
    rules: RULES,
    place: '.ql-editor',
    line: '.ql-editor > p',
    caret: '.ql-cursor',
    names: textsOf('.ql-cursor-name'),
  },
  {
    name: 'monaco',
    rules: RULES,
    place: '.monaco-editor',
    line: '.view-line',
    caret: '.yRemoteSelectionHead',
    names: (page) =>
      page
        .locator('.yRemoteSelectionHead')
        .evaluateAll((carets) =>
          carets.map((caret) => getComputedStyle(caret, '::after').content.slice(1, -1)),
        ),
  },
  {
    name: 'slate',
    rules: RULES,
    place: '[data-slate-editor]',
    line: '[data-slate-node="element"]',
    caret: '[data-caret]',
    names: (page) =>
      page
        .locator('[data-caret]')
        .evaluateAll((carets) => carets.map((caret) => caret.getAttribute('data-caret'))),
  },
  {
    name: 'lexical',
    rules: `${RULES} [EDT-5]`,
    place: '[data-lexical-editor]',
    line: '[data-lexical-editor] > p',
    caret: '.none',
    names: textsOf('span > span[style*="bold"]'),
    connected: (page, isConnected) =>
      eventually(() => page.locator('output').innerText()).toBe(
        isConnected ? 'Connected' : 'Connecting…',
      ),
  },
];

/**
 * Clicks where one writes, once what was written before is shown: Lexical shows nobody the caret
 * of who clicked into a page without text until that caret moves.
 */
async function open(
  server: Server,
  editor: Editor,
  user: string,
  lines: readonly string[] = [],
): Promise<Page> {
  const page = await (await openBrowser()).newPage();
  await page.goto(`${server.url}/${editor.name}.html?name=${user}`);
  await eventually(() => linesOf(page, editor)).toEqual(lines);
  await page.locator(editor.place).first().click();
  return page;
}

/** The lines that have text, as they are shown, without others' carets. */
function linesOf(page: Page, { line, caret }: Editor): Promise<readonly string[]> {
  return page.locator(line).evaluateAll((lines, ignored) => {
    const texts = lines.map((each) => {
      const copy = each.cloneNode(true) as Element;
      for (const caret of copy.querySelectorAll(ignored)) caret.remove();
      return (copy.textContent ?? '').replace(/[\u200b\u2060\ufeff]/g, '').replace(/\u00a0/g, ' ');
    });
    return texts.filter((text) => text.trim() !== '');
  }, caret);
}

/** Editors hear of a moved caret a moment later; this looks where it is after that. */
async function moveToStart(page: Page): Promise<void> {
  await eventually(async () => {
    await page.keyboard.press('ControlOrMeta+Home');
    return await page.evaluate(async () => {
      for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
      const { activeElement } = document;
      const selection = getSelection();
      // Monaco has a selection of its own.
      if (activeElement?.closest('.monaco-editor')) return '';
      if (!selection?.focusNode || !activeElement?.contains(selection.focusNode)) return null;
      const before = document.createRange();
      before.setStart(activeElement, 0);
      before.setEnd(selection.focusNode, selection.focusOffset);
      return before.toString().trim();
    });
  }).toBe('');
}

describe('the editors of docs/editors.md', () => {
  const project = new EditorsProject();

  beforeAll(async () => {
    await project.install();
  }, INSTALLING);

  afterAll(() => project.remove());

  test('[EDT-1] the code of the page compiles with the versions that it names', async () => {
    const page = readFileSync(join(ROOT, PAGE), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('| ['));
    for (const [name, version] of Object.entries(VERSIONS)) {
      const row = rows.find((line) => line.includes(`\`${name}\``));
      expect(row, name).toContain(version);
    }
    const tried: Readonly<Record<string, string>> = { ...VERSIONS, ...PEERS };
    for (const heading of HEADINGS) {
      const [line] = codeBlocks(PAGE, `## ${heading}`);
      const [client, yjs, ...packages] = line!.text
        .replace(/^npm install (--legacy-peer-deps )?/, '')
        .split(' ');
      expect([client, yjs], heading).toEqual(['@cowrite/client', 'yjs@13']);
      const names = packages.map((each) => each.slice(0, each.lastIndexOf('@')));
      expect(packages, heading).toEqual(names.map((name) => `${name}@${tried[name]}`));
    }
    await project.check();
  });

  describe('in a browser', () => {
    beforeAll(async () => {
      await project.build();
    }, INSTALLING);

    test.each(EDITORS)(
      '$rules $name: two people write at once, see each other, undo their own, outlive the server and hostile presence',
      async (editor) => {
        const server = await Server.start(project.built);
        const peer = await enter(server);
        // Who comes first makes the line that both write in, and never undoes it.
        const grace = await open(server, editor, 'Grace');
        await grace.keyboard.type('one');
        // Beside Grace there is the first block of BlockNote, which is nobody's.
        const writers = () => [...peer.doc.store.clients.keys()].filter((client) => client !== 1);
        await eventually(async () => writers().length).toBe(1);
        const ada = await open(server, editor, 'Ada', ['one']);
        const show = async (text: unknown) => {
          for (const page of [ada, grace]) {
            await eventually(() => linesOf(page, editor)).toEqual([text]);
          }
        };
        await show('one');
        await eventually(() => editor.names(ada)).toEqual(['Grace']);
        await eventually(() => editor.names(grace)).toEqual(['Ada']);
        expect(writers()).toHaveLength(1);

        await moveToStart(ada);
        await Promise.all([ada.keyboard.type('zero '), grace.keyboard.type(' two')]);
        await show('zero one two');

        await server.kill();
        await editor.connected?.(ada, false);
        await ada.keyboard.type('and ');
        await grace.keyboard.type(' three');
        await server.start();
        await show('zero and one two three');
        await editor.connected?.(ada, true);

        for (const [place, states] of (await hostileStates(peer)).entries()) {
          (await Eve.enter(server, ROOM)).show(states, 1_000 * (place + 1));
        }
        for (const page of [ada, grace])
          await eventually(() => editor.names(page)).toContain('Eve');
        await Promise.all([ada.keyboard.type('so '), grace.keyboard.type(' four')]);
        await show('zero and so one two three four');
        await eventually(() => editor.names(ada)).toContain('Grace');

        await eventually(async () => {
          await ada.keyboard.press('ControlOrMeta+z');
          return (await linesOf(ada, editor)).join().includes('so ');
        }).toBe(false);
        await show(expect.stringMatching(/^(?!.*so ).*one two three four$/));
        await eventually(async () => {
          await ada.keyboard.press('ControlOrMeta+Shift+z');
          return await linesOf(ada, editor);
        }).toEqual(['zero and so one two three four']);
      },
    );

    test('[EDT-6] two people who begin an empty BlockNote apart from each other lose nothing', async () => {
      const blocknote = EDITORS.find(({ name }) => name === 'blocknote')!;
      const servers = [await Server.start(project.built), await Server.start(project.built)];
      const words = ['ours', 'theirs'];
      const pages: Page[] = [];
      for (const [place, server] of servers.entries()) {
        const page = await open(server, blocknote, `Person ${place}`);
        await page.keyboard.type(words[place]!);
        pages.push(page);
      }
      // Somebody in both rooms: what each of them has comes to the other.
      const { doc } = await enter(servers[0]!);
      await enter(servers[1]!, { doc });
      for (const page of pages) {
        for (const word of words) {
          await eventually(async () => (await linesOf(page, blocknote)).join()).toContain(word);
        }
      }
    });

    test('[EDT-7] who may only read sees the text in each of them, and cannot type', async () => {
      const server = await Server.start(project.built, {
        STORAGE_URL: `lmdb:${temporaryFolder()}`,
        AUTH_SECRET,
      });
      const writer = await enter(server, { token: await tokenFor('write') });
      writeForAll(writer.doc, 'hello');
      await writer.whenSaved();
      const reader = await tokenFor('read');
      const browser = await openBrowser();
      for (const editor of EDITORS) {
        const page = await browser.newPage();
        await page.goto(`${server.url}/${editor.name}.html?name=Eve&token=${reader}`);
        await eventually(() => linesOf(page, editor)).toEqual(['hello']);
        await page.locator(editor.place).first().click();
        await page.evaluate(() => {
          const { provider } = globalThis as unknown as { provider: CowriteProvider };
          provider.doc.on('update', (_update, _origin, _doc, { local }) => {
            if (local) document.title = 'has written';
          });
        });
        await page.keyboard.type('x');
        // Some editors write what was typed a little later.
        await page.evaluate(() => new Promise(requestAnimationFrame));
        expect(await page.title(), editor.name).not.toBe('has written');
        expect(await linesOf(page, editor), editor.name).toEqual(['hello']);
      }
      expect(writer.doc.store.clients.size).toBe(1);
    });
  });
});

/** Without an editor: sees what the others write, and their presence. */
async function enter(
  server: Server,
  options: Partial<CowriteProviderOptions> = {},
): Promise<CowriteProvider> {
  const provider = new CowriteProvider({
    url: `${server.url}/ws`,
    room: ROOM,
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
    ...options,
  });
  onTestFinished(() => provider.destroy());
  await provider.whenSynced();
  return provider;
}

async function tokenFor(access: string): Promise<string> {
  return await new SignJWT({ rooms: { '*': access } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(access)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(AUTH_SECRET));
}

/** In parts that one socket may show. The last state of the last part is an honest one, of Eve. */
async function hostileStates({ doc, awareness }: CowriteProvider): Promise<unknown[][]> {
  const elsewhere = doc.getText('elsewhere');
  elsewhere.insert(0, 'another text');
  const place = Y.createRelativePositionFromTypeIndex(elsewhere, 3);
  // As text: what is not guarded yet is there without positions.
  const grace = () => {
    const texts = [...awareness.getStates().values()].map((state) => JSON.stringify(state));
    return texts.find((text) => text.includes('Grace') && text.includes('"assoc"'));
  };
  await eventually(grace).toBeDefined();
  const honest = grace()!;
  const states = [
    ...hostileTo(JSON.parse(honest), place),
    JSON.parse(honest.replaceAll('Grace', 'Eve')),
  ];
  const parts: unknown[][] = [];
  for (let from = 0; from < states.length; from += 60) parts.push(states.slice(from, from + 60));
  return parts;
}
