/**
 * Runs units of work. A unit of work is a database transaction with tasks that run after its
 * commit.
 *
 * Lock order, to avoid deadlocks: lock the account before its sessions, and the grant before its
 * refresh tokens.
 */
import type { Log } from '../log.js';
import type { Database, Queryable } from './open.js';

/** Enough to revoke thousands of sessions on an overloaded server: a revocation must not fail. */
const TIMEOUTS = { timeout: 60_000 };

export interface UnitOfWork {
  /** The transaction. Every statement of the unit must use it instead of the database. */
  tx: Queryable;
  /** Registers a task that runs once after the commit, and never after a rollback. */
  afterCommit(task: () => unknown): void;
}

export type Transact = <Result>(work: (uow: UnitOfWork) => Promise<Result>) => Promise<Result>;

/**
 * Returns `transact`, which runs a unit of work and then its `afterCommit` tasks, in their order.
 * It logs a task that fails, because the transaction was committed and the caller must not see an
 * error. If the transaction fails, `transact` rejects with its error and no task runs.
 */
export function createTransact({ db, log }: { db: Database; log: Pick<Log, 'error'> }): Transact {
  return async function transact(work) {
    const tasks: (() => unknown)[] = [];
    const result = await db.$transaction((tx) => {
      tasks.length = 0; // `work` can run again after a serialization failure
      return work({ tx, afterCommit: (task) => void tasks.push(task) });
    }, TIMEOUTS);
    for (const task of tasks) {
      try {
        await task();
      } catch (error) {
        log.error({ error }, 'an afterCommit task failed');
      }
    }
    return result;
  };
}
