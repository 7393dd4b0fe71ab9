import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { closeRedis, openRedis, type Redis } from '../../src/base/redis.js';
import { freePort } from '../support/store-servers.js';
import { openTcpProxy } from '../support/tcp-proxy.js';

const log = { info: vi.fn(), warn: vi.fn() };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  vi.clearAllMocks();
});

describe('a connection to Redis', () => {
  test('prefixes its keys', async () => {
    const prefix = `signet-test-${process.pid}-${Date.now()}:`;
    const [prefixed, plain] = [await opened(inject('redisUrl'), prefix), await opened(inject('redisUrl'))];
    await prefixed.set('key', 'value', 'EX', 60);
    expect(await plain.get(`${prefix}key`)).toBe('value');
    expect(await plain.get('key')).toBeNull();
    await prefixed.del('key');
  });

  test('to a closed port fails at once with the host', async () => {
    const port = await freePort();
    const started = performance.now();
    await expect(openRedis(`redis://:secret@127.0.0.1:${port}`, { log })).rejects.toThrow(
      `Redis at 127.0.0.1:${port} cannot be reached: connect ECONNREFUSED`,
    );
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test('with a wrong password fails at once', async () => {
    const { url } = await startRedis('--requirepass', 'right');
    await expect(openRedis(url.replace('//', '//:wrong@'), { log })).rejects.toThrow(/cannot be reached: WRONGPASS/);
    const redis = await opened(url.replace('//', '//:right@'));
    expect(await redis.ping()).toBe('PONG');
  });

  test('is rejected if keys can be evicted', async () => {
    const { url } = await startRedis('--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru');
    await expect(openRedis(url, { log })).rejects.toThrow(
      'Redis must not evict keys: set its maxmemory-policy to noeviction (it is allkeys-lru).',
    );
  });

  test.each([
    ['--maxmemory', '50mb', '--maxmemory-policy', 'noeviction'],
    ['--maxmemory', '0', '--maxmemory-policy', 'allkeys-lru'],
  ])('is accepted with %s %s %s %s', async (...flags) => {
    const { url } = await startRedis(...flags);
    await opened(url);
    expect(log.warn).not.toHaveBeenCalled();
  });

  test('warns if the policy cannot be read', async () => {
    const { url } = await startRedis('--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-info');
    await opened(url);
    expect(log.warn).toHaveBeenCalledWith(expect.stringContaining('make sure that it is noeviction'));
  });

  test('fails a command within about 2 s when the server dies, and works again after a restart', async () => {
    const port = await freePort();
    const first = await startRedis('--port', String(port));
    const redis = await opened(first.url);
    await first.stop();
    for (let i = 0; i < 2; i++) {
      const started = performance.now();
      await expect(redis.get('key')).rejects.toThrow();
      expect(performance.now() - started).toBeLessThan(2500);
    }
    expect(log.warn).toHaveBeenCalledTimes(1);
    await startRedis('--port', String(port));
    await vi.waitFor(async () => expect(await redis.ping()).toBe('PONG'), { timeout: 10_000 });
    expect(log.info).toHaveBeenCalledWith('restored the connection to Redis');
  });

  test('fails a command within about 2 s when the server stops responding, and never sends it twice', async () => {
    const { url } = await startRedis();
    const proxy = await openTcpProxy(url);
    cleanups.push(proxy.close);
    const redis = await opened(proxy.url);
    await redis.set('count', 0);
    proxy.mute();
    const started = performance.now();
    await expect(redis.incr('count')).rejects.toThrow('Command timed out');
    expect(performance.now() - started).toBeLessThan(2500);
    proxy.cut();
    await vi.waitFor(async () => expect(await redis.get('count')).toBe('1'), { timeout: 10_000 });
    await sleep(200);
    expect(await redis.get('count')).toBe('1');
  });
});

async function opened(url: string, keyPrefix = ''): Promise<Redis> {
  const redis = await openRedis(url, { log, keyPrefix });
  cleanups.push(() => closeRedis(redis));
  return redis;
}

async function startRedis(...flags: string[]): Promise<{ url: string; stop(): Promise<void> }> {
  const portFlag = flags.indexOf('--port');
  const port = portFlag < 0 ? await freePort() : Number(flags[portFlag + 1]);
  const all = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', ...flags];
  const server = spawn('redis-server', all, { cwd: tmpdir(), stdio: 'ignore' });
  const stopServer = () => stop(server);
  cleanups.push(stopServer);
  await vi.waitFor(() => connects(port), { timeout: 5000 });
  return { url: `redis://127.0.0.1:${port}`, stop: stopServer };
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
