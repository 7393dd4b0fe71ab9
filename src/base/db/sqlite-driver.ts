/**
 * Opens an SQLite file with this project's settings. Uses `node:sqlite` where it is complete and
 * needs no flag, otherwise @photostructure/sqlite, which has the same API and is precompiled.
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
   * FULL: an acknowledged write survives a power cut. NORMAL: it survives only a crash of the
   * process.
   */
  synchronous?: 'FULL' | 'NORMAL';
}

const OPEN_TIMEOUT_MS = 5000;
const WAL_SIZE_LIMIT_BYTES = 16_777_216;
const CACHE_KIB = 8000;
const { DatabaseSync } = loadBuiltInSqlite() ?? (await import('@photostructure/sqlite'));

/**
 * Opens a connection. It throws SQLITE_BUSY almost at once if another process writes, because
 * waiting would block the event loop.
 */
export function openConnection({ path, synchronous = 'FULL' }: SqliteOptions, readOnly = false): Sqlite {
  if (path !== ':memory:' && !readOnly) ensureFile(path);
  const db = new DatabaseSync(path, { readOnly, timeout: OPEN_TIMEOUT_MS });
  if (!readOnly) {
    switchToWal(db);
    db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = ${WAL_SIZE_LIMIT_BYTES}`);
  }
  // LIKE (contains, startsWith) is then case sensitive, as in PostgreSQL.
  db.exec(`PRAGMA foreign_keys = ON; PRAGMA case_sensitive_like = ON; PRAGMA cache_size = -${CACHE_KIB}`);
  if (!readOnly) db.exec('PRAGMA busy_timeout = 10');
  return db;
}

/**
 * Checkpoints before close(), so that all data is in one file: uncollected statements would keep
 * the -wal file in use.
 */
export function checkpoint(db: Sqlite): void {
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

/**
 * Creates the file with mode 0600, which SQLite copies to -wal and -shm. An existing file is not
 * opened: closing any descriptor would release the locks of other connections in this process
 * (fcntl(2)), and another program could then delete the -wal file with its data.
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
 * Retries, because SQLite ignores the timeout for one of two processes that create a file at once.
 */
function switchToWal(db: Sqlite): void {
  const deadline = Date.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function loadBuiltInSqlite(): SqliteModule | undefined {
  const { emitWarning } = process;
  process.emitWarning = () => {}; // loading it emits an ExperimentalWarning and nothing else
  try {
    const sqlite = process.getBuiltinModule('node:sqlite') as unknown as SqliteModule | undefined;
    const complete = sqlite && 'setReturnArrays' in sqlite.StatementSync.prototype; // since 22.16
    return complete ? sqlite : undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
