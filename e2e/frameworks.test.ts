/** The pages of `docs` about frameworks, each followed word by word with the real tools. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { CLIENT, PATIENCE, pack, run } from './packed.js';
import { make, serve, writeTogether } from './walk-through.js';

const folder = mkdtempSync(join(tmpdir(), 'cowrite-frameworks-'));
let tarball: string;

beforeAll(async () => {
  tarball = (await pack(folder)).get(CLIENT)!.tarball;
}, PATIENCE);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A page of which the component is only checked, as one of React's, for its template comes from GitHub. */
const CHECKED_AS_REACT = 'docs/react-router.md';

/** @param check the command with which the application's own build checks types */
async function follow(page: string, [checker, ...args]: readonly string[], ...dev: string[]) {
  const made = await make(page, temporaryFolder(), tarball);
  if (page === 'docs/react.md') {
    const component = codeBlocks(CHECKED_AS_REACT).find(({ language }) => language === 'tsx');
    writeFileSync(join(made.folder, 'src/checked.tsx'), component!.text);
  }
  const command = join(made.folder, 'node_modules/.bin', checker!);
  await run(command, args, { cwd: made.folder }).catch(({ stdout, stderr }) => {
    throw new Error(`${stdout}\n${stderr}`);
  });
  await serve(made, ...dev);
  expect(await writeTogether(made)).toEqual([]);
}

test.each([
  ['docs/tiptap.md', 'tsc'],
  ['docs/react.md', 'tsc', '-b'],
  ['docs/vue.md', 'vue-tsc', '-b'],
  ['docs/svelte.md', 'svelte-check', '--tsconfig', './tsconfig.app.json'],
  ['docs/solid.md', 'tsc', '-b'],
])(
  '[DOC-6] what %s says to do leads to two tabs that write together',
  async (page, ...check) => {
    await follow(page, check, '--strictPort');
  },
  PATIENCE,
);

test(
  '[DOC-6] what docs/angular.md says to do leads to two tabs that write together',
  async ({ skip }) => {
    skip(process.env.LONG !== '1', 'LONG=1 npm test runs it');
    await follow('docs/angular.md', ['ngc', '-p', 'tsconfig.app.json', '--noEmit']);
  },
  PATIENCE,
);
