/**
 * Sends messages through the SQLite table `CacheVersion`, which the server and the command line
 * poll. Each topic has a version that every change increments.
 */
import type { Database } from '../db/open.js';
import type { Log } from '../log.js';
import type { Subscriber, Transport } from './transport.js';

interface Deps {
  db: Database;
  subscriber: Subscriber;
  log: Pick<Log, 'warn'>;
}

const POLL_INTERVAL_MS = 500;

/** Starts polling. Reports only changes after this call. */
export async function createSqliteTransport({ db, subscriber, log }: Deps): Promise<Transport> {
  const seenVersions = new Map<string, bigint>();
  await forEachChangedTopic(() => {});
  let runningPoll: Promise<void> | undefined;
  const pollTimer = setInterval(() => {
    runningPoll ??= poll().finally(() => {
      runningPoll = undefined;
    });
  }, POLL_INTERVAL_MS).unref();

  return {
    async send(topic) {
      const { version } = await db.cacheVersion.upsert({
        where: { topic },
        create: { topic, version: 1n },
        update: { version: { increment: 1n } },
      });
      // Marks only our own change as seen. If another process incremented the version in between,
      // the next poll must report it.
      if (version === (seenVersions.get(topic) ?? 0n) + 1n) seenVersions.set(topic, version);
    },
    async close() {
      clearInterval(pollTimer);
      await runningPoll;
    },
  };

  async function poll(): Promise<void> {
    try {
      await forEachChangedTopic((topic) => subscriber.onMessage(topic, undefined));
    } catch (error) {
      log.warn({ error }, 'could not poll the table CacheVersion; will retry');
    }
  }

  async function forEachChangedTopic(onChange: (topic: string) => void): Promise<void> {
    for (const { topic, version } of await db.cacheVersion.findMany()) {
      if (version <= (seenVersions.get(topic) ?? 0n)) continue;
      seenVersions.set(topic, version);
      onChange(topic);
    }
  }
}
