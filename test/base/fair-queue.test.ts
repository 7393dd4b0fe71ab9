// The fair queue: keys take turns, and the key with the most waiting jobs loses first.

import { describe, expect, it } from 'vitest';
import { createFairQueue } from '../../src/base/fair-queue.js';

const LIMITS = { maxConcurrent: 1, maxWaiting: 6, maxWaitingPerKey: 4, busyMessage: 'Busy.' };

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

  it('rejects with 503 and its message', async () => {
    const queue = createFairQueue({ ...LIMITS, maxWaitingPerKey: 0 });
    void queue.run('a', () => new Promise(setImmediate));
    await expect(queue.run('a', async () => {})).rejects.toMatchObject({ status: 503, message: 'Busy.' });
  });

  it('continues after a job fails', async () => {
    const queue = createFairQueue(LIMITS);
    const failing = queue.run('a', () => Promise.reject(new Error('failed')));
    const next = queue.run('a', async () => 'done');
    await expect(failing).rejects.toThrow('failed');
    expect(await next).toBe('done');
  });
});
