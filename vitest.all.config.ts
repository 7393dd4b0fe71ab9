// `npm run test:all`: every test on every store. Needs PostgreSQL, Redis, Chromium, Python and the libraries of test/clients,
// and says so when one is missing.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/sqlite-template.ts', 'test/support/requirements.ts'],
    env: { SIGNET_TEST_STORES: 'all' },
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
