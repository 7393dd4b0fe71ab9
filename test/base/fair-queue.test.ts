// The fair queue: keys take turns, and the key with the most waiting jobs loses first.

import { describe, expect, it } from 'vitest';
import { createFairQueue } from '../../src/base/fair-queue.js';

const BOUNDS = { all: { name: 'ALL', message: 'Busy.' }, perKey: { name: 'KEY', message: 'Busy key.' } };
const LIMITS = { maxConcurrent: 1, maxWaiting: 6, maxWaitingPerKey: 4, bounds: BOUNDS };

/** Runs a job for each key, in this order. Returns the keys in the order of their execution. */
async function orderOf(keys: string, limits = LIMITS): Promise<string> {
  const queue = createFairQueue(limits);
  let order = '';
  const job = (key: string) => async () => {
    await new Promise(setImmediate);
    order += key;
  };
  await Promise.allSettled([...keys].map((key) => queue.run(key, job(key))));
  return order;
}

describe('a fair queue', () => {
  it.each([
    ['runs the jobs of one key in order', 'aaa', 'aaa'],
    ['lets two keys take turns', 'aaaabb', 'aababa'],
    ['lets three keys take turns', 'aaabc', 'aabca'],
    ['runs the only job of a key after at most one job of each other key', 'aaaab', 'aabaa'],
    ['rejects jobs of a key above its limit', 'aaaaaaaaaa', 'aaaaa'],
    ['rejects the newest job of the key with the most when it is full', 'aaaaabbbc', 'aabcabb'],
  ])('%s', async (_, keys, order) => {
    expect(await orderOf(keys)).toBe(order);
  });

  it.each([
    [{ maxWaitingPerKey: 0 }, { bound: 'KEY', message: 'Busy key.' }],
    [{ maxWaiting: 0 }, { bound: 'ALL', message: 'Busy.' }],
  ])('rejects with 503 and names the bound: %j', async (limits, expected) => {
    const queue = createFairQueue({ ...LIMITS, ...limits });
    void queue.run('a', () => new Promise(setImmediate));
    await expect(queue.run('a', async () => {})).rejects.toMatchObject({ status: 503, ...expected });
  });

  it('continues after a job fails', async () => {
    const queue = createFairQueue(LIMITS);
    const failing = queue.run('a', () => Promise.reject(new Error('failed')));
    const next = queue.run('a', async () => 'done');
    await expect(failing).rejects.toThrow('failed');
    expect(await next).toBe('done');
  });
});
