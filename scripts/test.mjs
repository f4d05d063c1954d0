// `npm test`: set-up, browsers for the browser tests, a Postgres, a Redis, an nginx and a
// HAProxy for those with servers, then Vitest with the arguments given. Without any path or project
// among them it leaves out the applications of other people's making, which take as long as half of
// all else: `npm run test:applications` runs these.
// Owns the verdict. The last line is `N passed, N failed`; besides failed tests, these count as
// failed: a file or suite that did not load, an unhandled error, an unfinished test, a test skipped
// without a reason.
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { chromium } from './chromium.mjs';
import { browsers, programs } from './programs.mjs';
import { main, root, setup } from './setup.mjs';

main(async () => {
  process.chdir(root);
  await setup();
  process.env.COWRITE_BUILT = '1';
  const args = process.argv.slice(2);
  if (mayRun(args, ['e2e'])) {
    process.env.CHROMIUM_PATH = await chromium();
    Object.assign(process.env, await browsers());
  }
  if (mayRun(args, ['server', 'e2e'])) Object.assign(process.env, await programs());

  const { parseCLI, startVitest } = await import('vitest/node');
  const { filter, options } = parseCLI(['vitest', 'run', ...args]);
  if (filter.length === 0) options.project ??= ['!applications'];
  // As Vitest's own command does: its `exclude` takes the place of the configuration's.
  const { exclude, ...rest } = options;
  const cliExclude = exclude === undefined ? undefined : [exclude].flat();
  const vitest = await startVitest('test', filter, { ...rest, cliExclude });

  const { passed, failed } = count(vitest, options.testNamePattern !== undefined);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 || passed === 0 || process.exitCode ? 1 : 0);
});

/** False when the arguments name paths, none of them in these folders. */
function mayRun(args, folders) {
  const paths = args.map((arg) => arg.replace(/:\d+$/, '')).filter((arg) => existsSync(arg));
  const isInside = (path) =>
    folders.some((folder) => !relative(join(root, folder), resolve(path)).startsWith('..'));
  return paths.length === 0 || paths.some(isInside);
}

/** Under a name filter the tests it leaves out count as neither passed nor skipped. */
function count(vitest, filtered) {
  let passed = 0;
  let failed = vitest.state.getUnhandledErrors().length;
  const skipped = new Map();
  for (const module of vitest.state.getTestModules()) {
    for (const suite of [module, ...module.children.allSuites()]) {
      if (suite.errors().length > 0) failed += 1;
    }
    for (const test of module.children.allTests()) {
      const { state, note } = test.result();
      const reason = note ?? (inBrokenSuite(test) ? 'the set-up of their suite failed' : undefined);
      if (state === 'passed') passed += 1;
      else if (state !== 'skipped') failed += 1;
      else if (reason) skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
      else if (!filtered) {
        failed += 1;
        console.log(`Skipped without a reason: ${module.relativeModuleId} > ${test.fullName}`);
      }
    }
  }
  for (const [reason, tests] of skipped) console.log(`${tests} skipped: ${reason}`);
  return { passed, failed };
}

function inBrokenSuite({ parent }) {
  return parent.errors().length > 0 || (parent.type === 'suite' && inBrokenSuite(parent));
}
