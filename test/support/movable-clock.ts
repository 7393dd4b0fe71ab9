// A clock that runs at the usual speed and that a test can move ahead.

export function movableClock() {
  let aheadMs = 0;
  return { clock: { now: () => new Date(Date.now() + aheadMs) }, advance, later, reset };

  /** Moves the clock ahead, until `reset`. Moves add up. */
  function advance(ms: number): void {
    aheadMs += ms;
  }

  /** Runs a step with the clock ahead, then moves it back. */
  async function later<Result>(ms: number, run: () => Promise<Result>): Promise<Result> {
    aheadMs += ms;
    try {
      return await run();
    } finally {
      aheadMs -= ms;
    }
  }

  /** Returns to the present. */
  function reset(): void {
    aheadMs = 0;
  }
}
