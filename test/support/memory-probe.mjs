// Loaded into a server that is measured. At SIGUSR2 it throws away what nobody needs any more, and
// then tells among the lines of the log what is left: `heap` with what hangs on it outside, and
// `process` as the machine counts it, both in bytes.
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Connections that have just been closed are still held for a moment. */
const SETTLED_MS = 500;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

process.on('SIGUSR2', async () => {
  await sleep(SETTLED_MS);
  collectGarbage();
  await sleep(SETTLED_MS); // finalizers run, and may let more go
  collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ msg: 'memory', heap: heapUsed + external, process: rss })}\n`);
});
