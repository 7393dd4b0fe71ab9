/** Messages through a polled SQLite table, between the server and the command line. */
import type { Database } from '../db/open.js';
import type { Log } from '../log.js';
import type { Subscriber, Transport } from './transport.js';

interface Deps {
  db: Database;
  subscriber: Subscriber;
  log: Pick<Log, 'warn'>;
}

const POLL_EVERY_MS = 500;

export async function createSqliteTransport({ db, subscriber, log }: Deps): Promise<Transport> {
  const seen = new Map<string, bigint>();
  await forEachNew(() => {});
  let polled: Promise<void> | undefined;
  const polling = setInterval(() => {
    polled ??= poll().finally(() => {
      polled = undefined;
    });
  }, POLL_EVERY_MS).unref();

  return {
    async send(topic) {
      const { version } = await db.cacheVersion.upsert({
        where: { topic },
        create: { topic, version: 1n },
        update: { version: { increment: 1n } },
      });
      // Only our own step is known already: when others stepped in between, the next poll shall
      // tell of them.
      if (version === (seen.get(topic) ?? 0n) + 1n) seen.set(topic, version);
    },
    async close() {
      clearInterval(polling);
      await polled;
    },
  };

  async function poll(): Promise<void> {
    try {
      await forEachNew((topic) => subscriber.onMessage(topic, undefined));
    } catch (error) {
      log.warn({ error }, 'The table of changes cannot be read');
    }
  }

  async function forEachNew(tell: (topic: string) => void): Promise<void> {
    for (const { topic, version } of await db.cacheVersion.findMany()) {
      if (version <= (seen.get(topic) ?? 0n)) continue;
      seen.set(topic, version);
      tell(topic);
    }
  }
}
