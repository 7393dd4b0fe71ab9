// Log lines are written completely and in order, however the process exits.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const LOG = fileURLToPath(new URL('../../dist/base/log.js', import.meta.url));

const sourceOf = (body: string) =>
  `import { createLog } from ${JSON.stringify(LOG)}; const log = createLog('info'); ${body}`;

/** Starts a program that logs to standard output. Standard error is for the test. */
function startProgram(body: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', sourceOf(body)], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Starts the program three times on one pipe, whose reader starts after a second. */
function startPrograms(body: string): ChildProcess {
  const one = '"$0" --input-type=module -e "$1"';
  const script = `(${one} & ${one} & ${one}; wait) | (sleep 1; cat)`;
  return spawn('sh', ['-c', script, process.execPath, sourceOf(body)], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function outputOf(child: ChildProcess) {
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk) => {
    output += chunk;
  });
  const [code, signal] = await once(child, 'close');
  const messages = output.split('\n').filter(Boolean);
  return { code, signal, messages: messages.map((line) => JSON.parse(line).msg as string) };
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);
const LOG_MANY = 'for (let n = 0; n < 5000; n += 1) log.info(String(n));';

describe('log lines', () => {
  it.each([
    ['at its end', ''],
    ['by process.exit', 'process.exit(3)'],
    ['because of an uncaught error', "log.info('5000'); setTimeout(() => {}, 1000); throw new Error('a bug')"],
    ['because of a signal', "process.on('SIGTERM', () => process.exit()); process.kill(process.pid, 'SIGTERM')"],
  ])('are complete and in order when a program exits %s', async (_description, end) => {
    const { messages } = await outputOf(startProgram(`${LOG_MANY} ${end}`));
    expect(messages.slice(0, 5000)).toEqual(upTo(5000));
  });

  it('are written before the process continues after a fatal one', async () => {
    const { messages, signal } = await outputOf(
      startProgram(
        "log.info('before'); log.fatal('last'); process.kill(process.pid, 'SIGKILL'); setTimeout(() => {}, 1000)",
      ),
    );
    expect([signal, ...messages]).toEqual(['SIGKILL', 'before', 'last']);
  });

  it('are lost by a kill only if they belong to the current turn', async () => {
    const { messages } = await outputOf(
      startProgram(
        "log.info('before'); setTimeout(() => { log.info('lost'); process.kill(process.pid, 'SIGKILL'); }, 20)",
      ),
    );
    expect(messages).toEqual(['before']);
  });

  it('wait for a slow reader without using memory', async () => {
    const child = startProgram(`
      let n = 0;
      const more = () => { for (const until = n + 100; n < until; n += 1) log.info({ n, padding: 'x'.repeat(1000) }, String(n));
        if (n < 20000) setImmediate(more); else process.stderr.write(String(process.memoryUsage.rss())); };
      more();`);
    let stderr = '';
    child.stderr!.on('data', (chunk) => {
      stderr += chunk;
    });
    await sleep(500);
    expect(stderr).toBe('');
    const { messages } = await outputOf(child);
    expect(messages).toEqual(upTo(20_000));
    expect(Number(stderr)).toBeLessThan(200e6);
  });

  it('stay whole when several processes share a full pipe', async () => {
    const child = startPrograms(`
      let n = 0;
      const more = () => { for (const until = n + 100; n < until; n += 1) log.info({ padding: 'x'.repeat(300) }, String(n));
        if (n < 2000) setImmediate(more); };
      more();`);
    const { messages } = await outputOf(child); // parses each line as JSON
    expect(messages.toSorted()).toEqual([...upTo(2000), ...upTo(2000), ...upTo(2000)].toSorted());
  });

  it('are dropped when the pipe is closed, and the program continues', async () => {
    const child = startProgram(`
      setInterval(() => log.info('more'), 5);
      setTimeout(() => { process.stderr.write('still running'); process.exit(0); }, 500);`);
    child.stdout!.destroy();
    let stderr = '';
    child.stderr!.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(child, 'close');
    expect([code, stderr]).toEqual([0, 'still running']);
  });
});
