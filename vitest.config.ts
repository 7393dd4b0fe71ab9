// `npm test`: everything that needs nothing but this package, on the embedded database.
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { slowTestsFirst } from './test/support/slow-tests-first.js';

const shared = {
  globalSetup: ['test/support/sqlite-template.ts', 'test/support/signing-keys.ts'],
  pool: 'forks' as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
};
/** Tests that replace a module for every other test. */
const ALONE = ['test/base/safe-fetch.test.ts'];

const SLOW = ['security/matrix', 'test/main', 'flows/api-document', 'federation/proxy-login-client', 'base/mail'];

export default defineConfig({
  test: {
    sequence: { sequencer: slowTestsFirst(SLOW) },
    maxWorkers: availableParallelism() + 1, // tests mostly wait
    projects: [
      {
        test: {
          ...shared,
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/**/*.all.test.ts', 'test/clients/**', ...ALONE],
          isolate: false, // each worker loads the modules once: halves the time
        },
      },
      { test: { ...shared, name: 'alone', include: ALONE } },
    ],
  },
});
