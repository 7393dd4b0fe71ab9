/**
 * Messages through LISTEN and NOTIFY of PostgreSQL, on its own connection, because Prisma cannot
 * listen. DATABASE_URL must not lead to a transaction pooler, which breaks LISTEN.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../log.js';
import { deliver, encode, type Subscriber, type Transport } from './transport.js';

interface Deps {
  databaseUrl: string;
  subscriber: Subscriber;
  log: Pick<Log, 'info' | 'warn'>;
}

const CHANNEL = 'signet';
const RESPONSE_TIMEOUT_MS = 2000;
const PING_EVERY_MS = 10_000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 2000;

export async function createPostgresqlTransport({ databaseUrl, subscriber, log }: Deps): Promise<Transport> {
  const me = randomUUID();
  let closed = false;
  let client: pg.Client | undefined = await listen();
  // A connection that died in silence is noticed only by who writes to it.
  const pinging = setInterval(ping, PING_EVERY_MS).unref();

  return {
    async send(topic, id) {
      if (!client) throw new Error('PostgreSQL is not connected');
      await client.query('SELECT pg_notify($1, $2)', [CHANNEL, encode({ from: me, topic, id })]);
    },
    async close() {
      closed = true;
      clearInterval(pinging);
      await client?.end();
    },
  };

  async function listen(): Promise<pg.Client> {
    const next = new pg.Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: RESPONSE_TIMEOUT_MS,
      query_timeout: RESPONSE_TIMEOUT_MS,
      keepAlive: true,
    });
    next.on('notification', ({ payload = '' }) => deliver(payload, me, subscriber));
    next.on('error', () => lose(next));
    next.on('end', () => lose(next));
    try {
      await next.connect();
      await next.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      next.end().catch(() => {});
      throw error;
    }
    return next;
  }

  function lose(lost: pg.Client): void {
    if (closed || client !== lost) return;
    client = undefined;
    lost.end().catch(() => {});
    log.warn('The connection that listens to PostgreSQL is lost; reconnecting');
    void reconnect();
  }

  async function reconnect(): Promise<void> {
    for (let waitMs = RETRY_FIRST_MS; !closed; waitMs = Math.min(2 * waitMs, RETRY_LAST_MS)) {
      await sleep(waitMs, undefined, { ref: false });
      const next = await listen().catch(() => undefined);
      if (!next) continue;
      if (closed) return void next.end();
      client = next;
      log.info('Listening to PostgreSQL again');
      return subscriber.onMissedMessages();
    }
  }

  async function ping(): Promise<void> {
    const asked = client;
    await asked?.query('SELECT 1').catch(() => lose(asked));
  }
}
