// Prepared statements on PostgreSQL: many concurrent ones on few connections, and lost connections.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { isStoreUnavailable } from '../../src/base/app-error.js';
import { openPrepared, type Prepared, type Statement } from '../../src/base/db/prepared.js';

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ECHO: Statement = { name: 'echo', text: 'SELECT $1::int AS n' };
const DIVIDE: Statement = { name: 'divide', text: 'SELECT 10 / $1::int AS n' };
const WAIT_FOR_LOCK: Statement = { name: 'wait', text: 'SELECT pg_advisory_xact_lock($1::bigint)::text AS n' };

const LOCK = 20_261_125;

function opened(poolSize: number): { prepared: Prepared; name: string } {
  const name = `signet-test-${randomUUID()}`;
  const url = new URL(inject('postgresqlUrl'));
  url.searchParams.set('application_name', name);
  const prepared = openPrepared(url.href, { poolSize });
  cleanups.push(() => prepared.close());
  return { prepared, name };
}

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: inject('postgresqlUrl') });
  await client.connect();
  cleanups.push(() => client.end());
  return client;
}

async function connectionsOf(name: string): Promise<number[]> {
  const found = await (await connect()).query('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [name]);
  return found.rows.map(({ pid }) => pid);
}

const numbers = Array.from({ length: 500 }, (_, n) => n);
const echo = async (prepared: Prepared, n: number) => (await prepared.run<{ n: number }>(ECHO, [n])).rows[0]?.n;

describe('prepared statements', () => {
  it('get their own results when many run concurrently on few connections', async () => {
    const { prepared, name } = opened(3);
    expect(await Promise.all(numbers.map((n) => echo(prepared, n)))).toEqual(numbers);
    expect(await connectionsOf(name)).toHaveLength(3);
  });

  it('use one connection when they run one after the other', async () => {
    const { prepared, name } = opened(3);
    for (const n of [1, 2, 3, 4]) expect(await echo(prepared, n)).toBe(n);
    expect(await connectionsOf(name)).toHaveLength(1);
  });

  it('fail alone: others on the same connection succeed', async () => {
    const { prepared } = opened(1);
    const results = await Promise.allSettled([10, 5, 0, 2, 0, 1].map((n) => prepared.run<{ n: number }>(DIVIDE, [n])));
    expect(
      results.map((result) => (result.status === 'fulfilled' ? result.value.rows[0]?.n : result.reason.code)),
    ).toEqual([1, 2, '22012', 5, '22012', 10]);
  });

  it('do not wait behind one that waits for a lock', async () => {
    const { prepared } = opened(2);
    const holder = await connect();
    await holder.query('SELECT pg_advisory_lock($1)', [LOCK]);
    const waiting = prepared.run(WAIT_FOR_LOCK, [LOCK]);
    for (const n of [1, 2, 3]) expect(await echo(prepared, n)).toBe(n);
    await holder.query('SELECT pg_advisory_unlock($1)', [LOCK]);
    expect((await waiting).count).toBe(1);
  });

  it('fail at once when their connection breaks, and the next ones use another', async () => {
    const { prepared, name } = opened(1);
    const holder = await connect();
    await holder.query('SELECT pg_advisory_lock($1)', [LOCK]);
    const lost = Promise.allSettled([prepared.run(WAIT_FOR_LOCK, [LOCK]), echo(prepared, 1), echo(prepared, 2)]);
    await expect.poll(() => connectionsOf(name)).toHaveLength(1);
    await holder.query('SELECT pg_terminate_backend($1)', [(await connectionsOf(name))[0]]);
    for (const { status } of await lost) expect(status).toBe('rejected');
    expect(await echo(prepared, 3)).toBe(3);
  });

  it('fail with an outage when the server is down', async () => {
    const prepared = openPrepared('postgresql://root@127.0.0.1:1/postgres', { poolSize: 2 });
    cleanups.push(() => prepared.close());
    const error = await echo(prepared, 1).catch((reason) => reason);
    expect(isStoreUnavailable(error)).toBe(true);
  });

  it('finish before a pool closes that is still connecting', async () => {
    const { prepared } = opened(2);
    const results = Promise.all(numbers.slice(0, 20).map((n) => echo(prepared, n)));
    await prepared.close();
    expect(await results).toEqual(numbers.slice(0, 20));
  });

  it('finish before the connections close', async () => {
    const { prepared, name } = opened(2);
    const results = Promise.all(numbers.slice(0, 20).map((n) => echo(prepared, n)));
    await expect.poll(() => connectionsOf(name)).not.toHaveLength(0);
    await prepared.close();
    expect(await results).toEqual(numbers.slice(0, 20));
    await expect.poll(() => connectionsOf(name)).toHaveLength(0);
  });
});
