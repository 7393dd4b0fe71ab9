// Runs the compiled server and the CLI as processes, as an operator does.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const LISTENS_WITHIN_MS = 20_000;
const running = new Set<ChildProcess>();

export type LogLine = Record<string, unknown> & { msg: string };

export interface ServerProcess {
  origin: string;
  pid: number;
  /** The log lines so far. */
  lines(): LogLine[];
  stdout(): string;
  stderr(): string;
  /** Closes the reading end of its standard output. */
  hangUp(): void;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface ProcessResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Excludes the settings of this process. */
const bareEnvironment = () => ({ PATH: process.env.PATH, HOME: process.env.HOME });

export function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), 'signet-process-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Starts dist/main.js and waits until it listens. Rejects with its output if it exits before that.
 * `mute` closes the reading end of its standard error.
 */
export async function startServerProcess(
  settings: Record<string, string>,
  { mute = false }: { mute?: boolean } = {},
): Promise<ServerProcess> {
  const { child, stdout, stderr } = launch('main.js', [], settings);
  if (mute) child.stderr!.destroy();
  const ended = new Promise<Awaited<ServerProcess['ended']>>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const lines = () =>
    stdout()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  const deadline = Date.now() + LISTENS_WITHIN_MS;
  for (;;) {
    const listening = lines().find((line) => line.msg === 'listening');
    if (listening) {
      const origin = `http://localhost:${listening.port}`;
      const hangUp = () => void child.stdout!.destroy();
      return {
        origin,
        pid: child.pid!,
        lines,
        stdout,
        stderr,
        hangUp,
        kill: (signal) => void child.kill(signal),
        ended,
      };
    }
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`the server does not listen: ${stdout()}${stderr()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Runs dist/main.js or dist/cli.js until it exits. */
export function run(
  program: 'main.js' | 'cli.js',
  args: string[],
  settings: Record<string, string>,
  input?: string,
): Promise<ProcessResult> {
  const { child, stdout, stderr } = launch(program, args, settings, input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout: stdout(), stderr: stderr() })));
}

/** Kills all processes that were started here. Call it in afterEach. */
export function killServers(): void {
  for (const child of running) child.kill('SIGKILL');
}

export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function launch(program: string, args: string[], settings: Record<string, string>, input?: string) {
  let [out, err] = ['', ''];
  const child = spawn(process.execPath, [join(DIST, program), ...args], {
    cwd: tmpdir(), // has no .env
    env: { ...bareEnvironment(), ...settings },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  child.stdin?.end(input);
  return { child, stdout: () => out, stderr: () => err };
}
