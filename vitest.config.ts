// Where the tests are, and how long one may take.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Vitest keeps one core for itself, which on a machine with two leaves one.
const maxWorkers = Math.max(2, availableParallelism() - 1);

/**
 * How long a test waits for what never comes. It is no measure of speed: a machine that has other
 * work to do takes many times as long as a quiet one, and its tests pass all the same.
 */
const PATIENCE = 300_000;

/** Less than a test has, so that what was waited for is named. */
const expect = { poll: { timeout: PATIENCE / 2 } };
const patient = { expect, testTimeout: PATIENCE, hookTimeout: PATIENCE };

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
          ...patient,
        },
      },
      {
        test: {
          name: 'server',
          include: ['server/{src,test}/**/*.test.ts'],
          maxWorkers,
          ...patient,
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
          ...patient,
        },
      },
    ],
  },
});
