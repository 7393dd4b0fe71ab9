/**
 * A connection to an SQLite file with this project's settings, through Node's own `node:sqlite`
 * where it is complete and free of a flag, else through @photostructure/sqlite, which has the same
 * interface and ships compiled.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { isBusy } from './sqlite-errors.js';

type Driver = typeof import('@photostructure/sqlite');
export type Sqlite = InstanceType<Driver['DatabaseSync']>;
export type Statement = ReturnType<Sqlite['prepare']>;

export interface SqliteOptions {
  /** A file name, or ":memory:". */
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
const { DatabaseSync } = builtIn() ?? (await import('@photostructure/sqlite'));

/**
 * Throws SQLITE_BUSY almost at once when another process writes: waiting here would stop the event
 * loop.
 */
export function openConnection({ path, synchronous = 'FULL' }: SqliteOptions, readOnly = false): Sqlite {
  if (path !== ':memory:' && !readOnly) createFile(path);
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
 * Before close(), so that all is in the one file: statements not yet collected would keep the -wal
 * file in use.
 */
export function checkpoint(db: Sqlite): void {
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

/**
 * Readable by its owner only; SQLite gives -wal and -shm the same mode. A file that is there is not
 * touched: to close it again, by whichever descriptor, would give up the locks that another
 * connection of this process holds (fcntl(2)), and the next program that reads the file and leaves
 * would take its -wal away, with all that was written since.
 */
function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * When two processes open a new file at once, SQLite tells one of them "busy" without heeding the
 * time-out.
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

function builtIn(): Driver | undefined {
  const { emitWarning } = process;
  process.emitWarning = () => {}; // loading it emits an ExperimentalWarning and nothing else
  try {
    const sqlite = process.getBuiltinModule('node:sqlite') as unknown as Driver | undefined;
    const complete = sqlite && 'setReturnArrays' in sqlite.StatementSync.prototype; // since 22.16
    return complete ? sqlite : undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
