// Where the tests are, and how long one may take.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Vitest keeps one core for itself, which on a machine with two leaves one.
const maxWorkers = Math.max(2, availableParallelism() - 1);

/** What is waited for comes, or the test's own time is up: a second is nothing on a machine that has too much to do. */
const expect = { poll: { timeout: 20_000 } };

export default defineConfig({
  test: {
    globalSetup: './scripts/vitest-setup.mjs',
    pool: 'forks',
    projects: [
      {
        test: {
          name: 'client',
          include: ['client/{src,test}/**/*.test.ts'],
          maxWorkers,
        },
      },
      {
        test: {
          name: 'server',
          include: ['server/{src,test}/**/*.test.ts'],
          maxWorkers,
          expect,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // After the others, to which a browser leaves little of a machine.
          sequence: { groupOrder: 1 },
          // They wait, for a browser or a second that must pass, more than they compute.
          maxWorkers: maxWorkers + 1,
          expect,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
