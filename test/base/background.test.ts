import { expect, it } from 'vitest';
import { createBackground } from '../../src/base/background.js';

it('waits for running tasks and for those that they start', async () => {
  const background = createBackground({ log: { error: () => {} } });
  const finished: string[] = [];
  const step = (name: string) => async () => {
    await new Promise((resolve) => setImmediate(resolve));
    finished.push(name);
  };
  background.run('outer', async () => {
    await step('outer')();
    background.run('inner', step('inner'));
  });
  await background.waitUntilIdle();
  expect(finished).toEqual(['outer', 'inner']);
});

it('logs the error of a task under its name', async () => {
  const logged: unknown[] = [];
  const background = createBackground({ log: { error: (entry: unknown) => void logged.push(entry) } });
  background.run('mail', async () => Promise.reject(new Error('no response')));
  await background.waitUntilIdle();
  expect(logged).toEqual([{ error: new Error('no response'), task: 'mail' }]);
});
