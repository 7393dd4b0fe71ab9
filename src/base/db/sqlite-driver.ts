/**
 * Opens an SQLite file with this project's settings. Uses `node:sqlite` if this version of Node
 * supports it fully and without a flag. Otherwise uses @photostructure/sqlite, which has the same
 * API and is precompiled.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { isBusy } from './sqlite-errors.js';

type SqliteModule = typeof import('@photostructure/sqlite');
export type Sqlite = InstanceType<SqliteModule['DatabaseSync']>;
export type Statement = ReturnType<Sqlite['prepare']>;

export interface SqliteOptions {
  /** A file name or ":memory:". */
  path: string;
  /**
   * FULL: committed transactions survive a power loss. NORMAL: they survive a process crash, but a
   * power loss can lose the latest ones.
   */
  synchronous?: 'FULL' | 'NORMAL';
  readOnly?: boolean;
}

const OPEN_LOCK_TIMEOUT_MS = 5000;
const WRITE_LOCK_TIMEOUT_MS = 10;
const WAL_RETRY_MS = 20;
const WAL_SIZE_LIMIT_BYTES = 16_777_216;
const CACHE_KIB = 8000;
const { DatabaseSync } = loadBuiltInSqlite() ?? (await import('@photostructure/sqlite'));

/**
 * Opens a connection. Opening waits up to 5 s for a lock. Afterwards, writes throw SQLITE_BUSY
 * after 10 ms, because waiting would block the event loop; the adapter retries.
 */
export function openConnection({ path, synchronous = 'FULL', readOnly = false }: SqliteOptions): Sqlite {
  if (path !== ':memory:' && !readOnly) ensureFile(path);
  const db = new DatabaseSync(path, { readOnly, timeout: OPEN_LOCK_TIMEOUT_MS });
  if (!readOnly) {
    switchToWal(db);
    db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = ${WAL_SIZE_LIMIT_BYTES}`);
  }
  // Prisma's contains and startsWith use LIKE, which must be case-sensitive, as in PostgreSQL.
  db.exec(`PRAGMA foreign_keys = ON; PRAGMA case_sensitive_like = ON; PRAGMA cache_size = -${CACHE_KIB}`);
  if (!readOnly) db.exec(`PRAGMA busy_timeout = ${WRITE_LOCK_TIMEOUT_MS}`);
  return db;
}

/**
 * Moves all data into the main file. Call it before close(): statements that are not yet
 * garbage-collected keep the connection open, and with it the -wal file.
 */
export function checkpoint(db: Sqlite): void {
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

/**
 * Creates the file with mode 0600, which SQLite copies to -wal and -shm. Does not open an existing
 * file, because closing a descriptor releases all locks of this process on the file (fcntl(2)).
 * Another program could then delete the -wal file with its data.
 */
function ensureFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Retries, because SQLite ignores the lock timeout if two processes create the file at the same
 * time.
 */
function switchToWal(db: Sqlite): void {
  const deadline = Date.now() + OPEN_LOCK_TIMEOUT_MS;
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      // Sleeps without returning to the event loop, because the caller is synchronous.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS);
    }
  }
}

/** Returns `node:sqlite`, or undefined if this version of Node lacks it or a needed function. */
function loadBuiltInSqlite(): SqliteModule | undefined {
  const { emitWarning } = process;
  process.emitWarning = () => {}; // loading the module emits an ExperimentalWarning
  try {
    const sqlite = process.getBuiltinModule('node:sqlite') as unknown as SqliteModule | undefined;
    const isSupported = sqlite && 'setReturnArrays' in sqlite.StatementSync.prototype; // since Node 22.16
    return isSupported ? sqlite : undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
