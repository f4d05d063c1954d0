/** The code that docs/coming-from.md says to write. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CowriteProvider } from '@cowrite/client';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { Server, temporaryFolder } from './fixtures.js';
import { ROOT } from './packed.js';
import { compile, typeScriptOf } from './snippets.js';

/** What is JavaScript there is what somebody has before. */
const blocks = typeScriptOf('docs/coming-from.md');

/** @returns the folder of the compiled blocks, which use the packages as they are built here */
async function compiled(): Promise<string> {
  const folder = temporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return await compile(folder, blocks);
}

test('[DOC-3] what it says to write compiles', async () => {
  expect(blocks.length).toBeGreaterThan(4);
  await compiled();
});

test('[DOC-4] a document is brought over as it says, whole, and once however often it is done', async () => {
  const server = await Server.start();
  const url = `${server.url.replace('http', 'ws')}/ws`;
  const open = (doc: Y.Doc) => {
    const provider = new CowriteProvider({ url, room: 'minutes', doc, WebSocket });
    onTestFinished(() => provider.destroy());
    return provider;
  };
  const built = await compiled();
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
