/**
 * Limits how many passwords are hashed at once. Each hash occupies a core for a while, so more of
 * them in parallel only make all of them slower.
 */
import { serviceUnavailable } from '../../base/app-error.js';
import { createSemaphore } from '../../base/semaphore.js';

/** libuv has four threads by default. One stays free for files and DNS. */
const MAX_CONCURRENT = 3;
/** A longer queue means seconds of delay, so further requests get a 503 at once. */
const MAX_WAITING = 100;

/** Returns one hash for each core, divided among the server processes of this machine. */
export const hashConcurrency = (cores: number, processes: number) =>
  Math.min(MAX_CONCURRENT, Math.max(1, Math.floor(cores / processes)));

/**
 * Returns `run`, which runs at most `width` jobs at once and queues the others. It throws
 * `AppError` `service_unavailable` if `maxWaiting` jobs are queued. A queued job runs even if its
 * request was aborted: the queue is short.
 */
export function createHashingQueue(width: number, maxWaiting = MAX_WAITING) {
  const semaphore = createSemaphore(width);

  return { run };

  async function run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (semaphore.queueLength() >= maxWaiting) throw serviceUnavailable('Too many sign-ins at once. Please try again.');
    return semaphore.run(job);
  }
}
