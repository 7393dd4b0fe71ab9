// A clock that goes as ever, and for one step of a test is ahead.

export function movableClock() {
  let aheadMs = 0;
  return { clock: { now: () => new Date(Date.now() + aheadMs) }, later };

  /** Some time later, and then now again. */
  async function later<Result>(ms: number, run: () => Promise<Result>): Promise<Result> {
    aheadMs = ms;
    try {
      return await run();
    } finally {
      aheadMs = 0;
    }
  }
}
