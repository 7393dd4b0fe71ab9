import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Database, openDatabase } from '../../src/base/db/open.js';
import { type Announcements, openAnnouncements } from '../../src/base/invalidation-bus.js';
import { type OpenStore, type Store, stores } from '../support/stores.js';
import { openWire, type Wire } from '../support/tcp-proxy.js';

const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const SOON = { timeout: 5000, interval: 20 };

/** Two processes, as far as announcements can tell. */
function useTwoProcesses(open: Store['open']) {
  const house = {} as { store: OpenStore; db: Database; one: Announcements; two: Announcements };

  beforeEach(async () => {
    const store = await open();
    const db = await openDatabase(store.databaseUrl);
    Object.assign(house, { store, db, one: await openAnnouncements({ db, log, ...store }) });
    house.two = await openAnnouncements({ db, log, ...store });
  });

  afterEach(async () => {
    await house.one.close();
    await house.two.close();
    await house.db.$disconnect();
    await house.store.close();
  });

  return house;
}

describe.each(stores)('announcements on $name', ({ name, open }) => {
  const house = useTwoProcesses(open);
  const carriesIds = name !== 'SQLite';

  test('are heard at once by the process that makes them, and only once', async () => {
    const heard = vi.fn();
    house.one.on('keys', heard);
    const announced = house.one.announce('keys', 'k1');
    expect(heard.mock.calls).toEqual([['k1']]);
    await announced;
    await house.one.announce('keys', 'k2');
    await sleep(1200);
    expect(heard.mock.calls).toEqual([['k1'], ['k2']]);
  });

  test('are heard by the other process', async () => {
    const heard = vi.fn();
    house.two.on('clients', heard);
    await house.one.announce('clients', 'c1');
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(carriesIds ? 'c1' : undefined), SOON);
    heard.mockClear();
    await house.one.announce('clients');
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(undefined), SOON);
  });

  test('are heard by both when both announce at the same time', async () => {
    const [one, two] = [vi.fn(), vi.fn()];
    house.one.on('keys', one);
    house.two.on('keys', two);
    await Promise.all([house.one.announce('keys', 'from one'), house.two.announce('keys', 'from two')]);
    await vi.waitFor(() => {
      expect(one).toHaveBeenCalledWith(carriesIds ? 'from two' : undefined);
      expect(two).toHaveBeenCalledWith(carriesIds ? 'from one' : undefined);
    }, SOON);
  });

  test('reach only those who listen to their topic, for as long as they do', async () => {
    const [other, stopped, heard] = [vi.fn(), vi.fn(), vi.fn()];
    house.two.on('clients', other);
    house.two.on('keys', stopped)();
    house.two.on('keys', heard);
    await house.one.announce('keys');
    await vi.waitFor(() => expect(heard).toHaveBeenCalled(), SOON);
    expect(other).not.toHaveBeenCalled();
    expect(stopped).not.toHaveBeenCalled();
  });

  test('reach the next listener when one fails', async () => {
    const heard = vi.fn();
    house.one.on('keys', () => {
      throw new Error('broken listener');
    });
    house.one.on('keys', heard);
    await house.one.announce('keys');
    expect(heard).toHaveBeenCalledOnce();
  });

  test('of a short-lived command line reach the running server', async () => {
    const heard = vi.fn();
    house.one.on('keys', heard);
    const { databaseUrl, redisUrl, redisPrefix } = house.store;
    const module = (path: string) => JSON.stringify(pathToFileURL(`dist/base/${path}`).href);
    const script = `
      import { openAnnouncements } from ${module('announcements.js')};
      import { openDatabase } from ${module('db/open.js')};
      const db = await openDatabase(${JSON.stringify(databaseUrl)});
      const log = { info() {}, warn() {}, error: console.error };
      const needs = ${JSON.stringify({ databaseUrl, redisUrl, redisPrefix })};
      const announcements = await openAnnouncements({ ...needs, db, log });
      await announcements.announce('keys', 'from the command line');
      await announcements.close();
      await db.$disconnect();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const [status] = await once(child, 'exit');
    expect(status).toBe(0);
    const id = carriesIds ? 'from the command line' : undefined;
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(id), SOON);
  });
});

test('what SQLite could not take is told later, and never fails the one who announces', async () => {
  const store = await stores[0]!.open();
  const db = await openDatabase(store.databaseUrl);
  const [one, two] = [await openAnnouncements({ db, log, ...store }), await openAnnouncements({ db, log, ...store })];
  const heard = vi.fn();
  two.on('keys', heard);
  await db.$executeRaw`ALTER TABLE "Change" RENAME TO "Elsewhere"`;
  await one.announce('keys');
  await db.$executeRaw`ALTER TABLE "Elsewhere" RENAME TO "Change"`;
  await vi.waitFor(() => expect(heard).toHaveBeenCalledOnce(), SOON);
  await one.close();
  await two.close();
  await db.$disconnect();
  await store.close();
});

const networked = stores.filter(({ name }) => name !== 'SQLite');
if (networked.length > 0) {
  describe.each(networked)('announcements on $name, when the connection is cut', ({ open }) => {
    const house = {} as { store: OpenStore; db: Database; wire: Wire; cut: Announcements; other: Announcements };

    beforeEach(async () => {
      const store = await open();
      const db = await openDatabase(store.databaseUrl);
      const wire = await openWire(store.redisUrl ?? store.databaseUrl);
      const wired = store.redisUrl ? { redisUrl: wire.url } : { databaseUrl: wire.url };
      const cut = await openAnnouncements({ db, log, ...store, ...wired });
      const other = await openAnnouncements({ db, log, ...store });
      Object.assign(house, { store, db, wire, cut, other });
    });

    afterEach(async () => {
      await house.cut.close();
      await house.other.close();
      house.wire.close();
      await house.db.$disconnect();
      await house.store.close();
    });

    test('every listener is told that it may have missed something, and hears again', async () => {
      const [keys, clients] = [vi.fn(), vi.fn()];
      house.cut.on('keys', keys);
      house.cut.on('clients', clients);
      house.wire.cut();
      await vi.waitFor(() => {
        expect(keys.mock.calls).toEqual([[undefined]]);
        expect(clients.mock.calls).toEqual([[undefined]]);
      }, SOON);
      await house.other.announce('keys', 'again');
      await vi.waitFor(() => expect(keys).toHaveBeenLastCalledWith('again'), SOON);
    });

    test('what cannot be told does not fail, is heard here at once and there later', async () => {
      const [here, there] = [vi.fn(), vi.fn()];
      house.cut.on('keys', here);
      house.other.on('keys', there);
      house.wire.accept(false);
      house.wire.cut();
      await house.cut.announce('keys', 'k1');
      expect(here).toHaveBeenCalledWith('k1');
      expect(there).not.toHaveBeenCalled();
      house.wire.accept(true);
      await vi.waitFor(() => expect(there.mock.calls).toEqual([[undefined]]), SOON);
    });

    test('a wire that falls silent holds nobody up for more than about 2 s', async () => {
      house.wire.mute();
      const started = performance.now();
      await house.cut.announce('keys');
      expect(performance.now() - started).toBeLessThan(2500);
      house.wire.cut();
    });
  });
}
