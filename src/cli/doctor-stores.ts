/** The checks of `signet doctor` on the database and Redis. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../base/config.js';
import { pendingMigrations } from '../base/db/migrate.js';
import { type Database, openDatabase, Prisma, parseDatabaseUrl } from '../base/db/open.js';
import { type CheckResult, fail, hasAccessForOthers, ok, warn } from './doctor-result.js';

const MAX_CLOCK_SKEW_MS = 2000;

/** Checks the connection, the migrations, the tables and the clock. Migrates nothing. */
export async function checkDatabase({ databaseUrl }: Config): Promise<CheckResult[]> {
  const target = parseDatabaseUrl(databaseUrl);
  const location =
    target.provider === 'sqlite' ? `SQLite at ${target.path}` : `PostgreSQL at ${new URL(target.url).host}`;
  if (target.provider === 'sqlite' && !existsSync(target.path))
    return [warn('database', `${location} does not exist yet: the first start creates it`)];
  try {
    const pending = await pendingMigrations(databaseUrl);
    if (pending.length > 0)
      return [
        warn(
          'database',
          `${location} lacks migrations, which the next start of the server applies: ${pending.join(', ')}`,
        ),
      ];
    const db = await openDatabase(databaseUrl, { poolSize: 1 });
    try {
      const differing = await findDifferingModels(db);
      if (differing.length > 0)
        return [
          fail(
            'database',
            `${location} does not match this version in ${differing.join(', ')}: undo manual changes of the schema`,
          ),
        ];
      const result =
        target.provider === 'sqlite' && isReadableByOthers(target.path)
          ? warn('database', `other users can read ${target.path}: chmod 600 ${target.path}`)
          : ok('database', `${location}, migrated`);
      return [result, await checkClock(db, target.provider)];
    } finally {
      await db.$disconnect();
    }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return [fail('database', `${location}: ${message || code}; check DATABASE_URL, and that the database is running`)];
  }
}

/**
 * Reports whether other users have access to both the file and its folder. A restored copy of the
 * file often has the default mode of `cp`.
 */
const isReadableByOthers = (path: string) => [path, dirname(path)].every(hasAccessForOthers);

/** Selects a row of every model. The query fails if the table or a column is missing. */
async function findDifferingModels(db: Database): Promise<string[]> {
  const differing: string[] = [];
  for (const model of Object.values(Prisma.ModelName)) {
    const table = (db as unknown as Record<string, { findFirst(): Promise<unknown> }>)[
      model[0]!.toLowerCase() + model.slice(1)
    ]!;
    await table.findFirst().catch(() => differing.push(model));
  }
  return differing;
}

async function checkClock(db: Database, provider: 'sqlite' | 'postgresql'): Promise<CheckResult> {
  if (provider === 'sqlite') return ok('clock', 'database clock is in sync');
  const startedAtMs = Date.now();
  const [row] = await db.$queryRaw<
    { ms: number }[]
  >`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms`;
  const skewMs = Math.round(Number(row?.ms) - (startedAtMs + Date.now()) / 2);
  if (Math.abs(skewMs) > MAX_CLOCK_SKEW_MS)
    return fail('clock', `the database clock differs by ${skewMs} ms: synchronize both with the same time server`);
  return ok('clock', `database clock is in sync (${skewMs} ms)`);
}

/** Checks the connection to Redis and its eviction policy. */
export async function checkRedis({ redisUrl, databaseUrl, processes }: Config): Promise<CheckResult[]> {
  if (!redisUrl) {
    const isSingleProcess = parseDatabaseUrl(databaseUrl).provider === 'sqlite' || processes === 1;
    return [
      ok('redis', isSingleProcess ? 'not used, and not needed' : 'not used: short-lived state is stored in PostgreSQL'),
    ];
  }
  const warnings: string[] = [];
  const recordWarning = (...parameters: unknown[]) => void warnings.push(String(parameters.at(-1)));
  const { closeRedis, openRedis } = await import('../base/redis.js');
  try {
    await closeRedis(await openRedis(redisUrl, { log: { info: () => {}, warn: recordWarning } as never }));
  } catch (error) {
    return [fail('redis', `${(error as Error).message}; check REDIS_URL`)];
  }
  return [warnings[0] ? warn('redis', warnings[0]) : ok('redis', `${new URL(redisUrl).host}, noeviction`)];
}
