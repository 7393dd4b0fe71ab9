/**
 * Writing a little later: what many requests leave behind is written together, so that none of them
 * waits for it.
 */

/** `write` must not reject; what it could not write it keeps, and asks for again. */
export function createFlushTimer(afterMs: number, write: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  return { schedule, flush };

  /**
   * After a while, unless that is planned already. A process that has nothing else to do does not
   * wait for it.
   */
  function schedule(): void {
    timer ??= setTimeout(() => void flush(), afterMs).unref();
  }

  /** At once, but never two at a time. */
  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(write);
    await writing;
  }
}
