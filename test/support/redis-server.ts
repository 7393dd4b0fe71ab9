// A Redis server of a single test.
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { vi } from 'vitest';
import { freePort } from './store-servers.js';

/** Starts a server with these flags, on a free port unless they have `--port`. */
export async function startRedis(...flags: string[]): Promise<{ url: string; stop(): Promise<void> }> {
  const portFlag = flags.indexOf('--port');
  const port = portFlag < 0 ? await freePort() : Number(flags[portFlag + 1]);
  const all = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', ...flags];
  const server = spawn('redis-server', all, { cwd: tmpdir(), stdio: 'ignore' });
  await vi.waitFor(() => connects(port), { timeout: 5000 });
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(server) };
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
}

function connects(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = connect(port, '127.0.0.1', () => {
      probe.destroy();
      resolve();
    });
    probe.once('error', reject);
  });
}
