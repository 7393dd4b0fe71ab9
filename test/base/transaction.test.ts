import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../src/base/db/open.js';
import { createTransact, type Transact } from '../../src/base/db/transaction.js';
import { type OpenStore, stores } from '../support/stores.js';

describe.each(stores)('a unit of work on $name', (store) => {
  let data: OpenStore;
  let db: Database;
  let transact: Transact;
  const errors: unknown[] = [];

  beforeAll(async () => {
    data = await store.open();
    db = await openDatabase(data.databaseUrl);
    transact = createTransact({ db, log: { error: (entry: unknown) => void errors.push(entry) } });
  });
  afterAll(async () => {
    await db.$disconnect();
    await data.close();
  });

  const insert = (topic: string) => transact(({ tx }) => tx.cacheVersion.create({ data: { topic } }));
  const exists = async (topic: string) => (await db.cacheVersion.findUnique({ where: { topic } })) !== null;

  it('runs its tasks once, in order, after the commit', async () => {
    const steps: unknown[] = [];
    const result = await transact(async ({ tx, afterCommit }) => {
      afterCommit(async () => steps.push(['first', await exists('committed')]));
      afterCommit(() => steps.push('second'));
      await tx.cacheVersion.create({ data: { topic: 'committed' } });
      steps.push('work');
      return 7;
    });
    expect(result).toBe(7);
    expect(steps).toEqual(['work', ['first', true], 'second']);
  });

  it('runs no task after a rollback, and rejects with the error of the work', async () => {
    let ran = false;
    const failing = transact(async ({ tx, afterCommit }) => {
      afterCommit(() => {
        ran = true;
      });
      await tx.cacheVersion.create({ data: { topic: 'rolled back' } });
      throw new Error('the work failed');
    });
    await expect(failing).rejects.toThrow('the work failed');
    expect(ran).toBe(false);
    expect(await exists('rolled back')).toBe(false);
  });

  it('logs a task that fails, runs the next one, and resolves, since the commit stands', async () => {
    let next = false;
    await transact(async ({ afterCommit }) => {
      afterCommit(() => {
        throw new Error('the task failed');
      });
      afterCommit(() => {
        next = true;
      });
    });
    expect(next).toBe(true);
    expect(errors).toEqual([{ error: new Error('the task failed') }]);
  });

  it('rejects a duplicate without leaving the transaction open', async () => {
    await insert('twice');
    await expect(insert('twice')).rejects.toMatchObject({ code: 'P2002' });
    await insert('afterwards');
    expect(await exists('afterwards')).toBe(true);
  });
});
