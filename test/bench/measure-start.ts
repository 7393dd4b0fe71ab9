/** Measures how long the compiled server takes to start, and how much memory it uses when idle. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Start {
  readyMs: number;
  /** Resident memory after a time without requests, in bytes. */
  idleBytes: number;
}

/** Upper limits that a start should keep. */
export const AIMS = { firstReadyMs: 3000, secondReadyMs: 1200, idleBytes: 130e6 };

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** V8 returns memory some seconds after the last work. */
const SETTLE_MS = 12_000;
const READY_TIMEOUT_MS = 30_000;

/** Measures a start that creates the database and the keys, and one that finds them. */
export async function measureStarts({ settleMs = SETTLE_MS } = {}): Promise<{ first: Start; second: Start }> {
  const folder = mkdtempSync(join(tmpdir(), 'signet-start-'));
  try {
    const first = await measureStart(folder, 0);
    return { first, second: await measureStart(folder, settleMs) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureStart(folder: string, settleMs: number): Promise<Start> {
  const began = performance.now();
  const server = spawn(process.execPath, [...startFlags(), join(ROOT, 'dist/main.js')], {
    cwd: folder, // it has no .env
    env: { DATA_DIR: folder, PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const readyMs = await new Promise<number>((resolve, reject) => {
      let output = '';
      server.stdout.on('data', (chunk) => {
        output += chunk;
        if (output.includes('"msg":"listening"')) resolve(performance.now() - began);
      });
      server.once('exit', () => reject(new Error('the server did not start')));
      AbortSignal.timeout(READY_TIMEOUT_MS).onabort = () => reject(new Error('the server did not start in time'));
    });
    await sleep(settleMs);
    return { readyMs, idleBytes: residentBytes(server.pid!) };
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}

/** Returns the Node flags of `npm start`. */
export function startFlags(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}

function residentBytes(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024;
}
