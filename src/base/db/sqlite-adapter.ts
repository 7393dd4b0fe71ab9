/**
 * A Prisma driver adapter for SQLite files. The official ones lose or leak: with adapter-better-
 * sqlite3 a rollback removed writes of other requests, adapter-libsql leaks connections. Here, one
 * writer runs behind a FIFO lock, and one read-only reader serves SELECTs outside transactions.
 * Waiting for the lock of another process does not block the event loop.
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
const WAIT_FOR_LOCK_MS = 5000;

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
  readonly #lock = new Lock();

  constructor(options: SqliteOptions) {
    this.#writer = new SqliteConnection(openConnection(options));
    if (options.path !== ':memory:') this.#reader = new SqliteConnection(openConnection(options, true));
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    if (this.#reader && /^\s*SELECT\b/i.test(query.sql)) return this.#reader.query(query);
    return this.#exclusively(() => this.#writer.query(query));
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    return this.#exclusively(() => this.#writer.execute(query));
  }

  /** Runs a script, which SQLite parses itself. Not atomic, so it is never repeated. */
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
    const deadline = Date.now() + WAIT_FOR_LOCK_MS;
    const release = await this.#lock.acquire();
    try {
      await patiently(() => this.#writer.exec('BEGIN IMMEDIATE'), deadline);
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

  async #exclusively<T>(action: () => T): Promise<T> {
    const deadline = Date.now() + WAIT_FOR_LOCK_MS;
    const release = await this.#lock.acquire();
    try {
      return await patiently(action, deadline);
    } finally {
      release();
    }
  }
}

class SqliteTransaction implements Transaction {
  readonly provider = INFO.provider;
  readonly adapterName = INFO.adapterName;
  readonly options = { usePhantomQuery: true }; // COMMIT and ROLLBACK are ours to send
  readonly #connection: SqliteConnection;
  readonly #release: () => void;
  #open = true;

  constructor(connection: SqliteConnection, release: () => void) {
    this.#connection = connection;
    this.#release = release;
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return this.#whileOpen().query(query);
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    return this.#whileOpen().execute(query);
  }

  async commit(): Promise<void> {
    this.#whileOpen();
    this.#end('COMMIT');
  }

  async rollback(): Promise<void> {
    if (this.#open) this.#end('ROLLBACK');
  }

  async createSavepoint(name: string): Promise<void> {
    this.#whileOpen().exec(`SAVEPOINT ${name}`);
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    this.#whileOpen().exec(`ROLLBACK TO ${name}`);
  }

  async releaseSavepoint(name: string): Promise<void> {
    this.#whileOpen().exec(`RELEASE SAVEPOINT ${name}`);
  }

  #end(statement: 'COMMIT' | 'ROLLBACK'): void {
    this.#open = false;
    const { db } = this.#connection;
    try {
      // A full disk may already have rolled back. COMMIT must then fail, not pass for a success.
      if (statement === 'COMMIT' || db.isTransaction) this.#connection.exec(statement);
    } finally {
      try {
        if (db.isTransaction) this.#connection.exec('ROLLBACK');
      } finally {
        this.#release();
      }
    }
  }

  #whileOpen(): SqliteConnection {
    if (this.#open) return this.#connection;
    throw new DriverAdapterError({
      kind: 'TransactionAlreadyClosed',
      cause: 'It was committed, rolled back or timed out',
    });
  }
}

/** A lock that serves waiters in their order. */
class Lock {
  #last: Promise<void> = Promise.resolve();

  async acquire(): Promise<() => void> {
    const before = this.#last;
    let release!: () => void;
    this.#last = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return release;
  }
}

/**
 * Repeats an action that had no effect because another process holds the write lock. Fails with
 * P1008 in the end.
 */
async function patiently<T>(action: () => T, deadline: number): Promise<T> {
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      await sleep(5 + Math.random() * 20);
    }
  }
}
