/**
 * Limits how many jobs run at the same time, and serves the waiting ones fairly: the keys take
 * turns, so a key with many jobs does not delay the others.
 */
import { serviceUnavailable, withBound } from './app-error.js';

interface FairQueueOptions {
  maxConcurrent: number;
  /** The number of waiting jobs of all keys. */
  maxWaiting: number;
  maxWaitingPerKey: number;
  /** The bounds, as the log and the error of a job that cannot wait name them. */
  bounds: Record<'all' | 'perKey', { name: string; message: string }>;
}

interface WaitingJob {
  start: () => void;
  reject: (error: Error) => void;
}

/**
 * Creates a queue whose `run` throws `AppError` `temporarily_unavailable` if too many jobs of this
 * key wait. If too many jobs wait in all, the newest job of the key with the most loses its place.
 */
export function createFairQueue({ maxConcurrent, maxWaiting, maxWaitingPerKey, bounds }: FairQueueOptions) {
  /** The waiting jobs of each key. The first key is the next. */
  const waiting = new Map<string, WaitingJob[]>();
  let waitingCount = 0;
  let running = 0;

  return { run };

  async function run<Result>(key: string, job: () => Promise<Result>): Promise<Result> {
    if (running >= maxConcurrent) await waitForTurn(key);
    else running += 1;
    try {
      return await job();
    } finally {
      startNext();
    }
  }

  function waitForTurn(key: string): Promise<void> {
    const jobs = waiting.get(key) ?? [];
    if (jobs.length >= maxWaitingPerKey) throw busyError('perKey');
    if (waitingCount >= maxWaiting && !removeFromLongest(jobs.length + 1)) throw busyError('all');
    waitingCount += 1;
    return new Promise((start, reject) => {
      jobs.push({ start, reject });
      waiting.set(key, jobs);
    });
  }

  /** Rejects the newest job of the key with the most jobs, if it has more than `than`. */
  function removeFromLongest(than: number): boolean {
    const [longest = []] = [...waiting.values()].sort((a, b) => b.length - a.length);
    if (longest.length <= than) return false;
    waitingCount -= 1;
    longest.pop()?.reject(busyError('all'));
    return true;
  }

  function busyError(exceeded: 'all' | 'perKey'): Error {
    return withBound(bounds[exceeded].name, serviceUnavailable(bounds[exceeded].message));
  }

  function startNext(): void {
    const [entry] = waiting;
    if (!entry) {
      running -= 1;
      return;
    }
    const [key, jobs] = entry;
    waiting.delete(key);
    const next = jobs.shift();
    if (jobs.length > 0) waiting.set(key, jobs); // behind the other keys
    waitingCount -= 1;
    next?.start();
  }
}
