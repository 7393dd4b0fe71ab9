/**
 * Prepared statements on PostgreSQL, past the query engine: for the few statements that run with every token. An engine's query
 * costs twice the CPU time, a transaction of it ten times that of the one statement that can do the same. Not for anything else.
 */
import pg from 'pg';

export interface Statement {
  /** Each connection prepares it once, by this name. */
  name: string;
  text: string;
}

export interface Prepared {
  run<Row>(statement: Statement, values: unknown[]): Promise<{ rows: Row[]; count: number }>;
  /** For libraries that speak to a pool. */
  pool: pg.Pool;
  close(): Promise<void>;
}

const CONNECT_WITHIN_MS = 5000;
const ANSWER_WITHIN_MS = 10_000;

export function openPrepared(connectionString: string, { poolSize }: { poolSize: number }): Prepared {
  const pool = new pg.Pool({
    connectionString,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    query_timeout: ANSWER_WITHIN_MS, // as for the engine: the connection is given up, the request answered
    keepAlive: true,
    options: '-c TimeZone=UTC',
  });
  pool.on('error', () => {}); // an idle connection broke: the next statement opens another

  return {
    pool,
    async run<Row>({ name, text }: Statement, values: unknown[]) {
      const { rows, rowCount } = await pool.query({ name, text, values });
      return { rows: rows as Row[], count: rowCount ?? 0 };
    },
    close: () => pool.end(),
  };
}
