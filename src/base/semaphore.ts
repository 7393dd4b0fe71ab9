/**
 * Limits how many jobs run at once; the others wait in their order. p-limit would be a dependency
 * with one more below it for these lines.
 */

export function createSemaphore(maxConcurrent: number) {
  const queue: (() => void)[] = [];
  let running = 0;

  return { run, queueLength: () => queue.length };

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
