/** Tracks work that continues after the response, so that a stopping process can wait for it. */
import type { Log } from './log.js';

export type Background = ReturnType<typeof createBackground>;

/** Creates the tracker. One instance serves the whole process. */
export function createBackground({ log }: { log: Pick<Log, 'error'> }) {
  const running = new Set<Promise<void>>();

  return { run, waitUntilIdle };

  /** Starts a task without waiting for it. An error is logged under `name`. */
  function run(name: string, task: () => Promise<unknown>): void {
    const finished = task().then(
      () => {},
      (error) => log.error({ error, task: name }, 'a background task failed'),
    );
    running.add(finished);
    void finished.finally(() => running.delete(finished));
  }

  /** Resolves when no task is running, including those that running tasks started. */
  async function waitUntilIdle(): Promise<void> {
    while (running.size > 0) await Promise.all(running);
  }
}
