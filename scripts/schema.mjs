// Derives each provider's schema from prisma/schema.prisma. Models are taken over as they are; only
// the provider, the output folder and the attributes that SQLite does not have are rewritten.
import { readFileSync } from 'node:fs';

export const SCHEMA_PATH = 'prisma/schema.prisma';
export const PROVIDERS = ['sqlite', 'postgresql'];

/** The schema for one provider. The client goes beside the file that this text is written to. */
export function schemaFor(provider) {
  const models = readFileSync(SCHEMA_PATH, 'utf8').replace('"../src/generated/postgresql"', `"./${provider}"`);
  if (provider === 'postgresql') return models;
  return models.replace('provider = "postgresql"', 'provider = "sqlite"').replace(/\s@db\.\w+(\([^)]*\))?/g, '');
}
