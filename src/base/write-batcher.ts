/**
 * Collects writes for a short time, so that the writes of many requests are stored together and no
 * request waits for them.
 */

/**
 * Creates a batcher that calls `write` at most once per `delayMs`. `write` must not reject: it
 * keeps what it could not store and schedules again.
 */
export function createWriteBatcher(delayMs: number, write: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let lastWrite: Promise<void> = Promise.resolve();

  return { schedule, flush };

  /** Schedules a write, unless one is scheduled. */
  function schedule(): void {
    // The timer does not keep the process alive, because shutdown calls flush().
    timer ??= setTimeout(() => void flush(), delayMs).unref();
  }

  /** Writes immediately, or after the write that is in progress. */
  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    lastWrite = lastWrite.then(write);
    await lastWrite;
  }
}
