// Writes migrations and detects drift. Runs Prisma's schema engine as WebAssembly on temporary
// databases to which the existing migrations are applied: SQLite in memory, and PGlite for
// PostgreSQL. Needs the development packages.
//
// - `new <name>` writes prisma/migrations/{sqlite,postgresql}/<timestamp>_<name>/migration.sql.
// - `check` exits with 2 if the migrations of a provider differ from the models.
// - `check <url>` exits with 2 if the database differs from the models.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import { PROVIDERS, SCHEMA_PATH, schemaFor } from './schema.mjs';

let engineStart;
const isMain = import.meta.url === pathToFileURL(process.argv[1] ?? '').href;
if (isMain) process.exit(await main(...process.argv.slice(2)));

async function main(command, argument) {
  if (command === 'check' && argument) return report('The database', await driftOfDatabase(argument));
  if (command === 'check') {
    const codes = [];
    for (const provider of PROVIDERS)
      codes.push(report(`${provider}: the migrations`, await driftOfMigrations(provider)));
    return Math.max(...codes);
  }
  if (command === 'new' && /^[a-z0-9_]+$/.test(argument ?? '')) return writeMigrations(argument);
  console.error('Usage: npm run db:new -- <name_in_lower_case> | npm run db:check [-- <database url>]');
  return 64;
}

function report(subject, drift) {
  console.log(
    drift === undefined ? `${subject} and the models agree.` : `${subject} and the models differ by:\n${drift}`,
  );
  return drift === undefined ? 0 : 2;
}

async function writeMigrations(name) {
  const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const drifts = [];
  for (const provider of PROVIDERS) drifts.push({ provider, sql: await driftOfMigrations(provider) });
  for (const { provider, sql } of drifts) {
    if (sql === undefined) {
      report(`${provider}: the migrations`, sql);
      continue;
    }
    const file = join(folderOf(provider), `${timestamp}_${name}`, 'migration.sql');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, sql);
    // Prisma's own tools require this lock file.
    writeFileSync(join(folderOf(provider), 'migration_lock.toml'), `provider = "${provider}"\n`);
    console.log(`${provider}: wrote ${file}. Read it before you commit it.`);
  }
  return 0;
}

/** Returns the SQL that changes the result of the migrations to the models, or undefined. */
export async function driftOfMigrations(provider) {
  return difference(provider, provider === 'sqlite' ? await replayedSqlite() : await replayedPostgresql());
}

/** Returns the SQL that changes this database to the models, or undefined if they agree. */
export async function driftOfDatabase(url) {
  const { parseDatabaseUrl, PrismaSqlite } = await importDrivers();
  const target = parseDatabaseUrl(url);
  return difference(
    target.provider,
    target.provider === 'sqlite' ? new PrismaSqlite(target) : await livePostgresql(url),
  );
}

async function difference(provider, factory) {
  engineStart ??= startEngine();
  await engineStart;
  const content = schemaFor(provider);
  const files = [{ path: SCHEMA_PATH, content }];
  const session = await engine.SchemaEngine.new(
    { datamodels: [[SCHEMA_PATH, content]] },
    () => {},
    bindMigrationAwareSqlAdapterFactory(factory),
  );
  const { exitCode, stdout } = await session.diff({
    from: { tag: 'schemaDatasource', files, configDir: process.cwd() },
    to: { tag: 'schemaDatamodel', files },
    script: true,
    exitCode: true,
    shadowDatabaseUrl: null,
    filters: { externalTables: [], externalEnums: [] },
  });
  return exitCode === 0 ? undefined : stdout;
}

/** Starts the engine. Call it once: a second start would erase the memory of the first. */
async function startEngine() {
  const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm');
  const bytes = readFileSync(join(dirname(entry), 'schema_engine_bg.wasm'));
  const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': engine });
  engine.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
}

async function replayedSqlite() {
  const { PrismaSqlite } = await importDrivers();
  const adapter = await new PrismaSqlite({ path: ':memory:' }).connect();
  for (const sql of scriptsOf('sqlite')) await adapter.executeScript(sql);
  const connect = async () => adapter;
  return { provider: 'sqlite', adapterName: adapter.adapterName, connect, connectToShadowDb: connect };
}

async function replayedPostgresql() {
  const { PGlite } = await import('@electric-sql/pglite');
  const { PrismaPGlite } = await import('pglite-prisma-adapter');
  const shadow = new PGlite();
  for (const sql of scriptsOf('postgresql')) await shadow.exec(sql);
  return new PrismaPGlite(shadow);
}

/**
 * Returns an adapter for a running database. adapter-pg does not support the type "char" (18) of
 * the catalog, so the adapter reports it as CHAR(n) (1042).
 */
async function livePostgresql(connectionString) {
  const [{ default: pg }, { PrismaPg }] = await Promise.all([import('pg'), import('@prisma/adapter-pg')]);
  class CatalogPool extends pg.Pool {
    async query(...query) {
      const result = await super.query(...query);
      for (const field of result.fields ?? []) if (field.dataTypeID === 18) field.dataTypeID = 1042;
      return result;
    }
  }
  return new PrismaPg(new CatalogPool({ connectionString }));
}

async function importDrivers() {
  const [open, adapter] = await Promise.all([
    import('../dist/base/db/open.js'),
    import('../dist/base/db/sqlite-adapter.js'),
  ]);
  return { parseDatabaseUrl: open.parseDatabaseUrl, PrismaSqlite: adapter.PrismaSqlite };
}

function scriptsOf(provider) {
  if (!existsSync(folderOf(provider))) return [];
  return readdirSync(folderOf(provider), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
    .map((name) => readFileSync(join(folderOf(provider), name, 'migration.sql'), 'utf8'));
}

function folderOf(provider) {
  return `prisma/migrations/${provider}`;
}
