// Starts a server and loads it with requests. Client and server share the machine, so compare the
// figures only with each other.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFlags } from './measure-start.js';
import { median } from './start.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Load {
  perSecond: number;
  medianMs: number;
  p99Ms: number;
}

/** The settings of a server, in addition to its own folder. */
interface Start {
  settings?: Record<string, string>;
  /** Fills the database before the server starts. Receives all settings. */
  seed?: (environment: Record<string, string>) => Promise<void>;
}

/** Runs `use` against a fresh server on SQLite. */
export async function withServer<Result>(
  use: (server: { origin: string; pid: number }) => Promise<Result>,
  { settings, seed }: Start = {},
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'signet-bench-'));
  const environment = { DATA_DIR: folder, PORT: '0', ...settings };
  await seed?.(environment);
  const server = spawn(process.execPath, [...startFlags(), MAIN], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const port = await new Promise<number>((resolve, reject) => {
      let output = '';
      server.stdout.on('data', (chunk) => {
        output = `${output}${chunk}`.slice(-10_000);
        const found = /"port":(\d+).*"msg":"listening"/.exec(output)?.[1];
        if (found) resolve(Number(found));
      });
      server.once('exit', () => reject(new Error('the server did not start')));
    });
    return await use({ origin: `http://localhost:${port}`, pid: server.pid! });
  } finally {
    server.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests one page repeatedly, `inFlight` at a time. Throws if a response is not 200. */
export async function measurePage(url: string, { inFlight = 16, seconds = 4 } = {}): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const began = performance.now();
  const until = began + seconds * 1000;
  const times: number[] = [];
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (performance.now() < until) times.push(await getPage(url, agent));
    }),
  );
  agent.destroy();
  const sorted = times.sort((a, b) => a - b);
  const took = (performance.now() - began) / 1000;
  return {
    perSecond: Math.round(sorted.length / took),
    medianMs: median(sorted),
    p99Ms: sorted[Math.floor(sorted.length * 0.99)]!,
  };
}

function getPage(url: string, agent: Agent): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { accept: 'text/html' } }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - began);
        else reject(new Error(`${url} returned ${response.statusCode}`));
      });
    }).once('error', reject);
  });
}
