/**
 * Runs several server processes on one port: starts them, replaces a process that exits, and stops
 * them all. pm2 would also manage logs and restarts, which systemd and containers do.
 */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './log.js';

interface Options {
  /** The number of server processes. */
  count: number;
  /** Environment variables for the processes, in addition to those of this process. */
  environment: Record<string, string>;
  /** Time after which a stopping process is killed. */
  stopTimeoutMs: number;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const MIN_RETRY_DELAY_MS = 100;
const MAX_RETRY_DELAY_MS = 5000;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Reports whether this process runs the tasks that must run only once: it is the only process, or
 * the first server process. The others start when it listens.
 */
export const isFirstProcess = () => cluster.isPrimary || cluster.worker?.id === 1;

/**
 * Starts the first process alone, so that a configuration error is printed once, and then the
 * others. Resolves to false if one cannot start; the others are stopped then.
 */
export async function superviseProcesses({ count, environment, stopTimeoutMs, log }: Options): Promise<boolean> {
  let stopping = false;
  for (const signal of SIGNALS) process.on(signal, () => stopAll(signal));

  const started = (await start()) && (await Promise.all(Array.from({ length: count - 1 }, start))).every(Boolean);
  if (started || stopping) return true;
  stopAll('a process could not start');
  return false;

  /** Resolves to true when the process listens, and to false when it exits before. */
  function start(): Promise<boolean> {
    const worker = cluster.fork(environment);
    return new Promise((resolve) => {
      worker.once('listening', () => {
        worker.once('exit', (code, signal) => void replace(worker, signal ?? code));
        resolve(true);
      });
      worker.once('exit', () => resolve(false));
    });
  }

  async function replace(exited: Worker, reason: string | number): Promise<void> {
    if (stopping) return;
    log.error({ pid: exited.process.pid, reason }, 'a server process exited; starting another one');
    let delayMs = MIN_RETRY_DELAY_MS;
    while (!stopping && !(await start())) {
      log.warn('the server process could not start; retrying');
      await sleep(delayMs);
      delayMs = Math.min(2 * delayMs, MAX_RETRY_DELAY_MS);
    }
  }

  /** Ignores a second call, because a terminal and npm can both send the signal. */
  function stopAll(reason: string): void {
    if (stopping) return;
    stopping = true;
    log.info({ reason, processes: count }, 'stopping all processes');
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    for (const worker of workers) worker.process.kill('SIGTERM');
    setTimeout(() => {
      for (const worker of workers) worker.process.kill('SIGKILL');
    }, stopTimeoutMs).unref();
  }
}
