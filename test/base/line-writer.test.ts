// Log lines are written whole, in order, and however the process ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const LOG = fileURLToPath(new URL('../../dist/base/log.js', import.meta.url));

const sourceOf = (body: string) =>
  `import { createLog } from ${JSON.stringify(LOG)}; const log = createLog('info'); ${body}`;

/** A program that logs, and tells on standard error what is not for the log. */
function program(body: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', sourceOf(body)], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The same program three times, all of them on one pipe, whose reader comes late. */
function programs(body: string): ChildProcess {
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
    ['it is done', ''],
    ['it says so', 'process.exit(3)'],
    ['an error is not caught', "log.info('5000'); setTimeout(() => {}, 1000); throw new Error('a bug')"],
    ['a signal asks it to', "process.on('SIGTERM', () => process.exit()); process.kill(process.pid, 'SIGTERM')"],
  ])('are complete and in order when a program ends because %s', async (_why, end) => {
    const { messages } = await outputOf(program(`${LOG_MANY} ${end}`));
    expect(messages.slice(0, 5000)).toEqual(upTo(5000));
  });

  it('are written before the process continues after a fatal one', async () => {
    const { messages, signal } = await outputOf(
      program(
        "log.info('before'); log.fatal('last'); process.kill(process.pid, 'SIGKILL'); setTimeout(() => {}, 1000)",
      ),
    );
    expect([signal, ...messages]).toEqual(['SIGKILL', 'before', 'last']);
  });

  it('are lost by a kill only if they belong to the current turn', async () => {
    const { messages } = await outputOf(
      program("log.info('before'); setTimeout(() => { log.info('lost'); process.kill(process.pid, 'SIGKILL'); }, 20)"),
    );
    expect(messages).toEqual(['before']);
  });

  it('wait for a slow reader without using memory', async () => {
    const child = program(`
      let n = 0;
      const more = () => { for (const until = n + 100; n < until; n += 1) log.info({ n, padding: 'x'.repeat(1000) }, String(n));
        if (n < 20000) setImmediate(more); else process.stderr.write(String(process.memoryUsage.rss())); };
      more();`);
    let told = '';
    child.stderr!.on('data', (chunk) => {
      told += chunk;
    });
    await sleep(500);
    expect(told).toBe('');
    const { messages } = await outputOf(child);
    expect(messages).toEqual(upTo(20_000));
    expect(Number(told)).toBeLessThan(200e6);
  });

  it('stay whole when several processes share a full pipe', async () => {
    const child = programs(`
      let n = 0;
      const more = () => { for (const until = n + 100; n < until; n += 1) log.info({ padding: 'x'.repeat(300) }, String(n));
        if (n < 2000) setImmediate(more); };
      more();`);
    const { messages } = await outputOf(child); // which reads each line as JSON
    expect(messages.toSorted()).toEqual([...upTo(2000), ...upTo(2000), ...upTo(2000)].toSorted());
  });

  it('are dropped when the pipe is closed, and the program continues', async () => {
    const child = program(`
      setInterval(() => log.info('more'), 5);
      setTimeout(() => { process.stderr.write('still here'); process.exit(0); }, 500);`);
    child.stdout!.destroy();
    let told = '';
    child.stderr!.on('data', (chunk) => {
      told += chunk;
    });
    const [code] = await once(child, 'close');
    expect([code, told]).toEqual([0, 'still here']);
  });
});
