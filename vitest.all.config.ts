// `npm run test:all`: every test on every store. Needs PostgreSQL, Redis, Chromium, Python and the
// libraries of test/clients and test/runtimes, and says so when one is missing.
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { INSTALLED } from './test/support/packed-kit.js';
import { slowTestsFirst } from './test/support/slow-tests-first.js';

const shared = {
  globalSetup: ['test/support/sqlite-template.ts', 'test/support/signing-keys.ts', 'test/support/required-services.ts'],
  env: { SIGNET_TEST_STORES: 'all' },
  pool: 'forks' as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
};
/** Tests that replace a module for every other test, or load servers of their own. */
const ALONE = ['test/base/safe-fetch.test.ts', 'test/flows/clients/**'];

/** On the kit that was packed and installed, not on its source. */
const KIT = 'test/kit/**/*.test.ts';
const SLOW = [
  'sign-in/timing.all',
  'agent-authorization/timing.all',
  'crash/kill.all',
  'crash/nth-call.all',
  'test/main.all',
  'bad-input.all',
  'kit/runtimes',
  'test/cli',
  'security/matrix',
];

export default defineConfig({
  test: {
    sequence: { sequencer: slowTestsFirst(SLOW) },
    maxWorkers: Math.max(2, availableParallelism() - 1), // tests mostly wait
    projects: [
      {
        test: {
          ...shared,
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/clients/**', KIT, ...ALONE],
          isolate: false,
        },
      },
      {
        resolve: {
          alias: [{ find: /^(?:\.\.\/)+src\/kit\/(.*)$/, replacement: `${INSTALLED}/node_modules/signet/kit/$1` }],
        },
        test: {
          ...shared,
          name: 'kit',
          globalSetup: [...shared.globalSetup, 'test/support/packed-kit.ts'],
          include: [KIT],
          isolate: false,
        },
      },
      { test: { ...shared, name: 'alone', include: ALONE, exclude: [...configDefaults.exclude, 'test/clients/**'] } },
    ],
  },
});
