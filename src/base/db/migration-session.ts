/** The database operations of migrations, for SQLite and PostgreSQL, on their own connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresqlTarget, SqliteTarget, Target } from './open.js';
import { isBusy } from './sqlite-errors.js';

export interface MigrationSession {
  /** Returns the recorded migrations. Empty for a new database. */
  appliedMigrations(): Promise<{ name: string; checksum: string; finished: boolean | number }[]>;
  /** Starts a transaction that blocks other migrators. */
  begin(): Promise<void>;
  /** Creates the table of applied migrations, if it does not exist. */
  createHistoryTable(): Promise<void>;
  run(script: string): Promise<void>;
  /** Throws if the script left dangling foreign keys. */
  checkForeignKeys(): Promise<void>;
  /** Records an applied migration. */
  record(migration: { id: string; name: string; checksum: string }): Promise<void>;
  close(): Promise<void>;
}

/** The advisory lock of `prisma migrate`, so that it does not run at the same time. */
const PRISMA_LOCK_ID = 72707369;
const LOCK_TIMEOUT_MS = 60_000;
const LOCK_RETRY_MS = 50;
const CONNECT_TIMEOUT_MS = 10_000;
const SELECT_HISTORY = `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
  FROM _prisma_migrations WHERE rolled_back_at IS NULL`;

/** Connects to the database. An SQLite file is created if it does not exist. */
export function openMigrationSession(target: Target): Promise<MigrationSession> {
  return target.provider === 'sqlite' ? openSqliteSession(target) : openPostgresqlSession(target);
}

async function openSqliteSession(target: SqliteTarget): Promise<MigrationSession> {
  const { checkpoint, openConnection } = await import('./sqlite-driver.js');
  const db = openConnection(target);
  // Prisma changes a table by copying and dropping it. With foreign keys on, DROP would delete the
  // rows that refer to it. SQLite ignores the script's own PRAGMA inside a transaction, so they are
  // switched off here and checked before COMMIT.
  db.exec('PRAGMA foreign_keys = OFF');
  const run = async (script: string) => db.exec(script);
  return {
    run,
    async appliedMigrations() {
      const tableExists = db.prepare("SELECT 1 FROM sqlite_master WHERE name = '_prisma_migrations'").get();
      return tableExists ? (db.prepare(SELECT_HISTORY).all() as never) : [];
    },
    async begin() {
      const deadline = Date.now() + LOCK_TIMEOUT_MS;
      for (;;) {
        try {
          db.exec('BEGIN IMMEDIATE');
          return;
        } catch (error) {
          if (!isBusy(error) || Date.now() > deadline) throw error;
          await sleep(LOCK_RETRY_MS);
        }
      }
    },
    createHistoryTable: () => run(createHistorySql('TEXT', 'DATETIME')),
    async checkForeignKeys() {
      const danglingRows = db.prepare('PRAGMA foreign_key_check').all();
      if (danglingRows.length > 0) throw new Error('it leaves dangling foreign keys');
    },
    async record({ id, checksum, name }) {
      const now = new Date().toISOString();
      db.prepare(insertHistorySql('?, ?, ?, ?, ?')).run(id, checksum, name, now, now);
    },
    async close() {
      checkpoint(db);
      db.close();
    },
  };
}

async function openPostgresqlSession({ url }: PostgresqlTarget): Promise<MigrationSession> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  await client.connect();
  // Without parameters, pg uses the simple query protocol, which accepts several statements.
  const run = async (script: string) => void (await client.query(script));
  return {
    run,
    async appliedMigrations() {
      const table = await client.query("SELECT to_regclass('_prisma_migrations') AS name");
      return table.rows[0].name === null ? [] : (await client.query(SELECT_HISTORY)).rows;
    },
    begin: () => run(`BEGIN; SELECT pg_advisory_xact_lock(${PRISMA_LOCK_ID})`),
    createHistoryTable: () => run(createHistorySql('VARCHAR(255)', 'TIMESTAMPTZ')),
    checkForeignKeys: async () => {}, // PostgreSQL checks them while the script runs
    async record({ id, checksum, name }) {
      await client.query(insertHistorySql('$1, $2, $3, $4, $5'), [id, checksum, name, new Date(), new Date()]);
    },
    close: () => client.end(),
  };
}

function createHistorySql(textType: string, timeType: string): string {
  return `CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id ${textType} NOT NULL PRIMARY KEY, checksum ${textType} NOT NULL, finished_at ${timeType}, migration_name ${textType} NOT NULL,
    logs TEXT, rolled_back_at ${timeType}, started_at ${timeType} NOT NULL DEFAULT CURRENT_TIMESTAMP,
    applied_steps_count INTEGER NOT NULL DEFAULT 0)`;
}

function insertHistorySql(parameters: string): string {
  return `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
    VALUES (${parameters}, 1)`;
}
