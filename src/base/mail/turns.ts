/** Lets at most `width` jobs run at once; the others wait in the order in which they came. */
export function createTurns(width: number) {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async function takeTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
