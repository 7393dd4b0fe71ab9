/**
 * Prepared statements on PostgreSQL, past the query engine: for the few statements that run with
 * every token. An engine's query costs twice the CPU time, a transaction of it ten times that of
 * the one statement that can do the same. Not for anything else.
 *
 * They share a few connections, on which they follow each other without waiting for answers; each
 * commits by itself. So never ask for one while a transaction of the engine holds what a statement
 * before it may be waiting for.
 */
import pg from 'pg';
import { corkUntilNextTick } from '../cork.js';

export interface Statement {
  /** Each connection prepares it once, by this name. */
  name: string;
  text: string;
}

export interface Prepared {
  run<Row>(statement: Statement, values: unknown[]): Promise<{ rows: Row[]; count: number }>;
  /** For libraries that speak to a pool. */
  pool: { query(statement: pg.QueryConfig): Promise<pg.QueryResult> };
  close(): Promise<void>;
}

interface Line {
  client: pg.Client;
  /** Rejects when there was no connection. */
  connected: Promise<unknown>;
  /** Statements that are not answered yet. */
  waiting: number;
}

const CONNECT_TIMEOUT_MS = 5000;
const RESPONSE_TIMEOUT_MS = 10_000;

export function openPrepared(connectionString: string, { poolSize }: { poolSize: number }): Prepared {
  const lines = new Set<Line>();

  return {
    pool: { query },
    async run<Row>(statement: Statement, values: unknown[]) {
      const { rows, rowCount } = await query({ ...statement, values });
      return { rows: rows as Row[], count: rowCount ?? 0 };
    },
    async close() {
      await Promise.all([...lines].map(({ client }) => client.end()));
    },
  };

  async function query(statement: pg.QueryConfig): Promise<pg.QueryResult> {
    const line = shortestLine();
    line.waiting += 1;
    try {
      await line.connected;
      corkUntilNextTick(line.client.connection.stream);
      return await line.client.query(statement);
    } finally {
      line.waiting -= 1;
    }
  }

  function shortestLine(): Line {
    let shortest: Line | undefined;
    for (const line of lines) if (!shortest || line.waiting < shortest.waiting) shortest = line;
    return shortest && (shortest.waiting === 0 || lines.size >= poolSize) ? shortest : openLine();
  }

  /** One that breaks is given up with all that wait on it: the next statement opens another. */
  function openLine(): Line {
    const client = new pg.Client({
      connectionString,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: RESPONSE_TIMEOUT_MS, // as for the engine: the connection is given up, the request answered
      keepAlive: true,
      options: '-c TimeZone=UTC',
      pipeline: true,
    });
    const line = { client, connected: client.connect(), waiting: 0 };
    const giveUp = () => lines.delete(line);
    client.on('error', giveUp).on('end', giveUp);
    line.connected.catch(giveUp);
    lines.add(line);
    return line;
  }
}
