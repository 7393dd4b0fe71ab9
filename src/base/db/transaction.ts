/**
 * Runs units of work: one database transaction each, and the tasks that must follow its commit.
 *
 * Lock order, to avoid deadlocks: the account before its sessions, the grant before its refresh
 * tokens.
 */
import type { Log } from '../log.js';
import type { Database, Queryable } from './open.js';

export interface UnitOfWork {
  /** The transaction. Every statement of the unit goes through it, never through the database. */
  tx: Queryable;
  /** Registers a task that runs once after the commit, and never after a rollback. */
  afterCommit(task: () => unknown): void;
}

export type Transact = <Result>(work: (uow: UnitOfWork) => Promise<Result>) => Promise<Result>;

/**
 * Returns `transact`. It resolves after the tasks registered with `afterCommit` have run, in their
 * order. A task that fails is logged: the commit stands, so the caller must not see an error. When
 * the transaction fails, `transact` rejects with its error and no task runs.
 */
export function createTransact({ db, log }: { db: Database; log: Pick<Log, 'error'> }): Transact {
  return async function transact(work) {
    const tasks: (() => unknown)[] = [];
    const result = await db.$transaction((tx) => {
      tasks.length = 0; // the database can repeat a transaction that it could not serialize
      return work({ tx, afterCommit: (task) => void tasks.push(task) });
    });
    for (const task of tasks) {
      try {
        await task();
      } catch (error) {
        log.error({ error }, 'a task after a commit failed');
      }
    }
    return result;
  };
}
