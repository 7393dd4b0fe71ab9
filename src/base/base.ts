/**
 * Opens everything outside the process according to the configuration, and closes it in reverse
 * order.
 */

import { isLoopback } from '../kit/loopback.js';
import { createBackground } from './background.js';
import { type Clock, systemClock } from './clock.js';
import type { Config } from './config.js';
import { migrate } from './db/migrate.js';
import { openDatabase, parseDatabaseUrl } from './db/open.js';
import type { Prepared } from './db/prepared.js';
import { createTransact } from './db/transaction.js';
import { openInvalidationBus } from './invalidation-bus.js';
import type { Log } from './log.js';
import { createMailer } from './mailer.js';
import { loadSecrets } from './master-secret.js';
import { createRateLimiter, type RateLimitStore } from './rate-limiter.js';
import type { Redis } from './redis.js';
import { createSafeFetch } from './safe-fetch.js';

export type Base = Awaited<ReturnType<typeof openBase>>;

/**
 * Migrates and opens the database, and connects to Redis if configured. Rejects with a message for
 * the operator.
 */
export async function openBase(config: Config, { log, clock = systemClock }: { log: Log; clock?: Clock }) {
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const secrets = loadSecrets(config);
    const migrations = await migrate(config.databaseUrl).catch((error) => {
      throw new Error(databaseErrorMessage(config.databaseUrl, error), { cause: error });
    });
    if (migrations.length > 0) log.info({ applied: migrations }, 'applied migrations');
    // Prisma and the prepared statements share the configured number of connections.
    const poolSize = Math.ceil(config.databasePool / 2);
    const db = await openDatabase(config.databaseUrl, { poolSize });
    closers.unshift(() => db.$disconnect());
    const transact = createTransact({ db, log });
    const background = createBackground({ log });
    const prepared = await connectPrepared(poolSize);
    const redis = config.redisUrl ? await connectRedis(config.redisUrl) : undefined;
    const { databaseUrl, redisUrl, redisPrefix } = config;
    const invalidationBus = await openInvalidationBus({ db, databaseUrl, redisUrl, redisPrefix, log });
    closers.unshift(() => invalidationBus.close());
    const rateLimiter = createRateLimiter(rateLimitStore(redis, prepared), config.limits);
    const fetch = createSafeFetch({
      privateHosts: config.fetchPrivateHosts,
      allowLoopback: isLoopback(new URL(config.issuer).hostname),
    });
    const mailer = createMailer({ config, log, clock });
    closers.unshift(() => mailer.close());
    return {
      config,
      log,
      clock,
      background,
      secrets,
      db,
      transact,
      prepared,
      redis,
      invalidationBus,
      rateLimiter,
      fetch,
      mailer,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }

  /** Returns undefined on SQLite, for which the PostgreSQL driver is not loaded. */
  async function connectPrepared(poolSize: number): Promise<Prepared | undefined> {
    if (parseDatabaseUrl(config.databaseUrl).provider === 'sqlite') return undefined;
    const { openPrepared } = await import('./db/prepared.js');
    const prepared = openPrepared(config.databaseUrl, { poolSize });
    closers.unshift(() => prepared.close());
    return prepared;
  }

  /** Returns a store that all processes share. One process on SQLite needs only its memory. */
  function rateLimitStore(redis: Redis | undefined, prepared: Prepared | undefined): RateLimitStore {
    if (redis) return { kind: 'redis', redis, prefix: config.redisPrefix };
    return prepared ? { kind: 'postgresql', pool: prepared.pool } : { kind: 'memory' };
  }

  /** Connects to Redis, and loads its driver only now. */
  async function connectRedis(url: string): Promise<Redis> {
    const { closeRedis, openRedis } = await import('./redis.js');
    const redis = await openRedis(url, { log });
    closers.unshift(() => closeRedis(redis));
    return redis;
  }

  async function close(): Promise<void> {
    for (const closer of closers.splice(0)) await closer();
  }
}

/** Returns a message with the location of the database, but without the password in its URL. */
function databaseErrorMessage(databaseUrl: string, error: Error): string {
  const { code } = error as { code?: string };
  if (!code) return error.message;
  const target = parseDatabaseUrl(databaseUrl);
  const location = target.provider === 'sqlite' ? target.path : new URL(target.url).host;
  const advice = /malformed|not a database/.test(error.message)
    ? `remove ${location}, ${location}-wal and ${location}-shm, and restore a backup`
    : 'check DATABASE_URL';
  return `the database at ${location} cannot be used: ${error.message || code}; ${advice}`;
}
