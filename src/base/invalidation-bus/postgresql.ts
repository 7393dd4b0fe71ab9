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
  let closed = false;
  let client: pg.Client | undefined = await listen();
  // Only a query reveals that the network dropped the connection without closing it.
  const pingTimer = setInterval(ping, PING_INTERVAL_MS).unref();

  return {
    async send(topic, id) {
      if (!client) throw new Error('PostgreSQL is not connected');
      await client.query('SELECT pg_notify($1, $2)', [CHANNEL, encode({ from: senderId, topic, id })]);
    },
    async close() {
      closed = true;
      clearInterval(pingTimer);
      await client?.end();
    },
  };

  async function listen(): Promise<pg.Client> {
    const next = new pg.Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    next.on('notification', ({ payload = '' }) => deliver(payload, senderId, subscriber));
    next.on('error', () => onConnectionLost(next));
    next.on('end', () => onConnectionLost(next));
    try {
      await next.connect();
      await next.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      next.end().catch(() => {});
      throw error;
    }
    return next;
  }

  function onConnectionLost(lost: pg.Client): void {
    if (closed || client !== lost) return;
    client = undefined;
    lost.end().catch(() => {});
    log.warn('lost the PostgreSQL connection for LISTEN; reconnecting');
    void reconnect();
  }

  async function reconnect(): Promise<void> {
    for (let delayMs = MIN_RETRY_DELAY_MS; !closed; delayMs = Math.min(2 * delayMs, MAX_RETRY_DELAY_MS)) {
      await sleep(delayMs, undefined, { ref: false });
      const next = await listen().catch(() => undefined);
      if (!next) continue;
      if (closed) return void next.end();
      client = next;
      log.info('restored the PostgreSQL connection for LISTEN');
      return subscriber.onMissedMessages();
    }
  }

  async function ping(): Promise<void> {
    const pinged = client;
    await pinged?.query('SELECT 1').catch(() => onConnectionLost(pinged));
  }
}
