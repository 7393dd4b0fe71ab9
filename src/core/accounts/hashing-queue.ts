/**
 * Limits how many passwords are hashed at the same time. Each hash occupies a core, so more hashes
 * in parallel would only slow down all of them.
 */
import { serviceUnavailable } from '../../base/app-error.js';
import { createSemaphore } from '../../base/semaphore.js';

/** libuv has four threads by default. One of them is left for files and DNS. */
const MAX_CONCURRENT = 3;
/** A longer queue would delay requests for seconds, so further requests get a 503 immediately. */
const MAX_QUEUE_LENGTH = 100;

/**
 * Returns how many hashes one process can compute at the same time. All processes share the cores.
 */
export const hashConcurrency = (cores: number, processes: number) =>
  Math.min(MAX_CONCURRENT, Math.max(1, Math.floor(cores / processes)));

/**
 * Creates a queue whose `run` runs at most `maxConcurrent` jobs at the same time and queues the
 * others. `run` throws `AppError` `temporarily_unavailable` if `maxQueueLength` jobs are queued.
 * The queue is short, so a queued job runs even if its request was aborted.
 */
export function createHashingQueue(maxConcurrent: number, maxQueueLength = MAX_QUEUE_LENGTH) {
  const semaphore = createSemaphore(maxConcurrent);

  return { run };

  async function run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (semaphore.queueLength() >= maxQueueLength) {
      throw serviceUnavailable('Too many sign-ins at the same time. Please try again.');
    }
    return semaphore.run(job);
  }
}
