// Measures the first and the next start on SQLite, and the memory of an idle server.
import { AIMS, measureStarts } from './measure-start.js';
import type { Bench } from './run.js';

const RUNS = 5;

export const start: Bench = async () => {
  const runs = [];
  for (let i = 0; i < RUNS; i += 1) runs.push(await measureStarts());
  const ms = (values: number[], aim: number) => `${Math.round(median(values))} ms (aim: at most ${aim} ms)`;
  return {
    'first start, ready after': ms(
      runs.map(({ first }) => first.readyMs),
      AIMS.firstReadyMs,
    ),
    'next start, ready after': ms(
      runs.map(({ second }) => second.readyMs),
      AIMS.secondReadyMs,
    ),
    'resident memory when idle': `${Math.round(median(runs.map(({ second }) => second.idleBytes)) / 1e6)} MB (aim: at most ${AIMS.idleBytes / 1e6} MB)`,
  };
};

/** Returns the median, of an even number the upper middle value. */
export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
