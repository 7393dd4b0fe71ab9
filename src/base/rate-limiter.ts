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

/** Allows `points` events in `seconds`, and then no event for `blockSeconds`. */
export interface Limit {
  name: string;
  points: number;
  seconds: number;
  /** How long events are rejected once the limit is exceeded. Default: the rest of the window. */
  blockSeconds?: number;
  /** The code of the error. */
  code?: string;
}

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
 * cannot be reached.
 */
export function createRateLimiter(store: RateLimitStore): RateLimiter {
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
      if (state && state.consumedPoints >= limit.points) throw exceededError(limit, state);
    },
    async isExceeded(limit, key) {
      const state = await queryStore(() => limiterFor(limit).get(key));
      return state !== null && state.consumedPoints >= limit.points;
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
      limiter = createLimiter(limit, store);
      limiters.set(limit.name, limiter);
    }
    return limiter;
  }
}

const unavailableError = (cause: unknown) => serviceUnavailable('The rate limiter is unavailable.', cause);

const exceededError = (limit: Limit, state: RateLimiterRes) => rateLimited(stateOf(limit, state), limit.code);

const stateOf = ({ points }: Limit, { remainingPoints, msBeforeNext }: RateLimiterRes): LimitState => ({
  limit: points,
  remaining: Math.max(0, remainingPoints),
  resetSeconds: Math.max(1, Math.ceil(msBeforeNext / SECOND_MS)),
});

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
