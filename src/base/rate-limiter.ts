/** Counts events per time window: in memory for one process, in Redis or PostgreSQL for several. */
import type { Redis } from 'ioredis';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { AppError, type LimitState, rateLimited, serviceUnavailable } from './app-error.js';
import { SECOND_MS } from './clock.js';
import type { Limit } from './limits.js';

export type { Limit } from './limits.js';

export interface RateLimiter {
  /**
   * Consumes one or more events. Throws `AppError` 429 if the limit is exceeded.
   */
  consume(limit: Limit, key: string, events?: number): Promise<LimitState>;
  /**
   * Consumes one event and reports whether it was within the limit. For optional work that is
   * skipped silently.
   */
  tryConsume(limit: Limit, key: string): Promise<boolean>;
  /** Refunds one event that turned out to be harmless. */
  refund(limit: Limit, key: string): Promise<void>;
  /** Resets the counter of a key. */
  reset(limit: Limit, key: string): Promise<void>;
  /** Throws the error of `consume` without consuming an event. */
  throwIfExceeded(limit: Limit, key: string): Promise<void>;
  /** Reports whether `consume` would throw. */
  isExceeded(limit: Limit, key: string): Promise<boolean>;
}

export type RateLimitStore =
  | { kind: 'memory' }
  | { kind: 'redis'; redis: Redis; prefix: string }
  | { kind: 'postgresql'; pool: object };

/**
 * Creates a rate limiter. Its functions throw `AppError` `temporarily_unavailable` if the store
 * cannot be reached. `changedPoints` replaces the points of limits, by their names.
 */
export function createRateLimiter(
  store: RateLimitStore,
  changedPoints: Readonly<Record<string, number>> = {},
): RateLimiter {
  const limiters = new Map<string, RateLimiterAbstract>();

  return {
    consume,
    async tryConsume(limit, key) {
      return consume(limit, key).then(
        () => true,
        (error: unknown) => {
          if (error instanceof AppError && error.status === 429) return false;
          throw error;
        },
      );
    },
    async refund(limit, key) {
      await queryStore(() => limiterFor(limit).reward(key));
    },
    async reset(limit, key) {
      await queryStore(() => limiterFor(limit).delete(key));
    },
    async throwIfExceeded(limit, key) {
      const state = await queryStore(() => limiterFor(limit).get(key));
      if (state && state.consumedPoints >= pointsOf(limit)) throw exceededError(limit, state);
    },
    async isExceeded(limit, key) {
      const state = await queryStore(() => limiterFor(limit).get(key));
      return state !== null && state.consumedPoints >= pointsOf(limit);
    },
  };

  async function consume(limit: Limit, key: string, events = 1): Promise<LimitState> {
    try {
      return stateOf(limit, await limiterFor(limit).consume(key, events));
    } catch (error) {
      if (error instanceof RateLimiterRes) throw exceededError(limit, error);
      throw unavailableError(error);
    }
  }

  function limiterFor(limit: Limit): RateLimiterAbstract {
    let limiter = limiters.get(limit.name);
    if (!limiter) {
      limiter = createLimiter({ ...limit, points: pointsOf(limit) }, store);
      limiters.set(limit.name, limiter);
    }
    return limiter;
  }

  function pointsOf({ name, points }: Limit): number {
    return changedPoints[name] ?? points;
  }

  function exceededError(limit: Limit, state: RateLimiterRes): AppError {
    return rateLimited(stateOf(limit, state), limit);
  }

  function stateOf(limit: Limit, { remainingPoints, msBeforeNext }: RateLimiterRes): LimitState {
    return {
      name: limit.name,
      limit: pointsOf(limit),
      remaining: Math.max(0, remainingPoints),
      resetSeconds: Math.max(1, Math.ceil(msBeforeNext / SECOND_MS)),
    };
  }
}

const unavailableError = (cause: unknown) => serviceUnavailable('The rate limiter is unavailable.', cause);

async function queryStore<Result>(query: () => Promise<Result>): Promise<Result> {
  try {
    return await query();
  } catch (error) {
    throw unavailableError(error);
  }
}

function createLimiter({ name, points, seconds, blockSeconds }: Limit, store: RateLimitStore): RateLimiterAbstract {
  const options = { keyPrefix: name, points, duration: seconds, blockDuration: blockSeconds ?? 0 };
  switch (store.kind) {
    case 'memory':
      return new RateLimiterMemory(options);
    case 'redis':
      return new RateLimiterRedis({
        ...options,
        keyPrefix: `${store.prefix}limit:${name}`,
        storeClient: store.redis,
        rejectIfRedisNotReady: true,
      });
    case 'postgresql':
      return new RateLimiterPostgres({
        ...options,
        storeClient: store.pool,
        storeType: 'pool',
        tableName: 'RateLimit',
        tableCreated: true, // by our migrations
        clearExpiredByTimeout: false, // the cleanup job deletes expired rows
      });
  }
}
