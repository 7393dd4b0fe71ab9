/**
 * A Prisma driver adapter for SQLite files. It replaces the official adapters: with better-sqlite3,
 * a rollback also removed the writes of other requests, and libsql leaks connections.
 *
 * One connection writes, behind a FIFO lock. Another one, read-only, serves SELECTs outside
 * transactions. Waiting for the lock of another process does not block the event loop.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DriverAdapterError,
  type IsolationLevel,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlQuery,
  type SqlResultSet,
  type Transaction,
} from '@prisma/driver-adapter-utils';
import { SqliteConnection } from './sqlite-connection.js';
import { checkpoint, openConnection, type SqliteOptions } from './sqlite-driver.js';
import { isBusy } from './sqlite-errors.js';

const INFO = { provider: 'sqlite', adapterName: 'signet-sqlite' } as const;
/** Limits the retries while another process has locked the database, counted from the call. */
const BUSY_TIMEOUT_MS = 5000;

/** The factory for the `adapter` option of PrismaClient. */
export class PrismaSqlite implements SqlMigrationAwareDriverAdapterFactory {
  readonly provider = INFO.provider;
  readonly adapterName = INFO.adapterName;
  readonly #options: SqliteOptions;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  async connect(): Promise<SqlDriverAdapter> {
    return new SqliteAdapter(this.#options);
  }

  async connectToShadowDb(): Promise<SqlDriverAdapter> {
    return new SqliteAdapter({ path: ':memory:' });
  }
}

class SqliteAdapter implements SqlDriverAdapter {
  readonly provider = INFO.provider;
  readonly adapterName = INFO.adapterName;
  readonly #writer: SqliteConnection;
  readonly #reader: SqliteConnection | undefined;
  readonly #lock = new FifoLock();

  constructor(options: SqliteOptions) {
    this.#writer = new SqliteConnection(openConnection(options));
    if (options.path !== ':memory:') {
      this.#reader = new SqliteConnection(openConnection({ ...options, readOnly: true }));
    }
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    if (this.#reader && /^\s*SELECT\b/i.test(query.sql)) return this.#reader.query(query);
    return this.#runExclusively(() => this.#writer.query(query));
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    return this.#runExclusively(() => this.#writer.execute(query));
  }

  /** Runs a script of several statements. It is not atomic, so it is not retried. */
  async executeScript(script: string): Promise<void> {
    const release = await this.#lock.acquire();
    try {
      this.#writer.exec(script);
    } finally {
      release();
    }
  }

  async startTransaction(isolationLevel?: IsolationLevel): Promise<Transaction> {
    if (isolationLevel && isolationLevel !== 'SERIALIZABLE') {
      throw new DriverAdapterError({ kind: 'InvalidIsolationLevel', level: isolationLevel });
    }
    const deadline = Date.now() + BUSY_TIMEOUT_MS;
    const release = await this.#lock.acquire();
    try {
      await retryWhileBusy(() => this.#writer.exec('BEGIN IMMEDIATE'), deadline);
      return new SqliteTransaction(this.#writer, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    const release = await this.#lock.acquire();
    try {
      this.#reader?.close();
      checkpoint(this.#writer.db);
      this.#writer.close();
    } finally {
      release();
    }
  }

  async #runExclusively<T>(action: () => T): Promise<T> {
    const deadline = Date.now() + BUSY_TIMEOUT_MS;
    const release = await this.#lock.acquire();
    try {
      return await retryWhileBusy(action, deadline);
    } finally {
      release();
    }
  }
}

class SqliteTransaction implements Transaction {
  readonly provider = INFO.provider;
  readonly adapterName = INFO.adapterName;
  readonly options = { usePhantomQuery: true }; // Prisma leaves COMMIT and ROLLBACK to this class
  readonly #connection: SqliteConnection;
  readonly #release: () => void;
  #isOpen = true;

  constructor(connection: SqliteConnection, release: () => void) {
    this.#connection = connection;
    this.#release = release;
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return this.#requireOpen().query(query);
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    return this.#requireOpen().execute(query);
  }

  async commit(): Promise<void> {
    this.#requireOpen();
    this.#end('COMMIT');
  }

  async rollback(): Promise<void> {
    if (this.#isOpen) this.#end('ROLLBACK');
  }

  async createSavepoint(name: string): Promise<void> {
    this.#requireOpen().exec(`SAVEPOINT ${name}`);
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    this.#requireOpen().exec(`ROLLBACK TO ${name}`);
  }

  async releaseSavepoint(name: string): Promise<void> {
    this.#requireOpen().exec(`RELEASE SAVEPOINT ${name}`);
  }

  #end(statement: 'COMMIT' | 'ROLLBACK'): void {
    this.#isOpen = false;
    const { db } = this.#connection;
    try {
      // SQLite can have rolled back already, for example on a full disk. COMMIT must then throw.
      if (statement === 'COMMIT' || db.isTransaction) this.#connection.exec(statement);
    } finally {
      try {
        if (db.isTransaction) this.#connection.exec('ROLLBACK');
      } finally {
        this.#release();
      }
    }
  }

  #requireOpen(): SqliteConnection {
    if (this.#isOpen) return this.#connection;
    throw new DriverAdapterError({
      kind: 'TransactionAlreadyClosed',
      cause: 'The transaction was committed, was rolled back, or timed out',
    });
  }
}

/** A mutex that callers acquire in the order of their calls. */
class FifoLock {
  #lastRelease: Promise<void> = Promise.resolve();

  /** Resolves to a function that releases the lock. */
  async acquire(): Promise<() => void> {
    const previousRelease = this.#lastRelease;
    let release!: () => void;
    this.#lastRelease = new Promise((resolve) => {
      release = resolve;
    });
    await previousRelease;
    return release;
  }
}

/**
 * Retries an action while another process has locked the database. After the deadline, throws
 * SQLITE_BUSY, which Prisma reports as P1008.
 */
async function retryWhileBusy<T>(action: () => T, deadline: number): Promise<T> {
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      await sleep(5 + Math.random() * 20);
    }
  }
}
