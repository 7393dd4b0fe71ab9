/**
 * How one process tells the others that something changed, so that what they keep in memory is read anew: through
 * Redis, PostgreSQL or a polled table of SQLite. An announcement is a hint, never the news itself.
 */

import { type Database, parseUrl } from './db/open.js';
import type { Ears, Relay } from './invalidation-bus/transport.js';
import type { Log } from './log.js';

/** `id` is undefined when it is not known what of the topic changed: forget all of it. */
export type Listener = (id: string | undefined) => void;

export interface Announcements {
  /** This process hears itself before the promise resolves. Never rejects: what cannot be told now is told later. */
  announce(topic: string, id?: string): Promise<void>;
  /** Returns how to stop listening. */
  on(topic: string, listener: Listener): () => void;
  close(): Promise<void>;
}

interface Needs {
  db: Database;
  databaseUrl: string;
  redisUrl?: string | undefined;
  /** Keeps servers apart that share one Redis. */
  redisPrefix?: string | undefined;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const TELL_AGAIN_AFTER_MS = 1000;

/** Call `announce` after the commit, never inside a transaction. */
export async function openAnnouncements(needs: Needs): Promise<Announcements> {
  const { log } = needs;
  const listeners = new Map<string, Set<Listener>>();
  const untold = new Set<string>();
  const relay = await openRelay(needs, { hear, missed });
  const retrying = setInterval(tellAgain, TELL_AGAIN_AFTER_MS).unref();
  return { announce, on, close };

  async function announce(topic: string, id?: string): Promise<void> {
    hear(topic, id);
    await tell(topic, id);
  }

  function on(topic: string, listener: Listener): () => void {
    const ofTopic = listeners.get(topic) ?? new Set();
    listeners.set(topic, ofTopic.add(listener));
    return () => void ofTopic.delete(listener);
  }

  async function close(): Promise<void> {
    clearInterval(retrying);
    await tellAgain();
    await relay.close();
    listeners.clear();
  }

  async function tell(topic: string, id?: string): Promise<void> {
    try {
      await relay.send(topic, id);
    } catch (error) {
      log.error({ error, topic }, 'The other processes could not be told of a change; trying again');
      untold.add(topic);
    }
  }

  async function tellAgain(): Promise<void> {
    for (const topic of [...untold]) {
      untold.delete(topic);
      await tell(topic);
    }
  }

  function hear(topic: string, id: string | undefined): void {
    for (const listener of listeners.get(topic) ?? []) {
      try {
        listener(id);
      } catch (error) {
        log.error({ error, topic }, 'A listener failed');
      }
    }
  }

  function missed(): void {
    for (const topic of listeners.keys()) hear(topic, undefined);
  }
}

/** Each way loads its own driver only: what is not used takes up no memory. */
async function openRelay({ db, databaseUrl, redisUrl, redisPrefix = '', log }: Needs, ears: Ears): Promise<Relay> {
  if (redisUrl) {
    const { redisRelay } = await import('./invalidation-bus/redis.js');
    return redisRelay({ redisUrl, redisPrefix, ears, log });
  }
  if (parseUrl(databaseUrl).provider === 'postgresql') {
    const { postgresqlRelay } = await import('./invalidation-bus/postgresql.js');
    return postgresqlRelay({ databaseUrl, ears, log });
  }
  const { sqliteRelay } = await import('./invalidation-bus/sqlite.js');
  return sqliteRelay({ db, ears, log });
}
