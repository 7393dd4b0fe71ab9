import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate, pendingMigrations } from '../../src/base/db/migrate.js';
import { type Database, openDatabase, parseDatabaseUrl } from '../../src/base/db/open.js';
import { databases, type OpenStore } from '../support/stores.js';

const SHIPPED = 'prisma/migrations';
const future = () => new Date(Date.now() + 60_000);

describe.each(databases)('a database on $name', ({ open }) => {
  let store: OpenStore;
  let db: Database;
  let secondClient: Database;

  beforeAll(async () => {
    store = await open();
    db = await openDatabase(store.databaseUrl);
    secondClient = await openDatabase(store.databaseUrl, { poolSize: 5 });
  });

  afterAll(async () => {
    await db.$disconnect();
    await secondClient.$disconnect();
    await store.close();
  });

  test('keeps the acknowledged write of another request when a transaction rolls back', async () => {
    const began = gate();
    const transaction = db.$transaction(async (tx) => {
      await tx.cacheVersion.create({ data: { topic: 'inside' } });
      began.resolve();
      await sleep(150);
      throw new Error('roll back');
    });
    await began.promise;
    // Promise.all starts the query now. Prisma would start it when it is awaited.
    const outside = Promise.all([db.cacheVersion.create({ data: { topic: 'outside' } })]);
    await expect(transaction).rejects.toThrow('roll back');
    await outside;
    expect(await db.cacheVersion.findMany({ where: { topic: { in: ['inside', 'outside'] } } })).toMatchObject([
      { topic: 'outside' },
    ]);
  });

  test('hides uncommitted rows from readers without blocking them', async () => {
    const began = gate();
    const finish = gate();
    const transaction = db.$transaction(async (tx) => {
      await tx.cacheVersion.create({ data: { topic: 'uncommitted' } });
      began.resolve();
      await finish.promise;
    });
    await began.promise;
    expect(await db.cacheVersion.findUnique({ where: { topic: 'uncommitted' } })).toBeNull();
    finish.resolve();
    await transaction;
    expect(await db.cacheVersion.findUnique({ where: { topic: 'uncommitted' } })).not.toBeNull();
  });

  test('applies exactly one of 20 concurrent conditional updates', async () => {
    for (let round = 0; round < 10; round++) {
      const id = `code-${round}`;
      await db.oidcArtifact.create({ data: { kind: 'code', id, payload: {}, expiresAt: future() } });
      const claims = await parallel(20, (i) =>
        (i % 2 ? db : secondClient).oidcArtifact.updateMany({
          where: { kind: 'code', id, consumedAt: null },
          data: { consumedAt: new Date() },
        }),
      );
      expect(claims.filter(({ count }) => count === 1)).toHaveLength(1);
    }
  });

  test('applies all of 20 concurrent increments', async () => {
    await db.cacheVersion.create({ data: { topic: 'counter' } });
    await parallel(20, (i) =>
      (i % 2 ? db : secondClient).cacheVersion.update({
        where: { topic: 'counter' },
        data: { version: { increment: 1n } },
      }),
    );
    expect((await db.cacheVersion.findUniqueOrThrow({ where: { topic: 'counter' } })).version).toBe(20n);
  });

  test('runs 20 concurrent upserts of one row', async () => {
    const upsert = { where: { topic: 'upsert' }, create: { topic: 'upsert', version: 1n } };
    await parallel(20, (i) =>
      (i % 2 ? db : secondClient).cacheVersion.upsert({ ...upsert, update: { version: { increment: 1n } } }),
    );
    expect((await db.cacheVersion.findUniqueOrThrow({ where: { topic: 'upsert' } })).version).toBe(20n);
  });

  test('deletes everything that belongs to an account with it', async () => {
    await db.account.create({
      data: {
        id: 'cascade',
        email: 'cascade@example.com',
        ownOrganization: { create: { id: 'co_cascade', name: 'Own' } },
        grants: {
          create: {
            id: 'grant',
            clientId: 'client',
            payload: {},
            expiresAt: future(),
            refreshTokens: { create: [1, 2].map((n) => ({ id: `token-${n}`, payload: {}, expiresAt: future() })) },
          },
        },
      },
    });
    expect(await db.refreshToken.count({ where: { grantId: 'grant' } })).toBe(2);
    await db.account.delete({ where: { id: 'cascade' } });
    expect(await db.refreshToken.count({ where: { grantId: 'grant' } })).toBe(0);
    expect(await db.organization.findUnique({ where: { id: 'co_cascade' } })).toMatchObject({ ownerId: null });
  });

  test.each(['2026-11-22T07:08:09.123Z', '1969-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'])(
    'keeps the date %s to the millisecond and compares it as a time',
    async (text) => {
      const at = new Date(text);
      const { id } = await db.auditEvent.create({ data: { at, action: text, actorKind: 'system' } });
      expect((await db.auditEvent.findUniqueOrThrow({ where: { id } })).at).toEqual(at);
      const count = (range: object) => db.auditEvent.count({ where: { action: text, at: range } });
      expect(await count({ equals: at })).toBe(1);
      expect(await count({ lt: at })).toBe(0);
      expect(await count({ gt: new Date(at.getTime() - 1) })).toBe(1);
    },
  );

  test('fills in the current time in UTC', async () => {
    const { at } = await db.auditEvent.create({ data: { action: 'now', actorKind: 'system' } });
    expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(5000);
    const [row] = await db.$queryRaw<{ now: Date | string }[]>`SELECT CURRENT_TIMESTAMP AS now`;
    const now = row!.now instanceof Date ? row!.now : new Date(`${row!.now}Z`);
    expect(Math.abs(now.getTime() - Date.now())).toBeLessThan(5000);
  });

  test.each([9_007_199_254_740_993n, 9_223_372_036_854_775_807n, -1n])(
    'keeps the integer %s exactly',
    async (version) => {
      await db.cacheVersion.create({ data: { topic: `big ${version}`, version } });
      expect(await db.cacheVersion.findFirst({ where: { version } })).toEqual({ topic: `big ${version}`, version });
    },
  );

  test('stores Json unchanged, except for the order of keys', async () => {
    const metadata = {
      z: 1,
      list: [1.5, 1e21, null, true, 'é 😀 "quoted" ; -- \'', { 'k.k': [] }],
      escaped: 'a backslash and \\u0000 are no NUL',
      nested: { b: 2, a: '' },
    };
    await db.client.create({ data: { id: 'json', metadata, origin: 'admin' } });
    expect((await db.client.findUniqueOrThrow({ where: { id: 'json' } })).metadata).toEqual(metadata);
  });

  test('rejects a NUL character in text and in Json', async () => {
    const create = (name: string, metadata: object) =>
      db.client.create({ data: { id: 'nul', name, metadata, origin: 'admin' } });
    await expect(create('a\0b', {})).rejects.toThrow();
    await expect(create('ab', { deep: ['x\0y'] })).rejects.toThrow();
    expect(await db.client.findUnique({ where: { id: 'nul' } })).toBeNull();
  });

  test('uses the same error codes for constraint violations and missing rows', async () => {
    const email = 'codes@example.com';
    await db.account.create({ data: { id: 'codes', email } });
    const grant = { id: 'orphan', accountId: 'unknown', clientId: 'c', payload: {}, expiresAt: future() };
    expect(await codeOf(db.account.create({ data: { id: 'other', email } }))).toBe('P2002');
    expect(await codeOf(db.account.create({ data: { id: 'codes', email: 'free@example.com' } }))).toBe('P2002');
    expect(await codeOf(db.grant.create({ data: grant }))).toBe('P2003');
    expect(await codeOf(db.account.update({ where: { id: 'unknown' }, data: { name: 'x' } }))).toBe('P2025');
    expect(await codeOf(db.account.delete({ where: { id: 'unknown' } }))).toBe('P2025');
    expect(await codeOf(db.$transaction([db.grant.create({ data: grant })]))).toBe('P2003');
  });

  test('accepts exactly one of 20 concurrent rows with the same unique value', async () => {
    const codes = await parallel(20, (i) =>
      codeOf((i % 2 ? db : secondClient).account.create({ data: { id: `race-${i}`, email: 'race@example.com' } })),
    );
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 'P2002')).toHaveLength(19);
  });

  test('rejects statements after the end of their transaction, and keeps working', async () => {
    const late = db.$transaction(
      async (tx) => {
        await tx.cacheVersion.create({ data: { topic: 'late-1' } });
        await sleep(300);
        await tx.cacheVersion.create({ data: { topic: 'late-2' } });
      },
      { timeout: 100 },
    );
    expect(await codeOf(late)).toBe('P2028');
    expect(await db.cacheVersion.count({ where: { topic: { startsWith: 'late-' } } })).toBe(0);
    let escaped: typeof db | undefined;
    await db.$transaction(async (tx) => {
      escaped = tx as typeof db;
    });
    expect(await codeOf(escaped!.cacheVersion.create({ data: { topic: 'late-3' } }))).toBe('P2028');
    await db.cacheVersion.create({ data: { topic: 'afterwards' } });
  });

  test('compares text case-sensitively, and accepts long lists', async () => {
    await db.resource.createMany({
      data: ['a', 'A', 'é'].map((name) => ({ name, identifier: `https://example.com/${name}` })),
    });
    expect(await db.resource.count({ where: { name: 'a' } })).toBe(1);
    expect(await db.resource.count({ where: { name: { contains: 'A' } } })).toBe(1);
    const many = Array.from({ length: 40_000 }, (_, i) => `${i}`);
    expect(await db.resource.findMany({ where: { name: { in: [...many, 'é'] } } })).toHaveLength(1);
  });
});

describe.each(databases)('migrations on $name', ({ name, open, openBlank }) => {
  const provider = name === 'SQLite' ? 'sqlite' : 'postgresql';

  test('are applied once when two processes start together', async () => {
    await withStore(openBlank, async (url) => {
      const shipped = await pendingMigrations(url);
      expect(shipped.length).toBeGreaterThan(0);
      const applied = await Promise.all([migrate(url), migrate(url)]);
      expect(applied.flat().sort()).toEqual(shipped);
      expect(await pendingMigrations(url)).toEqual([]);
      expect(await migrate(url)).toEqual([]);
    });
  });

  test('reject a script that was edited after it was applied', async () => {
    await withStore(open, async (url) => {
      const edited = copyOfMigrations();
      const [first] = await pendingMigrationsOfBlank(openBlank);
      writeFileSync(join(edited, provider, first!, 'migration.sql'), '-- edited');
      await expect(migrate(url, edited)).rejects.toThrow(`Migration ${first} was edited after it was applied.`);
    });
  });

  test('reject a database that is newer than the program', async () => {
    await withStore(open, async (url) => {
      await migrate(url, withMigration('99990101000000_future', 'CREATE TABLE "Future" ("id" TEXT)'));
      await expect(migrate(url)).rejects.toThrow('The database is newer than this version');
    });
  });

  test('roll back a script that fails', async () => {
    await withStore(open, async (url) => {
      const broken = withMigration('99990101000000_broken', 'CREATE TABLE "Half" ("id" TEXT); SELECT * FROM missing;');
      await expect(migrate(url, broken)).rejects.toThrow('Migration 99990101000000_broken was not applied');
      expect(await migrate(url, withMigration('99990101000001_again', 'CREATE TABLE "Half" ("id" TEXT)'))).toEqual([
        '99990101000001_again',
      ]);
    });
  });

  test('run a script with a semicolon inside a string', async () => {
    await withStore(open, async (url) => {
      const insert = `INSERT INTO "CacheVersion" ("topic", "version") VALUES ('a;b''; --', 7); DELETE FROM "RateLimit";`;
      await migrate(url, withMigration('99990101000000_semicolon', insert));
      await withDatabase(url, async (db) => {
        expect(await db.cacheVersion.findMany()).toEqual([{ topic: "a;b'; --", version: 7n }]);
      });
    });
  });
});

test('rebuilding an SQLite table deletes no children, and is rolled back if it orphans them', async () => {
  await withStore(databases[0]!.open, async (url) => {
    await withDatabase(url, async (db) => {
      await db.resource.create({
        data: { id: 'r', identifier: 'urn:r', name: 'R', scopes: { create: { name: 'read', description: 'Read' } } },
      });
    });
    const rebuild = (rows: string) => `
      PRAGMA defer_foreign_keys=ON; PRAGMA foreign_keys=OFF;
      CREATE TABLE "new_Resource" AS SELECT * FROM "Resource" ${rows};
      DROP TABLE "Resource"; ALTER TABLE "new_Resource" RENAME TO "Resource";
      CREATE UNIQUE INDEX "Resource_id" ON "Resource"("id");
      PRAGMA foreign_keys=ON; PRAGMA defer_foreign_keys=OFF;`;
    const losing = withMigration('99990101000000_losing', rebuild('WHERE 1 = 0'));
    await expect(migrate(url, losing)).rejects.toThrow('it leaves dangling foreign keys');
    await migrate(url, withMigration('99990101000001_rebuild', rebuild('')));
    await withDatabase(url, async (db) => {
      expect(await db.resourceScope.count()).toBe(1);
      expect(await db.resource.count()).toBe(1);
    });
  });
});

describe('a database URL', () => {
  test('names a relative or absolute file, and the synchronous mode', () => {
    expect(parseDatabaseUrl('file:./data/signet.db')).toEqual({
      provider: 'sqlite',
      path: './data/signet.db',
      synchronous: 'FULL',
    });
    expect(parseDatabaseUrl('file:///var/lib/signet.db?synchronous=normal')).toEqual({
      provider: 'sqlite',
      path: '/var/lib/signet.db',
      synchronous: 'NORMAL',
    });
  });

  test('can start with postgres: or postgresql:', () => {
    for (const url of ['postgres://host/name', 'postgresql://host/name']) {
      expect(parseDatabaseUrl(url)).toEqual({ provider: 'postgresql', url });
    }
  });

  test.each(['mysql://host/name', 'file:', 'file::memory:', 'file:a.db?synchronous=off', ''])(
    'cannot be "%s"',
    (url) => {
      expect(() => parseDatabaseUrl(url)).toThrow(/^The database URL m/);
    },
  );
});

function parallel<T>(times: number, action: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, i) => action(i)));
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}

async function withStore(open: () => Promise<OpenStore>, action: (url: string) => Promise<void>): Promise<void> {
  const store = await open();
  try {
    await action(store.databaseUrl);
  } finally {
    await store.close();
  }
}

async function withDatabase(url: string, action: (db: Database) => Promise<void>): Promise<void> {
  const db = await openDatabase(url);
  try {
    await action(db);
  } finally {
    await db.$disconnect();
  }
}

async function pendingMigrationsOfBlank(openBlank: () => Promise<OpenStore>): Promise<string[]> {
  let names: string[] = [];
  await withStore(openBlank, async (url) => {
    names = await pendingMigrations(url);
  });
  return names;
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function copyOfMigrations(): string {
  const folder = mkdtempSync(join(tmpdir(), 'signet-migrations-'));
  folders.push(folder);
  cpSync(SHIPPED, folder, { recursive: true });
  return folder;
}

function withMigration(name: string, sql: string): string {
  const folder = copyOfMigrations();
  for (const provider of ['sqlite', 'postgresql']) {
    mkdirSync(join(folder, provider, name));
    writeFileSync(join(folder, provider, name, 'migration.sql'), sql);
  }
  return folder;
}

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}
