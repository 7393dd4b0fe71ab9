/**
 * The queue that every hash passes: hashing takes all of a core for a good while, and more at once
 * would only take longer each.
 */
import { serviceUnavailable } from '../../base/app-error.js';
import { createSemaphore } from '../../base/semaphore.js';

/**
 * libuv has four threads, unless its user says otherwise before the process starts: one stays for
 * files and name look-ups.
 */
const MAX_CONCURRENT = 3;
/** More hashes than this waiting for a core means seconds of delay: better a clear 503. */
const MAX_WAITING = 100;

/** One hash for each core, shared fairly by the server processes of this machine. */
export const hashConcurrency = (cores: number, processes: number) =>
  Math.min(MAX_CONCURRENT, Math.max(1, Math.floor(cores / processes)));

/**
 * Runs at most `width` jobs at once; refuses those that would wait behind more than `maxWaiting`
 * others. A job whose request has gone runs all the same: what came before it is no longer than the
 * queue.
 */
export function createHashingQueue(width: number, maxWaiting = MAX_WAITING) {
  const turns = createSemaphore(width);

  return { run };

  async function run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (turns.waiting() >= maxWaiting) throw serviceUnavailable('Too many sign-ins at once. Please try again.');
    return turns.run(job);
  }
}
