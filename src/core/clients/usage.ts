/**
 * When clients were last used, and when somebody last began to sign in at one: for whoever decides
 * which can go. A request costs no write: a client is noted once in ten minutes.
 */
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import { createFlushTimer } from '../../base/flush-timer.js';
import type { Log } from '../../base/log.js';
import { createTtlCache } from '../../base/ttl-cache.js';

const USAGE_INTERVAL_MS = 10 * MINUTE_SECONDS * SECOND_MS;
const FLUSH_AFTER_MS = 5000;

export type ClientUsage = ReturnType<typeof createClientUsage>;

export function createClientUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  const noted = new Map<string, number>();
  const begun = createTtlCache<true>({ clock, maxAgeMs: USAGE_INTERVAL_MS });
  let waiting = new Map<string, Date>();
  const later = createFlushTimer(FLUSH_AFTER_MS, write);

  return { record, flush: later.flush, recordAuthorization };

  /** It signed somebody in, or got a token. Written a few seconds later; a crash can lose that. */
  function record(clientId: string): void {
    const now = clock.now();
    if (now.getTime() - (noted.get(clientId) ?? 0) < USAGE_INTERVAL_MS) return;
    noted.set(clientId, now.getTime());
    waiting.set(clientId, now);
    later.schedule();
  }

  /**
   * Somebody begins to sign in at it: written at once, so that it is not taken away under their
   * hands. False when it is gone.
   */
  async function recordAuthorization(clientId: string): Promise<boolean> {
    const isThere = await begun.getOrLoad(clientId, async () => {
      const { count } = await db.client.updateMany({
        where: { id: clientId },
        data: { lastAuthorizationAt: clock.now() },
      });
      return count === 1 || undefined;
    });
    return isThere ?? false;
  }

  /** Never rejects: what cannot be written is written when the client is used again. */
  async function write(): Promise<void> {
    const taken = waiting;
    waiting = new Map();
    const old = clock.now().getTime() - USAGE_INTERVAL_MS;
    for (const [clientId, at] of noted) if (at <= old) noted.delete(clientId);
    for (const [id, lastUsedAt] of taken) {
      try {
        await db.client.updateMany({ where: { id }, data: { lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'the use of a client could not be noted');
        noted.delete(id);
      }
    }
  }
}
