// Starts the compared servers, each in its own process and with its own databases.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openBase } from '../../../dist/base/base.js';
import { readConfig } from '../../../dist/base/config.js';
import { createLog } from '../../../dist/base/log.js';
import { systemMeta } from '../../../dist/base/request-meta.js';
import { createCore } from '../../../dist/core/core.js';
import { deleteKeys, findPostgresql, findRedis, freePort, runStatement, stopAll } from '../../support/store-servers.js';

export type SideName = 'bareOnRedis' | 'bareOnPostgresql' | 'signetOnBoth' | 'signetOnPostgresql';

export interface Side {
  pid: number;
  origin: string;
  clientId: string;
  /** The `Authorization` header of the client (client_secret_basic). */
  authorization: string;
  /** The identifier of an API (RFC 8707). */
  resource: string;
  paths: typeof SIGNET_PATHS;
}

export const EMAIL = 'jane@example.com';
export const PASSWORD = 'correct horse battery';
export const REDIRECT_URI = 'https://acme.example/cb';

const SIGNET_PATHS = {
  discovery: '/.well-known/openid-configuration',
  jwks: '/oauth/jwks',
  authorization: '/oauth/authorize',
  token: '/api/v1/oauth/token',
  userinfo: '/oauth/userinfo',
  introspection: '/oauth/introspect',
};
const BARE_PATHS = {
  discovery: '/.well-known/openid-configuration',
  jwks: '/jwks',
  authorization: '/auth',
  token: '/token',
  userinfo: '/me',
  introspection: '/token/introspection',
};
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));
const BARE = fileURLToPath(new URL('./bare-provider.js', import.meta.url));

/** Starts all servers. `close` stops them and deletes their databases. */
export async function openSides(): Promise<{ all: Record<SideName, Side>; close(): Promise<void> }> {
  const closers: (() => Promise<unknown>)[] = [stopAll];
  let closing: Promise<void> | undefined;
  for (const signal of SIGNALS) process.once(signal, stopEarly);
  try {
    const redisUrl = await findRedis();
    const postgresqlUrl = await findPostgresql();
    const all = {
      bareOnRedis: await startBare({ REDIS_URL: redisUrl, REDIS_PREFIX: await prefix(redisUrl) }),
      bareOnPostgresql: await startBare({ DATABASE_URL: await database(postgresqlUrl) }),
      signetOnBoth: await startSignet({
        DATABASE_URL: await database(postgresqlUrl),
        REDIS_URL: redisUrl,
        REDIS_PREFIX: await prefix(redisUrl),
      }),
      signetOnPostgresql: await startSignet({ DATABASE_URL: await database(postgresqlUrl) }),
    };
    return { all, close };
  } catch (error) {
    await close();
    throw error;
  }

  async function database(server: string): Promise<string> {
    const name = `signet_bench_${randomUUID().replaceAll('-', '')}`;
    await runStatement(server, `CREATE DATABASE ${name} TEMPLATE template0`);
    closers.unshift(() => runStatement(server, `DROP DATABASE ${name} WITH (FORCE)`));
    const url = new URL(server);
    url.pathname = `/${name}`;
    return url.href;
  }

  async function prefix(redisUrl: string): Promise<string> {
    const own = `signet-bench-${randomUUID()}:`;
    closers.unshift(() => deleteKeys(redisUrl, own));
    return own;
  }

  async function startBare(stores: Record<string, string>): Promise<Side> {
    const port = await freePort();
    const [clientId, secret] = ['bench', 'a secret of forty characters and no more'.replaceAll(' ', '-')];
    const environment = {
      ...stores,
      PORT: String(port),
      CLIENT_ID: clientId,
      CLIENT_SECRET: secret,
      REDIRECT_URI,
      EMAIL,
    };
    const { pid } = await start([BARE], environment, /listening/);
    const origin = `http://localhost:${port}`;
    const resource = `${origin}/api`;
    return { pid, origin, clientId, authorization: basic(clientId, secret), resource, paths: BARE_PATHS };
  }

  async function startSignet(stores: Record<string, string>): Promise<Side> {
    const folder = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    closers.unshift(async () => rmSync(folder, { recursive: true, force: true }));
    const origin = `http://localhost:${await freePort()}`;
    const environment = {
      ...stores,
      NODE_ENV: 'production',
      PORT: new URL(origin).port,
      ISSUER: origin,
      DATA_DIR: folder,
      SECRET: 'a secret of the benchmarks that is long enough',
      PASSWORD_HASH_COST: '10', // password hashing is not measured
      TRUSTED_PROXIES: '127.0.0.0/8,::1',
    };
    const { id, secret } = await seed(environment);
    const { pid } = await start([MAIN], environment, /"msg":"listening"/);
    const resource = `${origin}/api/v1`;
    return { pid, origin, clientId: id, authorization: basic(id, secret), resource, paths: SIGNET_PATHS };
  }

  /** Starts a process. Resolves when its output matches `ready`. */
  async function start(args: string[], environment: Record<string, string>, ready: RegExp): Promise<{ pid: number }> {
    const child = spawn(process.execPath, args, {
      cwd: tmpdir(), // has no .env
      env: { PATH: process.env.PATH, NODE_ENV: 'production', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    closers.unshift(() => end(child));
    let output = '';
    child.stderr.on('data', (chunk) => {
      output = `${output}${chunk}`.slice(-10_000);
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        output = `${output}${chunk}`.slice(-10_000);
        if (ready.test(output)) resolve();
      });
      child.once('exit', () => reject(new Error(`the server did not start: ${output}`)));
    });
    return { pid: child.pid! };
  }

  /** Continues after an error, so that everything else is cleaned up. */
  function close(): Promise<void> {
    closing ??= closeAll();
    return closing;
  }

  async function closeAll(): Promise<void> {
    for (const signal of SIGNALS) process.off(signal, stopEarly);
    for (const closer of closers.splice(0)) await closer().catch((error) => console.error(error));
  }

  function stopEarly(): void {
    void close().then(() => process.exit(1));
  }
}

/** Creates an account and a client. */
async function seed(environment: Record<string, string>): Promise<{ id: string; secret: string }> {
  const base = await openBase(readConfig(environment), { log: createLog('silent') });
  try {
    const core = await createCore(base);
    await core.accounts.create({ email: EMAIL, name: 'Jane Developer', password: PASSWORD }, systemMeta);
    const { client, secret } = await core.clients.create(
      {
        metadata: {
          client_name: 'Bench',
          redirect_uris: [REDIRECT_URI],
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        },
      },
      systemMeta,
    );
    return { id: client.id, secret: secret! };
  } finally {
    await base.close();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
