/** What the READMEs say to do in an empty folder, done there: from nothing to two tabs of one browser. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { freePort } from '../server/test/free-port.js';
import { openBrowser } from './browsers.js';
import { linesOf } from './codemirror-page.js';
import { eventually } from './eventually.js';
import { codeBlocks } from './markdown.js';
import { install, type Packed, type Published, ROOT, run } from './packed.js';

export const CREATE_VITE = join(ROOT, 'node_modules/create-vite/index.js');

/**
 * @param folder where the application is made
 * @param packed what npm would get for `@cowrite/client`
 * @param server a project that has `@cowrite/server`, so that npx need not get it
 */
export async function followReadme(
  folder: string,
  packed: ReadonlyMap<Published, Packed>,
  server: string,
): Promise<void> {
  const blocks = codeBlocks('README.md', '### In a new app');
  expect(codeBlocks('client/README.md', '## In a new app')).toEqual(blocks);
  expect(blocks.map(({ language }) => language)).toEqual(['sh', 'ts']);
  const [create, enter, add, serve] = blocks[0]!.text.split('\n');
  const code = blocks[1]!.text;
  expect(code.split('\n').filter((line) => line.trim() !== '').length).toBeLessThan(20);

  await run(process.execPath, [CREATE_VITE, ...argumentsIn(create, 'npm create vite@latest')], {
    cwd: folder,
  });
  const app = join(folder, ...argumentsIn(enter, 'cd'));
  await install(app, packed, versions(argumentsIn(add, 'npm install')));

  // Each address is part of what the other is started with. This port is below those that are given away.
  const port = await freePort();
  const page = `http://localhost:${port}`;
  const allowing = serve!.replace('http://localhost:5173', page);
  expect(allowing).toContain(page);
  const url = await start(allowing, server, /ready: (http:\S+)/);
  writeFileSync(join(app, 'src/main.ts'), code.replace('127.0.0.1:8080', new URL(url).host));

  // Vite is that of this checkout: installing it takes longer than all the rest.
  symlinkSync(join(ROOT, 'node_modules/vite'), join(app, 'node_modules/vite'));
  const tools = `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`;
  const dev = `PATH="${tools}" npm run dev -- --port ${port} --strictPort`;
  await start(dev, app, /Local: +(http:\S+)/);

  const browser = await openBrowser();
  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(page);
    await tab.locator('.cm-content').click();
    return tab;
  };
  const [ada, grace] = [await open(), await open()];
  for (const tab of [ada, grace]) await eventually(() => tab.title()).toBe('Saved');
  await ada.keyboard.type('hello');
  await eventually(() => linesOf(grace)).toEqual(['hello']);
  await grace.keyboard.press('ControlOrMeta+End');
  await grace.keyboard.type(', hello');
  await eventually(() => linesOf(ada)).toEqual(['hello, hello']);
  for (const tab of [ada, grace]) await eventually(() => tab.title()).toBe('Saved');

  // Undo takes back one's own edits only; CodeMirror's own history would take back Ada's as well.
  await eventually(async () => {
    await grace.keyboard.press('ControlOrMeta+z');
    return await linesOf(grace);
  }).toEqual(['hello']);
  await grace.keyboard.press('ControlOrMeta+z');
  await grace.keyboard.type('!');
  await eventually(() => linesOf(ada)).toEqual(['hello!']);
}

/** What follows in a line behind the command that it has to be. */
export function argumentsIn(line: string | undefined, command: string): readonly string[] {
  expect(line).toMatch(new RegExp(`^${command} `));
  return line!
    .slice(command.length)
    .split(' ')
    .filter((word) => word !== '' && word !== '--');
}

/** With the versions of this checkout, so that a release of somebody else's does not fail this test. */
function versions(names: readonly string[]): Readonly<Record<string, string>> {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'e2e/package.json'), 'utf8'));
  return Object.fromEntries(
    names.map((each) => {
      const [, name, wanted] = /^(.+?)(?:@([\d.]+))?$/.exec(each)!;
      const used: string = dependencies[name!];
      // What the line asks for is what is used here.
      expect(used.replace('^', '').startsWith(wanted ?? ''), each).toBe(true);
      return [name, used];
    }),
  );
}

/**
 * @param ready what it says once it is
 * @returns the address that it says then
 */
export async function start(command: string, cwd: string, ready: RegExp): Promise<string> {
  // A group of its own: npx and npm start a shell, and that the program.
  const child = spawn('sh', ['-c', command], {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PORT: '0',
      LOG_LEVEL: 'warn',
      NO_COLOR: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  onTestFinished(() => end(child));
  let output = '';
  return await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const said = ready.exec(output);
        if (said !== null) resolve(said[1]!);
      });
    }
    child.once('exit', (status) => reject(new Error(`${command} ended with ${status}: ${output}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  process.kill(-child.pid!, 'SIGKILL');
  await closed;
}
