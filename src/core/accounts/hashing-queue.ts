/**
 * Limits how many passwords are hashed at the same time. Each hash occupies a core, so more hashes
 * in parallel would only slow down all of them. Networks take turns.
 */
import { createFairQueue } from '../../base/fair-queue.js';
import { networkKey } from '../../base/ip-address.js';
import type { RequestMeta } from '../../base/request-meta.js';

/** libuv has four threads by default. One of them is left for files and DNS. */
const MAX_CONCURRENT = 3;

export interface HashingQueueOptions {
  maxConcurrent: number;
  maxWaiting: number;
  maxWaitingPerNetwork: number;
}

/**
 * Returns how many hashes one process can compute at the same time. All processes share the cores.
 */
export const hashConcurrency = (cores: number, processes: number) =>
  Math.min(MAX_CONCURRENT, Math.max(1, Math.floor(cores / processes)));

/**
 * Creates a queue whose `run` throws `AppError` `temporarily_unavailable` if too many jobs wait.
 * The queue is short, so a waiting job runs even if its request was aborted.
 */
export function createHashingQueue({ maxConcurrent, maxWaiting, maxWaitingPerNetwork }: HashingQueueOptions) {
  const queue = createFairQueue({
    maxConcurrent,
    maxWaiting,
    maxWaitingPerKey: maxWaitingPerNetwork,
    bounds: {
      all: { name: 'MAX_WAITING_PASSWORDS', message: 'Too many sign-ins at the same time. Try again in a moment.' },
      perKey: {
        name: 'MAX_WAITING_PASSWORDS_PER_NETWORK',
        message: 'Too many sign-ins from this network at the same time. Try again in a moment.',
      },
    },
  });

  return { run };

  async function run<Result>({ address }: Pick<RequestMeta, 'address'>, job: () => Promise<Result>): Promise<Result> {
    return queue.run(networkKey(address), job);
  }
}
