/** The pages of `docs` about frameworks, each followed word by word with the real tools. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './fixtures.js';
import { CLIENT, PATIENCE, pack, run } from './packed.js';
import { make, serve, writeTogether } from './walk-through.js';

const folder = mkdtempSync(join(tmpdir(), 'cowrite-frameworks-'));
let tarball: string;

beforeAll(async () => {
  tarball = (await pack(folder)).get(CLIENT)!.tarball;
}, PATIENCE);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['docs/tiptap.md', 'tsc'],
  ['docs/react.md', 'tsc', '-b'],
  ['docs/vue.md', 'vue-tsc', '-b'],
  ['docs/svelte.md', 'svelte-check', '--tsconfig', './tsconfig.app.json'],
  ['docs/solid.md', 'tsc', '-b'],
])('[DOC-6] what %s says to do leads to two tabs that write together', async (page, ...check) => {
  const made = await make(page, temporaryFolder(), tarball);
  const [checker, ...args] = check;
  // As the application's own build does it.
  await run(join(made.folder, 'node_modules/.bin', checker!), args, { cwd: made.folder }).catch(
    ({ stdout }) => {
      throw new Error(stdout);
    },
  );
  await serve(made, '--strictPort');
  expect(await writeTogether(made)).toEqual([]);
});
