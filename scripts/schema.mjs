// Derives the schema of each provider from prisma/schema.prisma. Changes the provider and the
// output folder, and removes the attributes that SQLite does not support.
import { readFileSync } from 'node:fs';

export const SCHEMA_PATH = 'prisma/schema.prisma';
export const PROVIDERS = ['sqlite', 'postgresql'];

/** Returns the schema for a provider. Prisma generates the client next to the schema file. */
export function schemaFor(provider) {
  const models = readFileSync(SCHEMA_PATH, 'utf8').replace('"../src/generated/postgresql"', `"./${provider}"`);
  if (provider === 'postgresql') return models;
  return models.replace('provider = "postgresql"', 'provider = "sqlite"').replace(/\s@db\.\w+(\([^)]*\))?/g, '');
}
