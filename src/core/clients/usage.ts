/**
 * Records when clients were last used and when an authorization last began, for the cleanup of
 * unused clients. Each client is written at most once in ten minutes.
 */
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { createWriteBatcher } from '../../base/write-batcher.js';

const USAGE_INTERVAL_MS = 10 * MINUTE_SECONDS * SECOND_MS;
const FLUSH_AFTER_MS = 5000;

export type ClientUsage = ReturnType<typeof createClientUsage>;

export function createClientUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  const recordedAt = new Map<string, number>();
  const authorized = createTtlCache<true>({ clock, maxAgeMs: USAGE_INTERVAL_MS });
  let pending = new Map<string, Date>();
  const flushTimer = createWriteBatcher(FLUSH_AFTER_MS, write);

  return { record, flush: flushTimer.flush, recordAuthorization };

  /**
   * Records that a client got a code or token. Written a few seconds later; a crash can lose it.
   */
  function record(clientId: string): void {
    const now = clock.now();
    if (now.getTime() - (recordedAt.get(clientId) ?? 0) < USAGE_INTERVAL_MS) return;
    recordedAt.set(clientId, now.getTime());
    pending.set(clientId, now);
    flushTimer.schedule();
  }

  /**
   * Records that an authorization begins, at once, so that the client is not deleted meanwhile.
   * Returns false if the client no longer exists.
   */
  async function recordAuthorization(clientId: string): Promise<boolean> {
    const isThere = await authorized.getOrLoad(clientId, async () => {
      const { count } = await db.client.updateMany({
        where: { id: clientId },
        data: { lastAuthorizationAt: clock.now() },
      });
      return count === 1 || undefined;
    });
    return isThere ?? false;
  }

  /** Never rejects: a time that cannot be written is recorded again with the next use. */
  async function write(): Promise<void> {
    const batch = pending;
    pending = new Map();
    const old = clock.now().getTime() - USAGE_INTERVAL_MS;
    for (const [clientId, at] of recordedAt) if (at <= old) recordedAt.delete(clientId);
    for (const [id, lastUsedAt] of batch) {
      try {
        await db.client.updateMany({ where: { id }, data: { lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'the use of a client could not be recorded');
        recordedAt.delete(id);
      }
    }
  }
}
