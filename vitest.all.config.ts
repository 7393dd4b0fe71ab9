// `npm run test:all`: every test on every store. Needs PostgreSQL, Redis, Chromium, Python and the libraries of test/clients,
// and says so when one is missing.
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const shared = {
  globalSetup: ['test/support/sqlite-template.ts', 'test/support/signing-keys.ts', 'test/support/requirements.ts'],
  env: { SIGNET_TEST_STORES: 'all' },
  pool: 'forks' as const,
  testTimeout: 30_000,
  hookTimeout: 60_000,
};
/** Tests that replace a module for everybody else, or load whole worlds of their own. */
const ALONE = ['test/base/fetch.test.ts', 'test/flows/clients/**'];

/** Those that take minutes begin first: at the end, one worker would be busy with them and the others idle. */
const LONG = [
  'sign-in/timing.all',
  'crash/kill.all',
  'crash/nth-call.all',
  'test/main.all',
  'bad-input.all',
  'test/cli',
];

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project, moduleId }: TestSpecification) =>
      project.name === 'alone' || LONG.some((part) => moduleId.includes(part)) ? 0 : 1;
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b) || a.project.name.localeCompare(b.project.name));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongOnesFirst },
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
