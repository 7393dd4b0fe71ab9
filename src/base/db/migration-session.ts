/** The operations that the migrator needs, for SQLite and PostgreSQL, on its own connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresqlTarget, SqliteTarget, Target } from './open.js';
import { isBusy } from './sqlite-errors.js';

export interface MigrationSession {
  /** Returns the applied migrations; none for a new database. */
  appliedMigrations(): Promise<{ name: string; checksum: string; finished: boolean | number }[]>;
  /** Starts a transaction that blocks other migrators. */
  begin(): Promise<void>;
  createHistoryTable(): Promise<void>;
  run(script: string): Promise<void>;
  /** Throws if the script left dangling foreign keys. */
  checkForeignKeys(): Promise<void>;
  record(migration: { id: string; name: string; checksum: string }): Promise<void>;
  close(): Promise<void>;
}

const PRISMA_LOCK = 72707369; // the advisory lock that Prisma's own engine takes
const WAIT_FOR_LOCK_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
const HISTORY = `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
  FROM _prisma_migrations WHERE rolled_back_at IS NULL`;

export function openMigrationSession(target: Target): Promise<MigrationSession> {
  return target.provider === 'sqlite' ? sqlite(target) : postgresql(target);
}

async function sqlite(target: SqliteTarget): Promise<MigrationSession> {
  const { checkpoint, openConnection } = await import('./sqlite-driver.js');
  const db = openConnection(target);
  // Prisma rebuilds a table by copying and dropping it. With foreign keys on, the DROP would delete
  // the children, and inside a transaction the script's own PRAGMA is ignored: so they are off
  // here, and checked before COMMIT instead.
  db.exec('PRAGMA foreign_keys = OFF');
  const run = async (script: string) => db.exec(script);
  return {
    run,
    async appliedMigrations() {
      const known = db.prepare("SELECT 1 FROM sqlite_master WHERE name = '_prisma_migrations'").get();
      return known ? (db.prepare(HISTORY).all() as never) : [];
    },
    async begin() {
      const deadline = Date.now() + WAIT_FOR_LOCK_MS;
      for (;;) {
        try {
          db.exec('BEGIN IMMEDIATE');
          return;
        } catch (error) {
          if (!isBusy(error) || Date.now() > deadline) throw error;
          await sleep(50);
        }
      }
    },
    createHistoryTable: () => run(historyTable('TEXT', 'DATETIME')),
    async checkForeignKeys() {
      const orphans = db.prepare('PRAGMA foreign_key_check').all();
      if (orphans.length > 0) throw new Error('it breaks foreign keys');
    },
    async record({ id, checksum, name }) {
      const now = new Date().toISOString();
      db.prepare(recordInto('?, ?, ?, ?, ?')).run(id, checksum, name, now, now);
    },
    async close() {
      checkpoint(db);
      db.close();
    },
  };
}

async function postgresql({ url }: PostgresqlTarget): Promise<MigrationSession> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  await client.connect();
  // Without parameters the simple protocol is spoken, which takes any number of statements.
  const run = async (script: string) => void (await client.query(script));
  return {
    run,
    async appliedMigrations() {
      const known = await client.query("SELECT to_regclass('_prisma_migrations') AS name");
      return known.rows[0].name === null ? [] : (await client.query(HISTORY)).rows;
    },
    begin: () => run(`BEGIN; SELECT pg_advisory_xact_lock(${PRISMA_LOCK})`),
    createHistoryTable: () => run(historyTable('VARCHAR(255)', 'TIMESTAMPTZ')),
    checkForeignKeys: async () => {}, // PostgreSQL did while the script ran
    async record({ id, checksum, name }) {
      await client.query(recordInto('$1, $2, $3, $4, $5'), [id, checksum, name, new Date(), new Date()]);
    },
    close: () => client.end(),
  };
}

function historyTable(text: string, time: string): string {
  return `CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id ${text} NOT NULL PRIMARY KEY, checksum ${text} NOT NULL, finished_at ${time}, migration_name ${text} NOT NULL,
    logs TEXT, rolled_back_at ${time}, started_at ${time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
    applied_steps_count INTEGER NOT NULL DEFAULT 0)`;
}

function recordInto(parameters: string): string {
  return `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
    VALUES (${parameters}, 1)`;
}
