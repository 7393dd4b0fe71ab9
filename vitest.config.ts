// `npm test`: everything that needs nothing but this package, on the embedded database.
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { longOnesFirst } from './test/support/long-ones-first.js';

const shared = {
  globalSetup: ['test/support/sqlite-template.ts', 'test/support/signing-keys.ts'],
  pool: 'forks' as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
};
/** Tests that replace a module for everybody else. */
const ALONE = ['test/base/safe-fetch.test.ts'];

const LONG = ['security/matrix', 'test/main', 'flows/api-document', 'federation/upstream-provider', 'base/mail'];

export default defineConfig({
  test: {
    sequence: { sequencer: longOnesFirst(LONG) },
    maxWorkers: availableParallelism() + 1, // much of a test is waiting
    projects: [
      {
        test: {
          ...shared,
          name: 'house',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/**/*.all.test.ts', 'test/clients/**', ...ALONE],
          isolate: false, // what was loaded once serves all files of a worker: half of the time went there
        },
      },
      { test: { ...shared, name: 'alone', include: ALONE } },
    ],
  },
});
