// Loaded into a server whose memory is measured. On SIGUSR2 it collects garbage and writes a log
// line with `heap` (including external memory) and `process` (resident set size), both in bytes.
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Connections are released a moment after they close. */
const SETTLED_MS = 500;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

process.on('SIGUSR2', async () => {
  await sleep(SETTLED_MS);
  collectGarbage();
  await sleep(SETTLED_MS); // finalizers run, which can release more
  collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ msg: 'memory', heap: heapUsed + external, process: rss })}\n`);
});
