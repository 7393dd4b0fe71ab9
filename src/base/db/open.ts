/**
 * Opens the database: SQLite or PostgreSQL, depending on its URL. All code uses the types of the
 * SQLite client, so that the compiler rejects what only PostgreSQL supports.
 */
import type { PrismaClient } from '../../generated/sqlite/client.js';

export * from '../../generated/sqlite/client.js';
export type Database = PrismaClient;

/** The database or a transaction, for functions that accept both. */
export type Queryable = Omit<Database, '$connect' | '$disconnect' | '$on' | '$use' | '$extends' | '$transaction'>;

export type SqliteTarget = { provider: 'sqlite'; path: string; synchronous: 'FULL' | 'NORMAL' };
export type PostgresqlTarget = { provider: 'postgresql'; url: string };
export type Target = SqliteTarget | PostgresqlTarget;

const DEFAULT_POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 5000;
const QUERY_TIMEOUT_MS = 10_000;

/** Parses `file:<path>[?synchronous=full|normal]` or `postgresql://…`. Throws for anything else. */
export function parseDatabaseUrl(url: string): Target {
  if (/^postgres(ql)?:\/\//.test(url)) return { provider: 'postgresql', url };
  if (!url.startsWith('file:')) throw new Error('The database URL must start with file: or postgresql://.');
  const [path = '', query] = url.slice('file:'.length).split('?', 2);
  const synchronous = new URLSearchParams(query).get('synchronous')?.toUpperCase() ?? 'FULL';
  if (!path || path === ':memory:') throw new Error('The database URL must name a file: file:./data/signet.db.');
  if (synchronous !== 'FULL' && synchronous !== 'NORMAL') {
    throw new Error('The database URL must have no parameter other than synchronous=full or synchronous=normal.');
  }
  return { provider: 'sqlite', path: path.replace(/^\/\/(?=\/)/, ''), synchronous };
}

/**
 * Opens a migrated database. The first query connects to PostgreSQL. `poolSize` is the number
 * of PostgreSQL connections.
 */
export async function openDatabase(url: string, { poolSize = DEFAULT_POOL_SIZE } = {}): Promise<Database> {
  const target = parseDatabaseUrl(url);
  return target.provider === 'sqlite' ? openSqlite(target) : openPostgresql(target, poolSize);
}

// Each function imports only its own client and driver, because the query compiler of the other
// provider would take up memory.
async function openSqlite(target: SqliteTarget): Promise<Database> {
  const { PrismaClient } = await import('../../generated/sqlite/client.js');
  const { PrismaSqlite } = await import('./sqlite-adapter.js');
  return new PrismaClient({ adapter: new PrismaSqlite(target) });
}

async function openPostgresql({ url }: PostgresqlTarget, poolSize: number): Promise<Database> {
  const { PrismaClient } = await import('../../generated/postgresql/client.js');
  const { PrismaPg } = await import('@prisma/adapter-pg');
  const adapter = new PrismaPg({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // Closes the connection, so that requests do not hang if the server stops responding.
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    options: '-c TimeZone=UTC', // the adapter reads the server's local time as UTC
  });
  return new PrismaClient({ adapter }) as Database; // the only cast between the two clients
}
