/**
 * Limits how many jobs run at the same time. p-limit would add two dependencies for these lines.
 */

/** Creates a semaphore. Jobs beyond `maxConcurrent` wait in the order of their calls. */
export function createSemaphore(maxConcurrent: number) {
  const queue: (() => void)[] = [];
  let running = 0;

  return { run };

  async function run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (running >= maxConcurrent) await new Promise<void>((resolve) => queue.push(resolve));
    else running += 1;
    try {
      return await job();
    } finally {
      const next = queue.shift();
      if (next) next();
      else running -= 1;
    }
  }
}
