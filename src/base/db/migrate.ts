/**
 * Migrates the database at start: applies the scripts in prisma/migrations/<provider>, each in one
 * transaction under a lock, and records them in `_prisma_migrations` like Prisma. It uses the
 * drivers directly, because Prisma's PostgreSQL adapter splits a script at every ";".
 */
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MigrationSession, openMigrationSession } from './migration-session.js';
import { parseDatabaseUrl } from './open.js';

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Applies missing migrations and returns their names. Throws without changes if the database does
 * not belong to this version.
 */
export async function migrate(url: string, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const migrations = readMigrations(url, folder);
  const session = await openMigrationSession(parseDatabaseUrl(url));
  try {
    // A start without missing migrations takes no lock and writes nothing.
    if ((await findMissing(session, migrations)).length === 0) return [];
    const applied: string[] = [];
    for (const migration of migrations) {
      if (await applyIfMissing(session, migration, migrations)) applied.push(migration.name);
    }
    return applied;
  } finally {
    await session.close();
  }
}

/** Returns the names of missing migrations, without changes. Throws like `migrate`. */
export async function pendingMigrations(url: string, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const session = await openMigrationSession(parseDatabaseUrl(url));
  try {
    return (await findMissing(session, readMigrations(url, folder))).map(({ name }) => name);
  } finally {
    await session.close();
  }
}

/** Reads the scripts for the provider of the URL, in the order in which they are applied. */
function readMigrations(url: string, folder: string): Migration[] {
  const providerFolder = join(folder, parseDatabaseUrl(url).provider);
  const entries = readdirSync(providerFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries
    .map(({ name }) => ({ name, sql: readFileSync(join(providerFolder, name, 'migration.sql'), 'utf8') }))
    .map((file) => ({ ...file, checksum: createHash('sha256').update(file.sql).digest('hex') }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Returns the missing migrations. Throws if the applied ones are not those of this version. */
async function findMissing(session: MigrationSession, migrations: Migration[]): Promise<Migration[]> {
  const rows = await session.appliedMigrations();
  for (const row of rows) {
    const migration = migrations.find(({ name }) => name === row.name);
    if (!row.finished) throw new Error(`Another tool applied migration ${row.name} only in part: repair it by hand.`);
    if (!migration) throw new Error(`The database is newer than this version: it has migration ${row.name}.`);
    if (migration.checksum !== row.checksum) throw new Error(`Migration ${row.name} was edited after it was applied.`);
  }
  return migrations.filter(({ name }) => !rows.some((row) => row.name === name));
}

/** Applies a migration. Returns false if another process applied it first. */
async function applyIfMissing(
  session: MigrationSession,
  migration: Migration,
  migrations: Migration[],
): Promise<boolean> {
  const { name, sql, checksum } = migration;
  try {
    await session.begin();
    await session.createHistoryTable();
    const isMissing = (await findMissing(session, migrations)).includes(migration); // again, now under the lock
    if (isMissing) {
      await session.run(sql);
      await session.checkForeignKeys();
      await session.record({ id: randomUUID(), name, checksum });
    }
    await session.run('COMMIT');
    return isMissing;
  } catch (error) {
    await session.run('ROLLBACK').catch(() => {});
    throw new Error(`Migration ${name} was not applied: ${(error as Error).message}`, { cause: error });
  }
}
