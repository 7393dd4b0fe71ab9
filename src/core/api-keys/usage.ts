/**
 * Use counts of keys. They are counted in memory and written every few seconds, so that a request
 * costs no write. A crash loses at most FLUSH_AFTER_MS of counts; no decision depends on them.
 */
import type { Clock } from '../../base/clock.js';
import type { ApiKey, Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import { createWriteBatcher } from '../../base/write-batcher.js';

interface Count {
  uses: number;
  lastUsedAt: Date;
}

const FLUSH_AFTER_MS = 5000;

export type KeyUsage = ReturnType<typeof createKeyUsage>;

export function createKeyUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  let counts = new Map<string, Count>();
  const flushTimer = createWriteBatcher(FLUSH_AFTER_MS, write);

  return { count, flush: flushTimer.flush, withLatest };

  /** Counts one use of a key. */
  function count(keyId: string): void {
    const known = counts.get(keyId);
    counts.set(keyId, { uses: (known?.uses ?? 0) + 1, lastUsedAt: clock.now() });
    flushTimer.schedule();
  }

  /** Never rejects: counts that cannot be written are kept for the next flush. */
  async function write(): Promise<void> {
    const batch = counts;
    counts = new Map();
    for (const [id, { uses, lastUsedAt }] of batch) {
      try {
        await db.apiKey.updateMany({ where: { id }, data: { usageCount: { increment: uses }, lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'the use count of a key could not be written; retrying');
        const since = counts.get(id);
        counts.set(id, { uses: uses + (since?.uses ?? 0), lastUsedAt: since?.lastUsedAt ?? lastUsedAt });
        flushTimer.schedule();
      }
    }
  }

  /** Returns a stored key with the counts that this process has not written yet. */
  function withLatest(key: ApiKey): ApiKey {
    const since = counts.get(key.id);
    if (!since) return key;
    return { ...key, usageCount: key.usageCount + BigInt(since.uses), lastUsedAt: since.lastUsedAt };
  }
}
