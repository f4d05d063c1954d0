/** The code that docs/coming-from.md says to write. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CowriteProvider } from '@cowrite/client';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { Server, temporaryFolder } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { ROOT, run } from './packed.js';

const PAGE = 'docs/coming-from.md';

/** The blocks in TypeScript; what is JavaScript is what somebody has before. */
const blocks = codeBlocks(PAGE).filter(({ language }) => /^tsx?$/.test(language));

const COMPILER_OPTIONS = {
  target: 'ES2022',
  module: 'NodeNext',
  lib: ['ES2023', 'DOM', 'DOM.Iterable'],
  jsx: 'react-jsx',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  rootDir: '.',
  outDir: 'built',
};

/**
 * Compiles the blocks against the packages as they are built here.
 *
 * @returns the folder of the compiled ones, named by their place in the page
 */
async function compile(): Promise<string> {
  const folder = temporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS }),
  );
  for (const [place, { language, text }] of blocks.entries()) {
    writeFileSync(join(folder, `${place}.${language}`), text);
  }
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder]);
  return join(folder, 'built');
}

test('[DOC-3] what it says to write compiles', async () => {
  expect(blocks.length).toBeGreaterThan(4);
  await compile();
});

test('[DOC-4] a document is brought over as it says, whole, and once however often it is done', async () => {
  const server = await Server.start();
  const url = `${server.url.replace('http', 'ws')}/ws`;
  const open = (doc: Y.Doc) => {
    const provider = new CowriteProvider({ url, room: 'minutes', doc, WebSocket });
    onTestFinished(() => provider.destroy());
    return provider;
  };
  const built = await compile();
  const place = blocks.findIndex(({ text }) => text.includes('bringOver'));
  const file = join(built, `${place}.js`);
  writeFileSync(file, readFileSync(file, 'utf8').replace('wss://docs.example/ws', url));
  const { bringOver } = await import(/* @vite-ignore */ pathToFileURL(file).href);

  // Written by two, as a document is that has been in use.
  const old = new Y.Doc();
  old.getText('title').insert(0, 'Minutes');
  const second = new Y.Doc();
  Y.applyUpdate(second, Y.encodeStateAsUpdate(old));
  second.getText('title').insert(7, ' of May');
  second.getText('title').delete(0, 1);
  second.getText('title').insert(0, 'm');
  Y.applyUpdate(old, Y.encodeStateAsUpdate(second));

  await bringOver('minutes', Y.encodeStateAsUpdate(old));
  await server.kill();
  await server.start();
  const here = new Y.Doc();
  const writer = open(here);
  await writer.whenSynced();
  expect(here.getText('title').toString()).toBe('minutes of May');

  here.getText('title').insert(14, ', ours');
  await writer.whenSaved();
  old.getText('title').insert(0, 'Old: ');
  await bringOver('minutes', Y.encodeStateAsUpdate(old));
  const copy = new Y.Doc();
  await open(copy).whenSynced();
  expect(copy.getText('title').toString()).toBe('Old: minutes of May, ours');
});
