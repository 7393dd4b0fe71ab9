/**
 * Publishes changes of cached data to the other server processes and the command line: through
 * Redis, PostgreSQL, or a polled SQLite table. A message only invalidates caches; it carries no
 * data.
 */
import { type Database, parseDatabaseUrl } from './db/open.js';
import type { Subscriber, Transport } from './invalidation-bus/transport.js';
import type { Log } from './log.js';

/**
 * Receives the id of the record that changed. Undefined if the record is unknown: all cached
 * records of the topic are invalid.
 */
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

const RETRY_INTERVAL_MS = 1000;

/** Opens the bus. Call `publish` after the commit, never inside a transaction. */
export async function openInvalidationBus(deps: Deps): Promise<InvalidationBus> {
  const { log } = deps;
  const listeners = new Map<string, Set<Listener>>();
  const undeliveredTopics = new Set<string>();
  const transport = await openTransport(deps, { onMessage, onMissedMessages });
  const retryTimer = setInterval(retryUndelivered, RETRY_INTERVAL_MS).unref();
  return { publish, on, close };

  async function publish(topic: string, id?: string): Promise<void> {
    onMessage(topic, id);
    await sendToOthers(topic, id);
  }

  function on(topic: string, listener: Listener): () => void {
    const topicListeners = listeners.get(topic) ?? new Set();
    listeners.set(topic, topicListeners.add(listener));
    return () => void topicListeners.delete(listener);
  }

  async function close(): Promise<void> {
    clearInterval(retryTimer);
    await retryUndelivered();
    await transport.close();
    listeners.clear();
  }

  async function sendToOthers(topic: string, id?: string): Promise<void> {
    try {
      await transport.send(topic, id);
    } catch (error) {
      log.error({ error, topic }, 'could not publish a cache invalidation; will retry');
      undeliveredTopics.add(topic);
    }
  }

  /** Sends without an id, because many records of a topic can have changed meanwhile. */
  async function retryUndelivered(): Promise<void> {
    for (const topic of [...undeliveredTopics]) {
      undeliveredTopics.delete(topic);
      await sendToOthers(topic);
    }
  }

  function onMessage(topic: string, id: string | undefined): void {
    for (const listener of listeners.get(topic) ?? []) {
      try {
        listener(id);
      } catch (error) {
        log.error({ error, topic }, 'an invalidation listener failed');
      }
    }
  }

  function onMissedMessages(): void {
    for (const topic of listeners.keys()) onMessage(topic, undefined);
  }
}

/** Opens the transport that the configuration selects, and loads only its driver. */
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
