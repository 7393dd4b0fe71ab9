// The stores that the contract suites run over: `describe.each(stores)('… on $name', …)`. Only
// SQLite, unless `npm run test:all` asks for all of them.
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { deleteKeys, runStatement } from './store-servers.js';

export interface OpenStore {
  databaseUrl: string;
  redisUrl?: string;
  redisPrefix?: string;
  close(): Promise<void>;
}

export interface Store {
  name: 'SQLite' | 'PostgreSQL' | 'PostgreSQL and Redis';
  /** Opens a new database that is migrated and empty. */
  open(): Promise<OpenStore>;
  /** Opens a new database that is not migrated. */
  openBlank(): Promise<OpenStore>;
}

const sqlite: Store = {
  name: 'SQLite',
  open: async () => sqliteFile(inject('sqliteTemplate')),
  openBlank: async () => sqliteFile(),
};
const postgresql: Store = {
  name: 'PostgreSQL',
  open: () => postgresqlDatabase(inject('postgresqlTemplate')),
  openBlank: () => postgresqlDatabase('template0'),
};
const postgresqlAndRedis: Store = {
  name: 'PostgreSQL and Redis',
  open: async () => withRedis(await postgresql.open()),
  openBlank: async () => withRedis(await postgresql.openBlank()),
};

export const stores: Store[] =
  process.env.SIGNET_TEST_STORES === 'all' ? [sqlite, postgresql, postgresqlAndRedis] : [sqlite];

/** Stores for tests that do not need Redis. */
export const databases = stores.filter((store) => store !== postgresqlAndRedis);

function sqliteFile(template?: string): OpenStore {
  const folder = mkdtempSync(join(tmpdir(), 'signet-test-'));
  const path = join(folder, 'signet.db');
  if (template) copyFileSync(template, path);
  else writeFileSync(path, '');
  return {
    databaseUrl: `file:${path}`,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function postgresqlDatabase(template: string): Promise<OpenStore> {
  const server = inject('postgresqlUrl');
  const name = `signet_test_${randomUUID().replaceAll('-', '')}`;
  await runStatement(server, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  await runStatement(server, `ALTER DATABASE ${name} SET timezone TO 'Asia/Kolkata'`); // differs from the time zone of this process
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    databaseUrl: url.href,
    close: () => runStatement(server, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function withRedis(store: OpenStore): Promise<OpenStore> {
  const redisUrl = inject('redisUrl');
  const redisPrefix = `signet-test-${randomUUID()}:`;
  return {
    ...store,
    redisUrl,
    redisPrefix,
    async close() {
      await deleteKeys(redisUrl, redisPrefix);
      await store.close();
    },
  };
}
