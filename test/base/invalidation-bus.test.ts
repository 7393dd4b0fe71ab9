import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Database, openDatabase } from '../../src/base/db/open.js';
import { type InvalidationBus, openInvalidationBus } from '../../src/base/invalidation-bus.js';
import { type OpenStore, type Store, stores } from '../support/stores.js';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const SOON = { timeout: 5000, interval: 20 };

/** Opens two buses on one store, as two processes do. */
function useTwoBuses(open: Store['open']) {
  const context = {} as { store: OpenStore; db: Database; one: InvalidationBus; two: InvalidationBus };

  beforeEach(async () => {
    const store = await open();
    const db = await openDatabase(store.databaseUrl);
    Object.assign(context, { store, db, one: await openInvalidationBus({ db, log, ...store }) });
    context.two = await openInvalidationBus({ db, log, ...store });
  });

  afterEach(async () => {
    await context.one.close();
    await context.two.close();
    await context.db.$disconnect();
    await context.store.close();
  });

  return context;
}

describe.each(stores)('the invalidation bus on $name', ({ name, open }) => {
  const context = useTwoBuses(open);
  const carriesIds = name !== 'SQLite';

  test('delivers a message to its own process at once, and only once', async () => {
    const received = vi.fn();
    context.one.on('keys', received);
    const published = context.one.publish('keys', 'k1');
    expect(received.mock.calls).toEqual([['k1']]);
    await published;
    await context.one.publish('keys', 'k2');
    await sleep(1200);
    expect(received.mock.calls).toEqual([['k1'], ['k2']]);
  });

  test('delivers a message to the other process', async () => {
    const received = vi.fn();
    context.two.on('clients', received);
    await context.one.publish('clients', 'c1');
    await vi.waitFor(() => expect(received).toHaveBeenCalledWith(carriesIds ? 'c1' : undefined), SOON);
    received.mockClear();
    await context.one.publish('clients');
    await vi.waitFor(() => expect(received).toHaveBeenCalledWith(undefined), SOON);
  });

  test('delivers both messages when two processes publish together', async () => {
    const [one, two] = [vi.fn(), vi.fn()];
    context.one.on('keys', one);
    context.two.on('keys', two);
    await Promise.all([context.one.publish('keys', 'from one'), context.two.publish('keys', 'from two')]);
    await vi.waitFor(() => {
      expect(one).toHaveBeenCalledWith(carriesIds ? 'from two' : undefined);
      expect(two).toHaveBeenCalledWith(carriesIds ? 'from one' : undefined);
    }, SOON);
  });

  test('delivers a message only to subscribers of its topic', async () => {
    const [other, stopped, received] = [vi.fn(), vi.fn(), vi.fn()];
    context.two.on('clients', other);
    context.two.on('keys', stopped)();
    context.two.on('keys', received);
    await context.one.publish('keys');
    await vi.waitFor(() => expect(received).toHaveBeenCalled(), SOON);
    expect(other).not.toHaveBeenCalled();
    expect(stopped).not.toHaveBeenCalled();
  });

  test('calls the next subscriber when one fails', async () => {
    const received = vi.fn();
    context.one.on('keys', () => {
      throw new Error('failing subscriber');
    });
    context.one.on('keys', received);
    await context.one.publish('keys');
    expect(received).toHaveBeenCalledOnce();
  });

  test('delivers a message of the CLI to the running server', async () => {
    const received = vi.fn();
    context.one.on('keys', received);
    const { databaseUrl, redisUrl, redisPrefix } = context.store;
    const module = (path: string) => JSON.stringify(pathToFileURL(`dist/base/${path}`).href);
    const script = `
      import { openInvalidationBus } from ${module('invalidation-bus.js')};
      import { openDatabase } from ${module('db/open.js')};
      const db = await openDatabase(${JSON.stringify(databaseUrl)});
      const log = { info() {}, warn() {}, error: console.error };
      const needs = ${JSON.stringify({ databaseUrl, redisUrl, redisPrefix })};
      const bus = await openInvalidationBus({ ...needs, db, log });
      await bus.publish('keys', 'from the CLI');
      await bus.close();
      await db.$disconnect();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const [status] = await once(child, 'exit');
    expect(status).toBe(0);
    const id = carriesIds ? 'from the CLI' : undefined;
    await vi.waitFor(() => expect(received).toHaveBeenCalledWith(id), SOON);
  });
});

test('the invalidation bus on SQLite retries a message that it could not store, without failing publish', async () => {
  const store = await stores[0]!.open();
  const db = await openDatabase(store.databaseUrl);
  const [one, two] = [
    await openInvalidationBus({ db, log, ...store }),
    await openInvalidationBus({ db, log, ...store }),
  ];
  const received = vi.fn();
  two.on('keys', received);
  await db.$executeRaw`ALTER TABLE "CacheVersion" RENAME TO "Renamed"`;
  await one.publish('keys');
  await db.$executeRaw`ALTER TABLE "Renamed" RENAME TO "CacheVersion"`;
  await vi.waitFor(() => expect(received).toHaveBeenCalledOnce(), SOON);
  await one.close();
  await two.close();
  await db.$disconnect();
  await store.close();
});

const networkStores = stores.filter(({ name }) => name !== 'SQLite');
if (networkStores.length > 0) {
  describe.each(networkStores)('the invalidation bus on $name after a lost connection', ({ open }) => {
    const context = {} as {
      store: OpenStore;
      db: Database;
      proxy: TcpProxy;
      cut: InvalidationBus;
      other: InvalidationBus;
    };

    beforeEach(async () => {
      const store = await open();
      const db = await openDatabase(store.databaseUrl);
      const proxy = await openTcpProxy(store.redisUrl ?? store.databaseUrl);
      const proxied = store.redisUrl ? { redisUrl: proxy.url } : { databaseUrl: proxy.url };
      const cut = await openInvalidationBus({ db, log, ...store, ...proxied });
      const other = await openInvalidationBus({ db, log, ...store });
      Object.assign(context, { store, db, proxy, cut, other });
    });

    afterEach(async () => {
      await context.cut.close();
      await context.other.close();
      context.proxy.close();
      await context.db.$disconnect();
      await context.store.close();
    });

    test('tells all subscribers that they can have missed messages, and delivers new ones', async () => {
      const [keys, clients] = [vi.fn(), vi.fn()];
      context.cut.on('keys', keys);
      context.cut.on('clients', clients);
      context.proxy.cut();
      await vi.waitFor(() => {
        expect(keys.mock.calls).toEqual([[undefined]]);
        expect(clients.mock.calls).toEqual([[undefined]]);
      }, SOON);
      await context.other.publish('keys', 'again');
      await vi.waitFor(() => expect(keys).toHaveBeenLastCalledWith('again'), SOON);
    });

    test('delivers a message locally at once, and to other processes later', async () => {
      const [here, there] = [vi.fn(), vi.fn()];
      context.cut.on('keys', here);
      context.other.on('keys', there);
      context.proxy.accept(false);
      context.proxy.cut();
      await context.cut.publish('keys', 'k1');
      expect(here).toHaveBeenCalledWith('k1');
      expect(there).not.toHaveBeenCalled();
      context.proxy.accept(true);
      await vi.waitFor(() => expect(there.mock.calls).toEqual([[undefined]]), SOON);
    });

    test('delays publishers by at most about 2 s when the server does not respond', async () => {
      context.proxy.mute();
      const started = performance.now();
      await context.cut.publish('keys');
      expect(performance.now() - started).toBeLessThan(2500);
      context.proxy.cut();
    });
  });
}
