/**
 * Sends messages through LISTEN and NOTIFY of PostgreSQL. It uses its own connection, because
 * Prisma does not support LISTEN. DATABASE_URL must not point to a transaction pooler, which breaks
 * LISTEN.
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
const QUERY_TIMEOUT_MS = 2000;
const PING_INTERVAL_MS = 10_000;
const MIN_RETRY_DELAY_MS = 50;
const MAX_RETRY_DELAY_MS = 2000;

/** Connects to PostgreSQL and listens. Rejects if it cannot connect; later, it reconnects. */
export async function createPostgresqlTransport({ databaseUrl, subscriber, log }: Deps): Promise<Transport> {
  const senderId = randomUUID();
  let isClosed = false;
  let client: pg.Client | undefined = await listen();
  // Only a query reveals that the network dropped the connection without closing it.
  const pingTimer = setInterval(ping, PING_INTERVAL_MS).unref();

  return {
    async send(topic, id) {
      if (!client) throw new Error('PostgreSQL is not connected');
      await client.query('SELECT pg_notify($1, $2)', [CHANNEL, encode({ from: senderId, topic, id })]);
    },
    async close() {
      isClosed = true;
      clearInterval(pingTimer);
      await client?.end();
    },
  };

  async function listen(): Promise<pg.Client> {
    const newClient = new pg.Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    newClient.on('notification', ({ payload = '' }) => deliver(payload, senderId, subscriber));
    newClient.on('error', () => onConnectionLost(newClient));
    newClient.on('end', () => onConnectionLost(newClient));
    try {
      await newClient.connect();
      await newClient.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      newClient.end().catch(() => {});
      throw error;
    }
    return newClient;
  }

  function onConnectionLost(lostClient: pg.Client): void {
    if (isClosed || client !== lostClient) return;
    client = undefined;
    lostClient.end().catch(() => {});
    log.warn('lost the PostgreSQL connection for LISTEN; reconnecting');
    void reconnect();
  }

  async function reconnect(): Promise<void> {
    for (let delayMs = MIN_RETRY_DELAY_MS; !isClosed; delayMs = Math.min(2 * delayMs, MAX_RETRY_DELAY_MS)) {
      await sleep(delayMs, undefined, { ref: false });
      const newClient = await listen().catch(() => undefined);
      if (!newClient) continue;
      if (isClosed) return void newClient.end();
      client = newClient;
      log.info('restored the PostgreSQL connection for LISTEN');
      return subscriber.onMissedMessages();
    }
  }

  async function ping(): Promise<void> {
    const activeClient = client;
    await activeClient?.query('SELECT 1').catch(() => onConnectionLost(activeClient));
  }
}
