/**
 * Runs prepared statements on PostgreSQL without Prisma, for the few statements that run for every
 * token. A Prisma query takes twice the CPU time, and a Prisma transaction ten times.
 *
 * Statements are pipelined on a few connections, and each one commits on its own. Never await a
 * statement inside a Prisma transaction that holds a lock: an earlier statement in the pipeline can
 * wait for that lock.
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

interface Connection {
  client: pg.Client;
  /** Rejects if it cannot connect. */
  connected: Promise<unknown>;
  /** The number of statements without a response. */
  pendingCount: number;
}

const CONNECT_TIMEOUT_MS = 5000;
const QUERY_TIMEOUT_MS = 10_000;

/** Creates the pool. It opens connections when they are needed, up to `poolSize`. */
export function openPrepared(connectionString: string, { poolSize }: { poolSize: number }): Prepared {
  const connections = new Set<Connection>();

  return {
    pool: { query },
    async run<Row>(statement: Statement, values: unknown[]) {
      const { rows, rowCount } = await query({ ...statement, values });
      return { rows: rows as Row[], count: rowCount ?? 0 };
    },
    async close() {
      await Promise.all([...connections].map(endConnection));
    },
  };

  /** Ends a connection after its pending statements, which wait until it is connected. */
  async function endConnection({ client, connected }: Connection): Promise<void> {
    await connected.catch(() => {}); // its statements have already rejected
    await client.end();
  }

  async function query(statement: pg.QueryConfig): Promise<pg.QueryResult> {
    const connection = leastBusyConnection();
    connection.pendingCount += 1;
    try {
      await connection.connected;
      corkUntilNextTurn(connection.client.connection.stream);
      return await connection.client.query(statement);
    } finally {
      connection.pendingCount -= 1;
    }
  }

  /** Returns an idle connection, a new one, or the one with the fewest pending statements. */
  function leastBusyConnection(): Connection {
    let best: Connection | undefined;
    for (const candidate of connections) {
      if (!best || candidate.pendingCount < best.pendingCount) best = candidate;
    }
    return best && (best.pendingCount === 0 || connections.size >= poolSize) ? best : openConnection();
  }

  /** Opens a connection. If it breaks, it leaves the pool, and its pending statements reject. */
  function openConnection(): Connection {
    const client = new pg.Client({
      connectionString,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS, // as in open.ts
      keepAlive: true,
      options: '-c TimeZone=UTC',
      pipeline: true,
    });
    const connection = { client, connected: client.connect(), pendingCount: 0 };
    const discard = () => connections.delete(connection);
    client.on('error', discard).on('end', discard);
    connection.connected.catch(discard);
    connections.add(connection);
    return connection;
  }
}
