// Finds the PostgreSQL and Redis servers for tests and benchmarks, or starts them and stops them at
// the end.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';

export const INSTALL = 'Install it: apt-get install -y postgresql redis-server chromium python3 python3-requests';
const START_WITHIN_MS = 20_000;
const stops: (() => Promise<void>)[] = [];

/** Stops what was started here, in reverse order. */
export async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

/** Adds work to be done by `stopAll`, before the servers stop. */
export function stopAtExit(stop: () => Promise<void>): void {
  stops.push(stop);
}

/**
 * Returns the URL of a PostgreSQL server on which databases can be created. Throws if none is
 * installed.
 */
export async function findPostgresql(): Promise<string> {
  const configured = process.env.TEST_DATABASE_URL;
  const running = configured ?? 'postgresql://root@127.0.0.1:5432/postgres';
  if (await answersPostgresql(running)) return running;
  if (configured)
    throw new Error('The PostgreSQL at TEST_DATABASE_URL does not answer, or its user cannot create databases.');
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (!newest) throw new Error(`PostgreSQL is missing. ${INSTALL}`);
  return startPostgresql(`/usr/lib/postgresql/${newest}/bin`);
}

async function startPostgresql(bin: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'signet-postgresql-'));
  const owner = serverAccount();
  if (owner) chownSync(folder, owner.uid, owner.gid);
  chmodSync(folder, 0o700);
  const data = join(folder, 'data');
  const options = { cwd: folder, stdio: 'ignore', ...owner } as const;
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], options);
  const port = await freePort();
  const settings = [
    'fsync=off',
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'max_connections=300',
  ];
  const flags = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
  const server = spawn(join(bin, 'postgres'), flags, options);
  stops.push(async () => {
    await stop(server, 'SIGINT'); // "fast": does not wait for clients
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `postgresql://postgres@127.0.0.1:${port}/postgres`;
  await waitForAnswer('PostgreSQL', () => answersPostgresql(url));
  return url;
}

/** Returns the account of the PostgreSQL package, because PostgreSQL does not run as root. */
function serverAccount(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

async function answersPostgresql(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const canCreate = 'SELECT rolcreatedb OR rolsuper AS yes FROM pg_roles WHERE rolname = current_user';
    return (await client.query(canCreate)).rows[0].yes;
  } catch {
    return false;
  } finally {
    client.end().catch(() => {});
  }
}

/** Returns the URL of a Redis server. Throws if none is installed. */
export async function findRedis(): Promise<string> {
  const program = findOnPath('redis-server'); // some tests start their own
  if (!program) throw new Error(`Redis is missing. ${INSTALL}`);
  const configured = process.env.TEST_REDIS_URL;
  const running = configured ?? 'redis://127.0.0.1:6379';
  if (await answersRedis(running)) return running;
  if (configured) throw new Error('The Redis at TEST_REDIS_URL does not answer.');
  const port = await freePort();
  const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn(program, flags, { cwd: tmpdir(), stdio: 'ignore' });
  stops.push(() => stop(server, 'SIGTERM'));
  const url = `redis://127.0.0.1:${port}`;
  await waitForAnswer('Redis', () => answersRedis(url));
  return url;
}

async function answersRedis(url: string): Promise<boolean> {
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: 2000, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

async function waitForAnswer(name: string, answers: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_WITHIN_MS;
  while (!(await answers())) {
    if (Date.now() > deadline) throw new Error(`${name} was started but does not answer.`);
    await sleep(100);
  }
}

async function stop(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill(signal);
  await ended;
}

/** Runs a statement on a new connection. */
export async function runStatement(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Deletes all keys with this prefix. */
export async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url);
  try {
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1000);
      if (keys.length > 0) await redis.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
  } finally {
    redis.disconnect();
  }
}

/** Returns the path of a program, if it is installed. */
export function findOnPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
