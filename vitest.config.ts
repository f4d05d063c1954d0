// Where the tests are, how many run at a time, and how long one may take.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Many tests wait, for a browser, a process or a second that must pass, more than they compute. */
const maxWorkers = 3 * Math.max(2, availableParallelism());

/**
 * How long a test waits for what never comes. It is no measure of speed: a machine that has other
 * work to do takes many times as long as a quiet one, and its tests pass all the same.
 */
const PATIENCE = 300_000;

/** Less than a test has, so that what was waited for is named. */
const expect = { poll: { timeout: PATIENCE / 2 } };
const common = {
  maxWorkers,
  expect,
  testTimeout: PATIENCE,
  hookTimeout: PATIENCE,
  setupFiles: './scripts/vitest-patience.ts',
  // What is built is loaded by Node itself: as its users load it, and in half the time.
  server: { deps: { external: [/\/(client|server)\/dist\//] } },
};

/**
 * Applications of other people's making, each installed from npm and built with its own tools, and
 * other runtimes. `npm run test:applications` runs them.
 */
const APPLICATIONS = [
  'frameworks',
  'next',
  'editors',
  'projects',
  'packages',
  'clone',
  'runtimes',
].map((name) => `e2e/${name}.test.ts`);

/** Those with files that take long come first: the last one of all would be waited for alone. */
const FIRST = ['applications', 'e2e', 'units'];

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ project }: TestSpecification) => [...FIRST, project.name].indexOf(project.name);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}

export default defineConfig({
  test: {
    globalSetup: './scripts/vitest-setup.mjs',
    pool: 'forks',
    sequence: { sequencer: LongFilesFirst },
    projects: [
      { test: { ...common, name: 'client', include: ['client/{src,test}/**/*.test.ts'] } },
      // Tests of single modules: a process loads the modules once for all of its files.
      {
        test: { ...common, name: 'units', isolate: false, include: ['server/src/**/*.test.ts'] },
      },
      {
        test: { ...common, name: 'server', isolate: false, include: ['server/test/**/*.test.ts'] },
      },
      // A worker's files share its browser, the server of those that do nothing to it, and tabs.
      {
        test: {
          ...common,
          name: 'e2e',
          isolate: false,
          include: ['e2e/**/*.test.ts'],
          exclude: APPLICATIONS,
        },
      },
      { test: { ...common, name: 'applications', isolate: false, include: APPLICATIONS } },
    ],
  },
});
