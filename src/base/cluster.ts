/**
 * Several server processes behind one port: starts them, replaces one that dies, stops them all.
 * Knows nothing of what they do.
 */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './log.js';

interface Deps {
  count: number;
  /** What they are given on top of our own environment. */
  environment: Record<string, string>;
  /** How long one may take to stop before it is killed. */
  stopTimeoutMs: number;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 5000;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Whether this is the only process, or the one that does what only one should. The others begin
 * when it listens.
 */
export const isFirstProcess = () => cluster.isPrimary || cluster.worker?.id === 1;

/**
 * The first alone, so that what is wrong is told once, then the rest. Resolves to false when one
 * cannot start: all are stopped then.
 */
export async function superviseProcesses({ count, environment, stopTimeoutMs, log }: Deps): Promise<boolean> {
  let stopping = false;
  for (const signal of SIGNALS) process.on(signal, () => stopAll(signal));

  const started = (await start()) && (await Promise.all(Array.from({ length: count - 1 }, start))).every(Boolean);
  if (started || stopping) return true;
  stopAll('a process could not start');
  return false;

  /** Resolves when it listens, or to false when it ends before that. */
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

  async function replace(dead: Worker, reason: string | number): Promise<void> {
    if (stopping) return;
    log.error({ pid: dead.process.pid, reason }, 'a process ended; another one takes its place');
    for (let waitMs = RETRY_FIRST_MS; !stopping && !(await start()); waitMs = Math.min(2 * waitMs, RETRY_LAST_MS)) {
      log.warn('a process could not start; trying again');
      await sleep(waitMs);
    }
  }

  /** A terminal and npm may both send the signal, to us and to the others: the first one counts. */
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
