/**
 * Copies all data between SQLite and PostgreSQL, in either direction. The target must be empty. One
 * transaction fills it, and compares it with the source before the commit.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { migrate, pendingMigrations } from './migrate.js';
import { openDatabase, type Prisma, parseDatabaseUrl, type Queryable } from './open.js';

/**
 * All models with their primary keys, parents before children. A missing model is a compile error.
 */
const MODELS: Record<Prisma.ModelName, readonly string[]> = {
  Account: ['id'],
  Organization: ['id'],
  Membership: ['accountId', 'organizationId'],
  Project: ['id'],
  Invitation: ['id'],
  ApiKey: ['id'],
  Tool: ['id'],
  Permission: ['id'],
  Agent: ['id'],
  Approval: ['id'],
  Session: ['id'],
  SessionClient: ['sessionId', 'clientId'],
  Client: ['id'],
  Resource: ['id'],
  ResourceScope: ['resourceId', 'name'],
  ResourceClient: ['resourceId', 'clientId'],
  Consent: ['id'],
  Grant: ['id'],
  RefreshToken: ['id'],
  OidcArtifact: ['kind', 'id'],
  OneTimeToken: ['tokenHash'],
  TotpFactor: ['accountId'],
  RecoveryCode: ['accountId', 'codeHash'],
  FederatedIdentity: ['id'],
  StoredTokens: ['identityId'],
  SigningKey: ['kid'],
  AuditEvent: ['id'],
  CacheVersion: ['topic'],
  RateLimit: ['key'],
};
const PAGE_SIZE = 500;
const TRANSACTION_TIMEOUTS = { maxWait: 10_000, timeout: 3_600_000 } as const;

type Row = Record<string, unknown>;
export type CopiedModel = { model: string; rows: number };

/**
 * Copies `from` to `to` and returns the number of rows per model. Throws on any error, and leaves
 * the target empty.
 */
export async function copyDatabase(from: string, to: string): Promise<CopiedModel[]> {
  await requireCurrentSchema(from);
  await migrate(to);
  const [source, target] = [await openDatabase(from), await openDatabase(to)];
  try {
    // The source must not change while it is copied. On PostgreSQL, the transaction reads one
    // snapshot. On SQLite, it blocks all other writers.
    return await source.$transaction(
      (sourceTx) => target.$transaction((targetTx) => copyAllModels(sourceTx, targetTx), TRANSACTION_TIMEOUTS),
      { ...TRANSACTION_TIMEOUTS, isolationLevel: 'Serializable' },
    );
  } finally {
    await Promise.all([source.$disconnect(), target.$disconnect()]);
  }
}

/** Throws if the source is missing (SQLite would create an empty one) or needs migrations. */
async function requireCurrentSchema(from: string): Promise<void> {
  const source = parseDatabaseUrl(from);
  if (source.provider === 'sqlite' && !existsSync(source.path))
    throw new Error(`There is no database at ${source.path}.`);
  const pending = await pendingMigrations(from);
  if (pending.length > 0) throw new Error('The source database needs migrations: start this version on it once.');
}

async function copyAllModels(source: Queryable, target: Queryable): Promise<CopiedModel[]> {
  const models = Object.entries(MODELS);
  for (const [model] of models) {
    if ((await tableOf(target, model).count()) > 0)
      throw new Error(`The target is not empty: it has rows in ${model}.`);
  }
  const copiedModels: CopiedModel[] = [];
  for (const [model, key] of models) copiedModels.push({ model, rows: await copyModel(source, target, model, key) });
  return copiedModels;
}

async function copyModel(source: Queryable, target: Queryable, model: string, key: readonly string[]): Promise<number> {
  let rowCount = 0;
  for await (const rows of readPages(source, model, key)) {
    rowCount += (await tableOf(target, model).createMany({ data: rows.map(withoutNulls) })).count;
  }
  const [original, copy] = [await fingerprint(source, model, key), await fingerprint(target, model, key)];
  if (original !== copy) throw new Error(`The copy of ${model} differs from the original.`);
  return rowCount;
}

/** Omits nulls: no optional column has a default, and Json columns reject a plain null. */
function withoutNulls(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}

/** Yields all rows in the order of their primary keys. */
async function* readPages(db: Queryable, model: string, key: readonly string[]): AsyncGenerator<Row[]> {
  const orderBy = key.map((field) => ({ [field]: 'asc' }));
  let lastRow: Row | undefined;
  do {
    const rows: Row[] = await tableOf(db, model).findMany({
      take: PAGE_SIZE,
      orderBy,
      ...(lastRow && startAfter(lastRow, key)),
    });
    if (rows.length > 0) yield rows;
    lastRow = rows.length === PAGE_SIZE ? rows.at(-1) : undefined;
  } while (lastRow);
}

function startAfter(row: Row, key: readonly string[]) {
  const values = Object.fromEntries(key.map((field) => [field, row[field]]));
  return { cursor: key.length === 1 ? values : { [key.join('_')]: values }, skip: 1 };
}

/** Returns a checksum that does not depend on the order of rows, or of keys in Json. */
async function fingerprint(db: Queryable, model: string, key: readonly string[]): Promise<string> {
  const sum = new Uint32Array(8);
  for await (const rows of readPages(db, model, key)) {
    for (const row of rows) {
      const digest = createHash('sha256')
        .update(JSON.stringify(canonical(row)))
        .digest();
      for (const i of sum.keys()) sum[i] = sum[i]! + digest.readUInt32LE(4 * i);
    }
  }
  return Buffer.from(sum.buffer).toString('hex');
}

function canonical(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(canonical);
  if (!value || typeof value !== 'object') return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, canonical(member)]));
}

/** The operations that all models share. TypeScript cannot call them on a union of models. */
interface Table {
  count(): Promise<number>;
  findMany(args: object): Promise<Row[]>;
  createMany(args: { data: Row[] }): Promise<{ count: number }>;
}

function tableOf(db: Queryable, model: string): Table {
  return (db as unknown as Record<string, Table>)[model[0]!.toLowerCase() + model.slice(1)]!;
}
