/** Readiness: whether the stores respond in time, and Redis accepts writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceUnavailable } from '../base/app-error.js';
import type { Base } from '../base/base.js';

/** Short, because a load balancer waits for the result of the readiness check. */
const STORE_TIMEOUT_MS = 2000;

export type Readiness = ReturnType<typeof createReadiness>;

export function createReadiness({ db, redis, config }: Pick<Base, 'db' | 'redis' | 'config'>) {
  return { check };

  /** Throws `AppError` 503 with the name of a store that cannot be used. */
  async function check(): Promise<void> {
    await succeedsInTime('The database does not respond.', () => db.$queryRaw`SELECT 1`);
    if (!redis) return;
    // A full Redis still responds to PING.
    const write = () => redis.set(`${config.redisPrefix}readiness`, '', 'PX', STORE_TIMEOUT_MS);
    await succeedsInTime('Redis does not respond, or rejects writes.', write);
  }
}

async function succeedsInTime(message: string, query: () => Promise<unknown>): Promise<void> {
  const timeout = sleep(STORE_TIMEOUT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('timeout')));
  try {
    await Promise.race([query(), timeout]);
  } catch (cause) {
    throw serviceUnavailable(message, cause);
  }
}
