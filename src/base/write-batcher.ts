/**
 * Delays writes, so that the writes of many requests are stored together and no request waits for
 * them.
 */

/**
 * Creates a timer. `write` must not reject: it keeps what it could not store and schedules again.
 */
export function createWriteBatcher(afterMs: number, write: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  return { schedule, flush };

  /** Schedules a write, unless one is scheduled. The timer does not keep the process alive. */
  function schedule(): void {
    timer ??= setTimeout(() => void flush(), afterMs).unref();
  }

  /** Writes now, after a write that is running. */
  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(write);
    await writing;
  }
}
