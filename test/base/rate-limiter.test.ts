// Rate limits per time window, on every kind of counter store.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Limit, RateLimiter } from '../../src/base/rate-limiter.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

// The counters are in memory with SQLite, in a table with PostgreSQL, or in Redis.
describe.each(stores)('rate limits on $name', (store) => {
  let server: TestServer;
  let rateLimiter: RateLimiter;
  beforeAll(async () => {
    server = await startServer({ store });
    rateLimiter = server.base.rateLimiter;
  });
  afterAll(() => server.close());

  const limitOf = (points: number, seconds = 60, more: Partial<Limit> = {}): Limit => ({
    name: `test-${randomUUID()}`,
    points,
    seconds,
    ...more,
  });

  it('reject one event too many, with the time to wait', async () => {
    const limit = limitOf(3, 60, { code: 'auth_rate_limited' });
    for (let n = 0; n < 3; n += 1) await rateLimiter.consume(limit, 'a');
    const error = await rateLimiter.consume(limit, 'a').catch((reason) => reason);
    expect(error).toMatchObject({ status: 429, code: 'auth_rate_limited' });
    expect(error.retryAfterSeconds).toBeGreaterThan(50);
    expect(error.retryAfterSeconds).toBeLessThanOrEqual(60);
    await rateLimiter.consume(limit, 'b');
  });

  it('count 30 concurrent events exactly', async () => {
    const limit = limitOf(10);
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => rateLimiter.consume(limit, 'a')));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  });

  it('report whether an event was within the limit', async () => {
    const limit = limitOf(2);
    const results = [];
    for (let n = 0; n < 4; n += 1) results.push(await rateLimiter.tryConsume(limit, 'a'));
    expect(results).toEqual([true, true, false, false]);
  });

  it('reset after the window', async () => {
    const limit = limitOf(1, 1);
    await rateLimiter.consume(limit, 'a');
    await expect(rateLimiter.consume(limit, 'a')).rejects.toMatchObject({ status: 429 });
    await sleep(1100);
    await rateLimiter.consume(limit, 'a');
  });

  it('refund one event, or reset all', async () => {
    const limit = limitOf(1);
    await rateLimiter.consume(limit, 'a');
    await rateLimiter.refund(limit, 'a');
    await rateLimiter.consume(limit, 'a');
    await expect(rateLimiter.consume(limit, 'a')).rejects.toMatchObject({ status: 429 });
    await rateLimiter.reset(limit, 'a');
    await rateLimiter.consume(limit, 'a');
  });

  it('report whether they are exceeded without counting', async () => {
    const limit = limitOf(1);
    for (let n = 0; n < 3; n += 1) {
      expect(await rateLimiter.isExceeded(limit, 'a')).toBe(false);
      await rateLimiter.throwIfExceeded(limit, 'a');
    }
    await rateLimiter.consume(limit, 'a');
    expect(await rateLimiter.isExceeded(limit, 'a')).toBe(true);
    await expect(rateLimiter.throwIfExceeded(limit, 'a')).rejects.toMatchObject({ status: 429 });
  });

  it('block for longer if configured', async () => {
    const limit = limitOf(1, 1, { blockSeconds: 60 });
    await rateLimiter.consume(limit, 'a');
    await expect(rateLimiter.consume(limit, 'a')).rejects.toMatchObject({ status: 429 });
    await sleep(1100);
    await expect(rateLimiter.consume(limit, 'a')).rejects.toMatchObject({ status: 429 });
  });

  it('accept any text as a key, and separate names', async () => {
    const [one, other] = [limitOf(1), limitOf(1)];
    for (const key of ['', ':', "' OR 1=1", 'ü'.repeat(100), '::1']) {
      await rateLimiter.consume(one, key);
      await rateLimiter.consume(other, key);
      expect(await rateLimiter.isExceeded(one, key)).toBe(true);
    }
  });

  it('are shared between servers', async () => {
    if (store.name === 'SQLite') {
      expect(await server.base.db.rateLimit.count()).toBe(0); // a single process counts in memory
      return;
    }
    const secondServer = await startServer({ sharedWith: server });
    try {
      const limit = limitOf(10);
      const results = await Promise.allSettled(
        Array.from({ length: 30 }, (_, n) => (n % 2 ? rateLimiter : secondServer.base.rateLimiter).consume(limit, 'a')),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    } finally {
      await secondServer.close();
    }
  });
});
