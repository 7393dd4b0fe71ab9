// Rate limits that reserve events in batches: exact, with few store calls.
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/app-error.js';
import { createBatchedRateLimit } from '../../src/base/batched-rate-limit.js';
import { createRateLimiter, type Limit, type RateLimiter } from '../../src/base/rate-limiter.js';
import { concurrently } from '../support/token-family.js';

function createLimits(points: number, seconds = 60) {
  const shared = createRateLimiter({ kind: 'memory' });
  const limit: Limit = { name: `test-${Math.random()}`, points, seconds };
  let storeCalls = 0;
  const rateLimiter: Pick<RateLimiter, 'consume'> = {
    async consume(...args) {
      storeCalls += 1;
      await new Promise(setImmediate);
      return shared.consume(...args);
    },
  };
  return {
    limit,
    one: createBatchedRateLimit({ rateLimiter, limit }),
    other: createBatchedRateLimit({ rateLimiter, limit }),
    storeCalls: () => storeCalls,
  };
}

async function countAllowed(times: number, consume: (n: number) => Promise<unknown>): Promise<number> {
  const outcomes = await concurrently(times, (n) =>
    consume(n).then(
      () => true,
      (error: unknown) => {
        if (error instanceof AppError && error.status === 429) return false;
        throw error;
      },
    ),
  );
  return outcomes.filter(Boolean).length;
}

describe('createBatchedRateLimit', () => {
  it('allows exactly the limit for concurrent events, with 60 store calls', async () => {
    const { one, storeCalls } = createLimits(6000);
    expect(await countAllowed(7000, () => one.consume('a'))).toBe(6000);
    expect(storeCalls()).toBe(61);
    expect(await countAllowed(100, () => one.consume('a'))).toBe(0);
    expect(storeCalls()).toBe(61); // an exhausted limit needs no store call
    expect(await countAllowed(1, () => one.consume('b'))).toBe(1);
  });

  it('shares the limit between processes', async () => {
    const { one, other } = createLimits(600);
    expect(await countAllowed(2000, (n) => (n % 2 ? one : other).consume('a'))).toBe(600);
  });

  it('is exact for a small limit, and returns the remaining events', async () => {
    const { one } = createLimits(3);
    const states = [await one.consume('a'), await one.consume('a'), await one.consume('a')];
    expect(states.map(({ limit, remaining }) => [limit, remaining])).toEqual([
      [3, 2],
      [3, 1],
      [3, 0],
    ]);
    for (const { resetSeconds } of states) expect(resetSeconds).toBeLessThanOrEqual(60);
    await expect(one.consume('a')).rejects.toMatchObject({ status: 429, limit: { limit: 3, remaining: 0 } });
  });

  it('resets after the window', async () => {
    const { one } = createLimits(2, 1);
    expect(await countAllowed(3, () => one.consume('a'))).toBe(2);
    await expect.poll(() => countAllowed(1, () => one.consume('a')), { timeout: 5000, interval: 100 }).toBe(1);
  });

  it('fails while the store is unavailable, and works again afterwards', async () => {
    const shared = createRateLimiter({ kind: 'memory' });
    let isUnavailable = true;
    const rateLimiter: Pick<RateLimiter, 'consume'> = {
      consume: async (...args) => {
        if (isUnavailable) throw new AppError(503, 'temporarily_unavailable', 'unavailable');
        return shared.consume(...args);
      },
    };
    const one = createBatchedRateLimit({ rateLimiter, limit: { name: 'test-outage', points: 5, seconds: 60 } });
    await expect(one.consume('a')).rejects.toMatchObject({ status: 503 });
    isUnavailable = false;
    expect((await one.consume('a')).remaining).toBe(4);
  });
});
