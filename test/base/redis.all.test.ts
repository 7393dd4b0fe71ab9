import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { closeRedis, openRedis, type Redis } from '../../src/base/redis.js';
import { startRedis } from '../support/redis-server.js';
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
    const { url } = await startServer('--requirepass', 'right');
    await expect(openRedis(url.replace('//', '//:wrong@'), { log })).rejects.toThrow(/cannot be reached: WRONGPASS/);
    const redis = await opened(url.replace('//', '//:right@'));
    expect(await redis.ping()).toBe('PONG');
  });

  test('is rejected if keys can be evicted', async () => {
    const { url } = await startServer('--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru');
    await expect(openRedis(url, { log })).rejects.toThrow(
      'Redis must not evict keys: set its maxmemory-policy to noeviction (it is allkeys-lru).',
    );
  });

  test.each([
    ['--maxmemory', '50mb', '--maxmemory-policy', 'noeviction'],
    ['--maxmemory', '0', '--maxmemory-policy', 'allkeys-lru'],
  ])('is accepted with %s %s %s %s', async (...flags) => {
    const { url } = await startServer(...flags);
    await opened(url);
    expect(log.warn).not.toHaveBeenCalled();
  });

  test('warns if the policy cannot be read', async () => {
    const { url } = await startServer('--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-info');
    await opened(url);
    expect(log.warn).toHaveBeenCalledWith(expect.stringContaining('make sure that it is noeviction'));
  });

  test('fails a command within about 2 s when the server dies, and works again after a restart', async () => {
    const port = await freePort();
    const first = await startServer('--port', String(port));
    const redis = await opened(first.url);
    await first.stop();
    for (let i = 0; i < 2; i++) {
      const started = performance.now();
      await expect(redis.get('key')).rejects.toThrow();
      expect(performance.now() - started).toBeLessThan(2500);
    }
    expect(log.warn).toHaveBeenCalledTimes(1);
    await startServer('--port', String(port));
    await vi.waitFor(async () => expect(await redis.ping()).toBe('PONG'), { timeout: 10_000 });
    expect(log.info).toHaveBeenCalledWith('restored the connection to Redis');
  });

  test('fails a command within about 2 s when the server stops responding, and never sends it twice', async () => {
    const { url } = await startServer();
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

async function startServer(...flags: string[]) {
  const server = await startRedis(...flags);
  cleanups.push(server.stop);
  return server;
}
