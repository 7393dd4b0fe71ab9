import { expect, test } from 'vitest';
import { driftOfDatabase, driftOfMigrations } from '../../scripts/migrations.mjs';
import { databases } from '../support/stores.js';

test.each(['sqlite', 'postgresql'] as const)('the migrations for %s produce the models', async (provider) => {
  expect(await driftOfMigrations(provider)).toBeUndefined();
});

test.each(databases)('a migrated database on $name matches the models, and an empty one does not', async (store) => {
  const [migrated, blank] = [await store.open(), await store.openBlank()];
  try {
    expect(await driftOfDatabase(migrated.databaseUrl)).toBeUndefined();
    expect(await driftOfDatabase(blank.databaseUrl)).toContain('CREATE TABLE "Account"');
  } finally {
    await migrated.close();
    await blank.close();
  }
});
