/**
 * Records when clients were last used and when an authorization last began, for the cleanup of
 * unused clients. Each client is written at most once in ten minutes.
 */
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { createWriteBatcher } from '../../base/write-batcher.js';

const RECORD_INTERVAL_MS = 10 * MINUTE_SECONDS * SECOND_MS;
const FLUSH_DELAY_MS = 5000;

export type ClientUsage = ReturnType<typeof createClientUsage>;

export function createClientUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  const recordedAtMs = new Map<string, number>();
  const authorizationCache = createTtlCache<true>({ clock, maxAgeMs: RECORD_INTERVAL_MS });
  let pendingTimes = new Map<string, Date>();
  const writeBatcher = createWriteBatcher(FLUSH_DELAY_MS, writePending);

  return { record, flush: writeBatcher.flush, recordAuthorization };

  /**
   * Records that a client got a code or token. The time is written a few seconds later, and a crash
   * can lose it.
   */
  function record(clientId: string): void {
    const now = clock.now();
    if (now.getTime() - (recordedAtMs.get(clientId) ?? 0) < RECORD_INTERVAL_MS) return;
    recordedAtMs.set(clientId, now.getTime());
    pendingTimes.set(clientId, now);
    writeBatcher.schedule();
  }

  /**
   * Records immediately that an authorization begins, so that the cleanup does not delete the
   * client during the authorization. Returns false if the client no longer exists.
   */
  async function recordAuthorization(clientId: string): Promise<boolean> {
    const exists = await authorizationCache.getOrLoad(clientId, async () => {
      const { count } = await db.client.updateMany({
        where: { id: clientId },
        data: { lastAuthorizationAt: clock.now() },
      });
      return count === 1 || undefined;
    });
    return exists ?? false;
  }

  /** Never rejects. If a time cannot be written, the next use of the client records a new one. */
  async function writePending(): Promise<void> {
    const batch = pendingTimes;
    pendingTimes = new Map();
    const expiredBeforeMs = clock.now().getTime() - RECORD_INTERVAL_MS;
    for (const [clientId, atMs] of recordedAtMs) if (atMs <= expiredBeforeMs) recordedAtMs.delete(clientId);
    for (const [id, lastUsedAt] of batch) {
      try {
        await db.client.updateMany({ where: { id }, data: { lastUsedAt, network: null } });
      } catch (error) {
        log.warn({ error }, 'could not record the use of a client');
        recordedAtMs.delete(id);
      }
    }
  }
}
