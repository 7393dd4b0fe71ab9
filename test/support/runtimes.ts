// The runtimes that the kit is tested on. Each runs the service of test/runtimes in its own
// process, with the packed kit installed.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { INSTALLED } from './packed-kit.js';

export interface Runtime {
  name: 'Node' | 'Bun' | 'Deno' | 'workerd';
  /** Returns the command line. `hosts` are those that the service connects to. */
  command(project: string, settings: string, hosts: string[]): string[];
}

export interface RunningService {
  /** Base URL of the service. */
  service: string;
  /** Base URL of the part of the service that needs node:crypto. */
  svid: string;
  /** Standard error, which includes uncaught errors. */
  warnings(): string;
  /** Sends SIGTERM and waits for the exit. */
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const LISTENS_WITHIN_MS = 20_000;
const FOLDER = new URL('../runtimes/', import.meta.url).pathname;
const SETTINGS = 'SERVICE_SETTINGS';

export const runtimes: Runtime[] = [
  { name: 'Node', command: () => [process.execPath, 'serve-node.mjs'] },
  { name: 'Bun', command: () => [binary('bun', 'bin/bun'), '--no-install', 'serve-bun.mjs'] },
  {
    name: 'Deno',
    command: (_project, _settings, hosts) => {
      const net = ['127.0.0.1:0', ...hosts].join(',');
      const allowed = [`--allow-net=${net}`, `--allow-env=${SETTINGS},SURELY_NOT_SET`];
      return [binary('deno', 'deno'), 'run', '--no-prompt', '--no-remote', '--no-lock', ...allowed, 'serve-deno.mjs'];
    },
  },
  {
    name: 'workerd',
    command: (project, settings) => {
      writeFileSync(join(project, 'config.capnp'), workerdConfig(project, settings));
      return [binary('workerd', 'bin/workerd'), 'serve', '--control-fd=1', 'config.capnp'];
    },
  },
];

/** Creates a project with the packed kit and the service. */
export function makeProject() {
  const path = mkdtempSync(join(tmpdir(), 'signet-runtimes-'));
  cpSync(INSTALLED, path, { recursive: true });
  cpSync(FOLDER, path, { recursive: true, filter: (source) => source === FOLDER || source.endsWith('.mjs') });
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Starts the service and waits until it listens. */
export async function startService(
  runtime: Runtime,
  project: string,
  settings: object,
  hosts: string[],
): Promise<RunningService> {
  const text = JSON.stringify(settings);
  const [program, ...args] = runtime.command(project, text, hosts);
  const { PATH, HOME } = process.env;
  const child = spawn(program!, args, {
    cwd: project,
    env: { PATH, HOME, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', [SETTINGS]: text },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<Awaited<ReturnType<RunningService['stop']>>>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const [stdout, stderr] = [textOf(child.stdout!), textOf(child.stderr!)];
  const ports = await listening(child, stdout).catch((error) => {
    child.kill('SIGKILL');
    throw new Error(`${runtime.name} did not start: ${stdout()}${stderr()}`, { cause: error });
  });
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return { service: at(ports.service), svid: at(ports.svid), warnings: () => stderr().trim(), stop };

  async function stop() {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    const result = await exited;
    clearTimeout(timer);
    return result;
  }
}

/**
 * Reads the ports from JSON lines: workerd writes one line for each port, the others one for both.
 */
async function listening(child: ChildProcess, stdout: () => string): Promise<{ service: number; svid: number }> {
  const deadline = Date.now() + LISTENS_WITHIN_MS;
  while (child.exitCode === null && Date.now() < deadline) {
    const lines = stdout().split('\n').slice(0, -1);
    const messages = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const ports = Object.assign(
      {},
      ...messages.map(({ socket, port, ...both }) => (socket ? { [`${socket}`]: port } : both)),
    );
    if (ports.service && ports.svid) return ports;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('no ports on standard output in time');
}

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (more) => {
    text += more;
  });
  return () => text;
}

/**
 * Returns the path of the executable in the package for this platform. The launcher script would
 * not forward signals.
 */
function binary(name: string, path: string): string {
  const inFolder = createRequire(join(FOLDER, 'package.json'));
  const manifest = inFolder.resolve(`${name}/package.json`);
  const platforms = Object.keys(JSON.parse(readFileSync(manifest, 'utf8')).optionalDependencies);
  const paths = platforms.map((platform) => join(dirname(manifest), '..', platform, path));
  // If install scripts run, Bun moves its executable there.
  const found = [...paths, join(dirname(manifest), `${path}.exe`)].find((file) => existsSync(file));
  if (!found) throw new Error(`${name} has no program for this platform. Install it: npm ci --prefix test/runtimes`);
  return found;
}

/**
 * Bundles each worker into one file. Only the `svid` worker has the Node.js compatibility layer.
 */
function workerdConfig(project: string, settings: string): string {
  const bundle = (entry: string, ...more: string[]) =>
    execFileSync(
      binary('bun', 'bin/bun'),
      ['build', `${entry}.mjs`, '--format=esm', '--external=cloudflare:workers', `--outfile=${entry}.js`, ...more],
      { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] },
    );
  bundle('serve-workerd', '--target=browser');
  bundle('serve-workerd-svid', '--target=node');
  const worker = (entry: string, more: string) => `(
    modules = [(name = "${entry}", esModule = embed "${entry}.js")],
    ${more},
    bindings = [(name = "${SETTINGS}", text = ${JSON.stringify(settings)})],
  )`;
  const socket = (name: string) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "service", worker = .service),
    (name = "svid", worker = .svid),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [${socket('service')}, ${socket('svid')}],
);
const service :Workerd.Worker = ${worker('serve-workerd', 'compatibilityDate = "2026-08-01"')};
const svid :Workerd.Worker = ${worker('serve-workerd-svid', 'compatibilityDate = "2026-08-01", compatibilityFlags = ["nodejs_compat"]')};
`;
}
