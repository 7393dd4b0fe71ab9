// The compiled server on PostgreSQL and Redis: one process, several, and with a store down.
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Browser } from './support/browser.js';
import {
  killServers,
  run,
  type ServerProcess,
  startServerProcess,
  temporaryFolder,
  waitUntil,
} from './support/server-process.js';
import { type OpenStore, stores } from './support/stores.js';
import { openTcpProxy, type TcpProxy } from './support/tcp-proxy.js';

const PASSWORD = 'correct horse battery';
const [, postgresql, postgresqlAndRedis] = stores;
let folder: ReturnType<typeof temporaryFolder>;
let data: OpenStore;
let proxies: TcpProxy[] = [];

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  killServers();
  for (const proxy of proxies.splice(0)) proxy.close();
  await data?.close();
  folder.remove();
});

function settingsFor({ databaseUrl, redisUrl, redisPrefix }: OpenStore): Record<string, string> {
  return {
    DATA_DIR: folder.path,
    PORT: '0',
    NODE_ENV: 'test',
    PASSWORD_HASH_COST: '4',
    SECRET: 'a secret of the tests that is long enough',
    DATABASE_URL: databaseUrl,
    ...(redisUrl && { REDIS_URL: redisUrl, REDIS_PREFIX: redisPrefix! }),
    BOOTSTRAP_ADMIN_EMAIL: 'root@example.com',
    BOOTSTRAP_ADMIN_PASSWORD: PASSWORD,
  };
}

describe.each([postgresql!, postgresqlAndRedis!])('the server on $name', (store) => {
  test('starts on an empty database, signs a user in, exits with 0 and starts again', async () => {
    data = await store.openBlank();
    for (const created of [1, 0]) {
      const server = await startServerProcess(settingsFor(data));
      expect(server.lines().find((line) => line.msg === 'listening')).toMatchObject({
        database: 'PostgreSQL',
        redis: Boolean(data.redisUrl),
      });
      expect(server.lines().filter((line) => /created the first administrator/.test(line.msg))).toHaveLength(created);
      expect((await fetch(`${server.origin}/.well-known/openid-configuration`)).status).toBe(200);
      expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
      const page = await new Browser(server.origin).signIn('root@example.com', PASSWORD);
      expect(page.status).toBe(200);
      expect(page.url.pathname).not.toBe('/login');
      server.kill('SIGTERM');
      expect(await server.ended).toEqual({ code: 0, signal: null });
    }
  });

  test('passes the checks of doctor', async () => {
    data = await store.open();
    const server = await startServerProcess(settingsFor(data));
    const settings = { ...settingsFor(data), PORT: new URL(server.origin).port };
    const { code, stdout } = await run('cli.js', ['doctor'], settings);
    expect(stdout).not.toMatch(/^fail/m);
    expect(stdout).toMatch(/^ok +clock/m);
    expect(stdout).toMatch(/^ok +server/m);
    expect(code).toBe(0);
  }, 60_000);
});

describe('a server with two processes', () => {
  let server: ServerProcess;

  beforeEach(async () => {
    data = await postgresql!.openBlank();
    server = await startServerProcess({ ...settingsFor(data), WEB_CONCURRENCY: '2' });
    await waitUntil('both processes run', () => workersOf(server).length === 2);
  });

  test('serves requests with both, replaces a killed one and stops all together', async () => {
    expect(server.lines().filter((line) => line.msg === 'listening')).toHaveLength(1);
    expect(server.lines().filter((line) => /created the first administrator/.test(line.msg))).toHaveLength(1);
    const [first, second] = workersOf(server);
    await waitUntil('the server is ready', async () => (await fetch(`${server.origin}/readyz`)).status === 200);

    process.kill(first!, 'SIGKILL');
    await waitUntil('the process is replaced', () => {
      const workers = workersOf(server);
      return workers.length === 2 && !workers.includes(first!) && workers.includes(second!);
    });
    await waitUntil('the replacement responds', () => allRespond(server, 20));
    const replacement = workersOf(server).find((pid) => pid !== second)!;
    process.kill(second!, 'SIGKILL'); // so that only the replacement can respond
    await waitUntil('the replacement alone responds', () => allRespond(server, 5));
    expect(workersOf(server)).toContain(replacement);

    await waitUntil(
      'both processes run again',
      () => workersOf(server).length === 2 && !workersOf(server).includes(second!),
    );
    const workers = workersOf(server);
    server.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    for (const pid of workers) expect(isRunning(pid)).toBe(false);
  });

  test('shares sessions between them', async () => {
    const browser = new Browser(server.origin);
    await browser.signIn('root@example.com', PASSWORD);
    for (let i = 0; i < 10; i += 1) {
      const page = await browser.open('/account');
      expect(page.url.pathname).toBe('/account');
    }
  });
});

test('a server with several processes that cannot start prints one message and exits with 1', async () => {
  data = await postgresql!.openBlank();
  const { code, stdout, stderr } = await run('main.js', [], {
    ...settingsFor(data),
    DATABASE_URL: 'postgresql://127.0.0.1:1/signet',
    WEB_CONCURRENCY: '3',
  });
  expect(code).toBe(1);
  expect(stderr.match(/Signet cannot start/g)).toHaveLength(1);
  expect(stdout + stderr).not.toMatch(/^\s+at /m);
});

describe('the server during an outage of a store', () => {
  test.each(['PostgreSQL', 'Redis'])(
    'responds with 503 in time without %s, and recovers',
    async (name) => {
      data = await postgresqlAndRedis!.open();
      const postgresqlProxy = await openTcpProxy(data.databaseUrl);
      const redisProxy = await openTcpProxy(data.redisUrl!);
      proxies = [postgresqlProxy, redisProxy];
      const proxy = name === 'Redis' ? redisProxy : postgresqlProxy;
      const settings = settingsFor({ ...data, databaseUrl: postgresqlProxy.url, redisUrl: redisProxy.url });
      const server = await startServerProcess(settings);
      const browser = new Browser(server.origin);
      await browser.signIn('root@example.com', PASSWORD);
      const form = await new Browser(server.origin).open('/login');
      expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);

      for (const interrupt of [refuseConnections, loseResponses]) {
        interrupt(proxy);
        const outages = ['/readyz', ...(name === 'PostgreSQL' ? ['/account'] : [])];
        for (const path of outages) {
          const { status, headers, ms } = await timed(() => browser.open(path));
          const failures = server
            .lines()
            .filter(({ level }) => level === 'error')
            .slice(-2);
          expect({ path, status, failures }).toMatchObject({ path, status: 503 });
          expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
          expect(ms).toBeLessThan(15_000);
        }
        const login = await timed(() =>
          browser.submit(form, { email: 'root@example.com', password: PASSWORD }).catch(() => form),
        );
        expect(login.ms).toBeLessThan(15_000);
        expect((await fetch(`${server.origin}/healthz`)).status).toBe(200);

        proxy.accept(true);
        proxy.cut();
        await waitUntil(
          'the server is ready again',
          async () => (await fetch(`${server.origin}/readyz`)).status === 200,
          20_000,
        );
        const again = await new Browser(server.origin).signIn('root@example.com', PASSWORD);
        expect(again.url.pathname).not.toBe('/login');
      }
      server.kill('SIGTERM');
      expect(await server.ended).toEqual({ code: 0, signal: null });
    },
    120_000,
  );

  test('still stops in time', async () => {
    data = await postgresqlAndRedis!.open();
    const postgresqlProxy = await openTcpProxy(data.databaseUrl);
    const redisProxy = await openTcpProxy(data.redisUrl!);
    proxies = [postgresqlProxy, redisProxy];
    const server = await startServerProcess(
      settingsFor({ ...data, databaseUrl: postgresqlProxy.url, redisUrl: redisProxy.url }),
    );
    for (const proxy of proxies) loseResponses(proxy);
    const began = Date.now();
    server.kill('SIGTERM');
    await server.ended;
    expect(Date.now() - began).toBeLessThan(20_000);
  }, 60_000);

  /** Simulates a stopped server. */
  function refuseConnections(proxy: TcpProxy): void {
    proxy.accept(false);
    proxy.cut();
  }

  /** Simulates a network failure: connections stay open without responses. */
  function loseResponses(proxy: TcpProxy): void {
    proxy.mute();
  }
});

async function timed<Result>(run: () => Promise<Result>): Promise<Result & { ms: number }> {
  const began = Date.now();
  const result = await run();
  return { ...result, ms: Date.now() - began };
}

async function allRespond({ origin }: ServerProcess, times: number): Promise<boolean> {
  const requests = Array.from({ length: times }, () =>
    fetch(`${origin}/healthz`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(2000) }).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
  return (await Promise.all(requests)).every(Boolean);
}

function workersOf({ pid }: ServerProcess): number[] {
  try {
    const found = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
    return found.split('\n').filter(Boolean).map(Number).filter(isNode);
  } catch {
    return [];
  }
}

function isNode(pid: number): boolean {
  try {
    return /node/.test(execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }));
  } catch {
    return false;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
