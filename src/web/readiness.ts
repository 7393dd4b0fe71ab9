/** Readiness: whether the stores respond in time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceUnavailable } from '../base/app-error.js';
import type { Base } from '../base/base.js';

/** Short, because a load balancer waits for the result of the readiness check. */
const STORE_TIMEOUT_MS = 2000;

export type Readiness = ReturnType<typeof createReadiness>;

export function createReadiness({ db, redis }: Pick<Base, 'db' | 'redis'>) {
  return { check };

  /** Throws `AppError` 503 with the name of a store that does not respond in time. */
  async function check(): Promise<void> {
    await respondsInTime('database', () => db.$queryRaw`SELECT 1`);
    if (redis) await respondsInTime('Redis', () => redis.ping());
  }
}

async function respondsInTime(name: string, query: () => Promise<unknown>): Promise<void> {
  const timeout = sleep(STORE_TIMEOUT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('timeout')));
  try {
    await Promise.race([query(), timeout]);
  } catch (cause) {
    throw serviceUnavailable(`The ${name} does not respond.`, cause);
  }
}
