/** The App Router of Next.js: what `docs/next.md` says to do, and hooks that a server component imports. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CLIENT, PATIENCE, pack, ROOT, run } from './packed.js';
import { type Made, make, QUIET, serve, writeTogether } from './walk-through.js';

/** A server component that uses the package itself; on its client module it calls nothing. */
const DIRECT = {
  'app/client.ts': `'use client';

import { CowriteClient } from '@cowrite/client';

export const client = new CowriteClient({ url: 'ws://127.0.0.1:8080/ws' });
`,
  'app/direct/page.tsx': `import { CowriteRoom } from '@cowrite/client/react';
import { client } from '../client';

export default function Page() {
  return (
    <CowriteRoom client={client} room="direct" fallback="Waiting…">
      <p>There</p>
    </CowriteRoom>
  );
}
`,
};

async function application(): Promise<Made> {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-next-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const made = await make('docs/next.md', folder, (await pack(folder)).get(CLIENT)!.tarball);
  mkdirSync(join(made.folder, 'app/direct'));
  for (const [file, text] of Object.entries(DIRECT)) writeFileSync(join(made.folder, file), text);
  return made;
}

/** Both pages as the server sends them: what a browser shows until its scripts run. */
async function sent({ page }: Made): Promise<readonly string[]> {
  return await Promise.all(
    [page, `${page}/direct`].map(async (address) => (await fetch(address)).text()),
  );
}

const TURBOPACK: readonly string[] = [];
const WEBPACK = ['--webpack'];

/** Builds it, and follows the page to its end. */
async function follow(bundler: readonly string[]): Promise<void> {
  const made = await application();
  const build = ['run', 'build', '--', ...bundler];
  await run('npm', build, { cwd: made.folder, env: QUIET }).catch(({ stdout, stderr }) => {
    throw new Error(`${stdout}\n${stderr}`);
  });
  const prerendered = ['index.html', 'direct.html'].map((file) =>
    readFileSync(join(made.folder, '.next/server/app', file), 'utf8'),
  );
  const fallbacks = [/\bLoading…/, /\bWaiting…/].map((text) => expect.stringMatching(text));
  expect(prerendered).toEqual(fallbacks);

  await serve(made, ...bundler);
  expect(await sent(made)).toEqual(fallbacks);
  // What does not fit together when the page is hydrated is said here.
  expect(await writeTogether(made)).toEqual([]);
}

test.each(['react.js', 'cjs/react.js'])(
  "[FRM-1] dist/%s begins with 'use client', as the build leaves it",
  (file) => {
    const text = readFileSync(join(ROOT, 'client/dist', file), 'utf8');
    const statements = text
      .replace(/\/\*.*?\*\/|\/\/[^\n]*/gs, '')
      .replace(/^\s*"use strict";/, '');
    expect(statements.trimStart()).toMatch(/^'use client';/);
  },
);

test(
  '[FRM-2] Next.js builds it with Turbopack, renders the fallback, and hydrates it without a warning; [DOC-6] two tabs write together',
  async () => {
    await follow(TURBOPACK);
  },
  PATIENCE,
);

test(
  '[FRM-2] so it does with webpack',
  async ({ skip }) => {
    skip(process.env.LONG !== '1', 'LONG=1 npm test runs it');
    await follow(WEBPACK);
  },
  PATIENCE,
);
