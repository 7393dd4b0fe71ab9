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
const FLUSH_DELAY_MS = 5000;

export type ClientUsage = ReturnType<typeof createClientUsage>;

export function createClientUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  const recordedAt = new Map<string, number>();
  const authorized = createTtlCache<true>({ clock, maxAgeMs: USAGE_INTERVAL_MS });
  let pending = new Map<string, Date>();
  const writeBatcher = createWriteBatcher(FLUSH_DELAY_MS, write);

  return { record, flush: writeBatcher.flush, recordAuthorization };

  /**
   * Records that a client got a code or token. The time is written a few seconds later, and a crash
   * can lose it.
   */
  function record(clientId: string): void {
    const now = clock.now();
    if (now.getTime() - (recordedAt.get(clientId) ?? 0) < USAGE_INTERVAL_MS) return;
    recordedAt.set(clientId, now.getTime());
    pending.set(clientId, now);
    writeBatcher.schedule();
  }

  /**
   * Records immediately that an authorization begins, so that the cleanup does not delete the
   * client during the authorization. Returns false if the client no longer exists.
   */
  async function recordAuthorization(clientId: string): Promise<boolean> {
    const exists = await authorized.getOrLoad(clientId, async () => {
      const { count } = await db.client.updateMany({
        where: { id: clientId },
        data: { lastAuthorizationAt: clock.now() },
      });
      return count === 1 || undefined;
    });
    return exists ?? false;
  }

  /** Never rejects. A time that cannot be written is recorded again with the next use. */
  async function write(): Promise<void> {
    const batch = pending;
    pending = new Map();
    const oldest = clock.now().getTime() - USAGE_INTERVAL_MS;
    for (const [clientId, at] of recordedAt) if (at <= oldest) recordedAt.delete(clientId);
    for (const [id, lastUsedAt] of batch) {
      try {
        await db.client.updateMany({ where: { id }, data: { lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'could not record the use of a client');
        recordedAt.delete(id);
      }
    }
  }
}
