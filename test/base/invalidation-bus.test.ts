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

/** Two processes, as far as announcements can tell. */
function useTwoProcesses(open: Store['open']) {
  const server = {} as { store: OpenStore; db: Database; one: InvalidationBus; two: InvalidationBus };

  beforeEach(async () => {
    const store = await open();
    const db = await openDatabase(store.databaseUrl);
    Object.assign(server, { store, db, one: await openInvalidationBus({ db, log, ...store }) });
    server.two = await openInvalidationBus({ db, log, ...store });
  });

  afterEach(async () => {
    await server.one.close();
    await server.two.close();
    await server.db.$disconnect();
    await server.store.close();
  });

  return server;
}

describe.each(stores)('the invalidation bus on $name', ({ name, open }) => {
  const server = useTwoProcesses(open);
  const carriesIds = name !== 'SQLite';

  test('delivers a message to its own process at once, and only once', async () => {
    const heard = vi.fn();
    server.one.on('keys', heard);
    const announced = server.one.publish('keys', 'k1');
    expect(heard.mock.calls).toEqual([['k1']]);
    await announced;
    await server.one.publish('keys', 'k2');
    await sleep(1200);
    expect(heard.mock.calls).toEqual([['k1'], ['k2']]);
  });

  test('delivers a message to the other process', async () => {
    const heard = vi.fn();
    server.two.on('clients', heard);
    await server.one.publish('clients', 'c1');
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(carriesIds ? 'c1' : undefined), SOON);
    heard.mockClear();
    await server.one.publish('clients');
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(undefined), SOON);
  });

  test('delivers both messages when two processes publish together', async () => {
    const [one, two] = [vi.fn(), vi.fn()];
    server.one.on('keys', one);
    server.two.on('keys', two);
    await Promise.all([server.one.publish('keys', 'from one'), server.two.publish('keys', 'from two')]);
    await vi.waitFor(() => {
      expect(one).toHaveBeenCalledWith(carriesIds ? 'from two' : undefined);
      expect(two).toHaveBeenCalledWith(carriesIds ? 'from one' : undefined);
    }, SOON);
  });

  test('delivers a message only to subscribers of its topic', async () => {
    const [other, stopped, heard] = [vi.fn(), vi.fn(), vi.fn()];
    server.two.on('clients', other);
    server.two.on('keys', stopped)();
    server.two.on('keys', heard);
    await server.one.publish('keys');
    await vi.waitFor(() => expect(heard).toHaveBeenCalled(), SOON);
    expect(other).not.toHaveBeenCalled();
    expect(stopped).not.toHaveBeenCalled();
  });

  test('calls the next subscriber when one fails', async () => {
    const heard = vi.fn();
    server.one.on('keys', () => {
      throw new Error('broken listener');
    });
    server.one.on('keys', heard);
    await server.one.publish('keys');
    expect(heard).toHaveBeenCalledOnce();
  });

  test('delivers a message of a command line to the running server', async () => {
    const heard = vi.fn();
    server.one.on('keys', heard);
    const { databaseUrl, redisUrl, redisPrefix } = server.store;
    const module = (path: string) => JSON.stringify(pathToFileURL(`dist/base/${path}`).href);
    const script = `
      import { openInvalidationBus } from ${module('invalidation-bus.js')};
      import { openDatabase } from ${module('db/open.js')};
      const db = await openDatabase(${JSON.stringify(databaseUrl)});
      const log = { info() {}, warn() {}, error: console.error };
      const needs = ${JSON.stringify({ databaseUrl, redisUrl, redisPrefix })};
      const bus = await openInvalidationBus({ ...needs, db, log });
      await bus.publish('keys', 'from the command line');
      await bus.close();
      await db.$disconnect();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const [status] = await once(child, 'exit');
    expect(status).toBe(0);
    const id = carriesIds ? 'from the command line' : undefined;
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(id), SOON);
  });
});

test('the invalidation bus on SQLite retries a message that it could not store, without failing publish', async () => {
  const store = await stores[0]!.open();
  const db = await openDatabase(store.databaseUrl);
  const [one, two] = [
    await openInvalidationBus({ db, log, ...store }),
    await openInvalidationBus({ db, log, ...store }),
  ];
  const heard = vi.fn();
  two.on('keys', heard);
  await db.$executeRaw`ALTER TABLE "CacheVersion" RENAME TO "Renamed"`;
  await one.publish('keys');
  await db.$executeRaw`ALTER TABLE "Renamed" RENAME TO "CacheVersion"`;
  await vi.waitFor(() => expect(heard).toHaveBeenCalledOnce(), SOON);
  await one.close();
  await two.close();
  await db.$disconnect();
  await store.close();
});

const networked = stores.filter(({ name }) => name !== 'SQLite');
if (networked.length > 0) {
  describe.each(networked)('the invalidation bus on $name after a lost connection', ({ open }) => {
    const server = {} as {
      store: OpenStore;
      db: Database;
      wire: TcpProxy;
      cut: InvalidationBus;
      other: InvalidationBus;
    };

    beforeEach(async () => {
      const store = await open();
      const db = await openDatabase(store.databaseUrl);
      const wire = await openTcpProxy(store.redisUrl ?? store.databaseUrl);
      const wired = store.redisUrl ? { redisUrl: wire.url } : { databaseUrl: wire.url };
      const cut = await openInvalidationBus({ db, log, ...store, ...wired });
      const other = await openInvalidationBus({ db, log, ...store });
      Object.assign(server, { store, db, wire, cut, other });
    });

    afterEach(async () => {
      await server.cut.close();
      await server.other.close();
      server.wire.close();
      await server.db.$disconnect();
      await server.store.close();
    });

    test('tells all subscribers that they can have missed messages, and delivers new ones', async () => {
      const [keys, clients] = [vi.fn(), vi.fn()];
      server.cut.on('keys', keys);
      server.cut.on('clients', clients);
      server.wire.cut();
      await vi.waitFor(() => {
        expect(keys.mock.calls).toEqual([[undefined]]);
        expect(clients.mock.calls).toEqual([[undefined]]);
      }, SOON);
      await server.other.publish('keys', 'again');
      await vi.waitFor(() => expect(keys).toHaveBeenLastCalledWith('again'), SOON);
    });

    test('delivers a message locally at once, and to other processes later', async () => {
      const [here, there] = [vi.fn(), vi.fn()];
      server.cut.on('keys', here);
      server.other.on('keys', there);
      server.wire.accept(false);
      server.wire.cut();
      await server.cut.publish('keys', 'k1');
      expect(here).toHaveBeenCalledWith('k1');
      expect(there).not.toHaveBeenCalled();
      server.wire.accept(true);
      await vi.waitFor(() => expect(there.mock.calls).toEqual([[undefined]]), SOON);
    });

    test('delays publishers by at most about 2 s when the connection is silent', async () => {
      server.wire.mute();
      const started = performance.now();
      await server.cut.publish('keys');
      expect(performance.now() - started).toBeLessThan(2500);
      server.wire.cut();
    });
  });
}
