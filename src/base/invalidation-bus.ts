/**
 * Tells other processes and the command line which cached data has changed: through Redis,
 * PostgreSQL, or a polled SQLite table. A message only invalidates caches; it never carries data.
 */

import { type Database, parseDatabaseUrl } from './db/open.js';
import type { Subscriber, Transport } from './invalidation-bus/transport.js';
import type { Log } from './log.js';

/** `id` is undefined if it is not known what changed: everything of the topic is invalid. */
export type Listener = (id: string | undefined) => void;

export interface InvalidationBus {
  /**
   * Publishes a change. Subscribers in this process run before the promise resolves. Never rejects:
   * an undelivered message is sent again later.
   */
  publish(topic: string, id?: string): Promise<void>;
  /** Returns a function that unsubscribes. */
  on(topic: string, listener: Listener): () => void;
  close(): Promise<void>;
}

interface Deps {
  db: Database;
  databaseUrl: string;
  redisUrl?: string | undefined;
  /** Separates installations that share one Redis. */
  redisPrefix?: string | undefined;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const RETRY_AFTER_MS = 1000;

/** Opens the bus. Call `publish` after the commit, never inside a transaction. */
export async function openInvalidationBus(deps: Deps): Promise<InvalidationBus> {
  const { log } = deps;
  const listeners = new Map<string, Set<Listener>>();
  const pending = new Set<string>();
  const transport = await openTransport(deps, { onMessage, onMissedMessages });
  const retrying = setInterval(retryPending, RETRY_AFTER_MS).unref();
  return { publish, on, close };

  async function publish(topic: string, id?: string): Promise<void> {
    onMessage(topic, id);
    await tell(topic, id);
  }

  function on(topic: string, listener: Listener): () => void {
    const ofTopic = listeners.get(topic) ?? new Set();
    listeners.set(topic, ofTopic.add(listener));
    return () => void ofTopic.delete(listener);
  }

  async function close(): Promise<void> {
    clearInterval(retrying);
    await retryPending();
    await transport.close();
    listeners.clear();
  }

  async function tell(topic: string, id?: string): Promise<void> {
    try {
      await transport.send(topic, id);
    } catch (error) {
      log.error({ error, topic }, 'The other processes could not be told of a change; trying again');
      pending.add(topic);
    }
  }

  async function retryPending(): Promise<void> {
    for (const topic of [...pending]) {
      pending.delete(topic);
      await tell(topic);
    }
  }

  function onMessage(topic: string, id: string | undefined): void {
    for (const listener of listeners.get(topic) ?? []) {
      try {
        listener(id);
      } catch (error) {
        log.error({ error, topic }, 'A listener failed');
      }
    }
  }

  function onMissedMessages(): void {
    for (const topic of listeners.keys()) onMessage(topic, undefined);
  }
}

/** Loads only the driver that is used. */
async function openTransport(
  { db, databaseUrl, redisUrl, redisPrefix = '', log }: Deps,
  subscriber: Subscriber,
): Promise<Transport> {
  if (redisUrl) {
    const { createRedisTransport } = await import('./invalidation-bus/redis.js');
    return createRedisTransport({ redisUrl, redisPrefix, subscriber, log });
  }
  if (parseDatabaseUrl(databaseUrl).provider === 'postgresql') {
    const { createPostgresqlTransport } = await import('./invalidation-bus/postgresql.js');
    return createPostgresqlTransport({ databaseUrl, subscriber, log });
  }
  const { createSqliteTransport } = await import('./invalidation-bus/sqlite.js');
  return createSqliteTransport({ db, subscriber, log });
}
