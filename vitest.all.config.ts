// `npm run test:all`: every test on every store. Needs PostgreSQL, Redis, Chromium, Python and the libraries of test/clients,
// and says so when one is missing.
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { longOnesFirst } from './test/support/long-ones-first.js';

const shared = {
  globalSetup: ['test/support/sqlite-template.ts', 'test/support/signing-keys.ts', 'test/support/requirements.ts'],
  env: { SIGNET_TEST_STORES: 'all' },
  pool: 'forks' as const,
  testTimeout: 30_000,
  hookTimeout: 60_000,
};
/** Tests that replace a module for everybody else, or load whole worlds of their own. */
const ALONE = ['test/base/fetch.test.ts', 'test/flows/clients/**'];

const LONG = [
  'sign-in/timing.all',
  'approvals/timing.all',
  'crash/kill.all',
  'crash/nth-call.all',
  'test/main.all',
  'bad-input.all',
  'test/cli',
  'security/matrix',
];

export default defineConfig({
  test: {
    sequence: { sequencer: longOnesFirst(LONG) },
    maxWorkers: Math.max(2, availableParallelism() - 1), // much of a test is waiting
    projects: [
      {
        test: {
          ...shared,
          name: 'house',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/clients/**', ...ALONE],
          isolate: false,
        },
      },
      { test: { ...shared, name: 'alone', include: ALONE, exclude: [...configDefaults.exclude, 'test/clients/**'] } },
    ],
  },
});
