/**
 * Prepared statements on PostgreSQL that bypass Prisma, for the few statements that run with every
 * token. A Prisma query costs twice the CPU time, and a transaction ten times that of one
 * equivalent statement.
 *
 * Statements are pipelined on a few connections and commit one by one. Never wait for one inside a
 * Prisma transaction that holds a lock which an earlier statement needs.
 */
import pg from 'pg';
import { corkUntilNextTurn } from '../cork.js';

export interface Statement {
  /** The name under which each connection prepares it. */
  name: string;
  text: string;
}

export interface Prepared {
  run<Row>(statement: Statement, values: unknown[]): Promise<{ rows: Row[]; count: number }>;
  /** For libraries that need a pool. */
  pool: { query(statement: pg.QueryConfig): Promise<pg.QueryResult> };
  close(): Promise<void>;
}

interface Line {
  client: pg.Client;
  /** Rejects if there is no connection. */
  connected: Promise<unknown>;
  /** The number of statements without a response. */
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
      corkUntilNextTurn(line.client.connection.stream);
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

  /**
   * Discards a broken connection and rejects its statements. The next statement opens another one.
   */
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
