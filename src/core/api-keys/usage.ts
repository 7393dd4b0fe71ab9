/**
 * Counts the uses of keys in memory and writes the counts every few seconds, so that a request
 * causes no write. A crash loses the uses of the last FLUSH_DELAY_MS. No decision depends on them.
 */
import type { Clock } from '../../base/clock.js';
import type { ApiKey, Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import { createWriteBatcher } from '../../base/write-batcher.js';

interface Count {
  uses: number;
  lastUsedAt: Date;
}

const FLUSH_DELAY_MS = 5000;

export type KeyUsage = ReturnType<typeof createKeyUsage>;

export function createKeyUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  let counts = new Map<string, Count>();
  const writeBatcher = createWriteBatcher(FLUSH_DELAY_MS, write);

  return { count, flush: writeBatcher.flush, withLatest };

  /** Counts one use of a key. */
  function count(keyId: string): void {
    const previous = counts.get(keyId);
    counts.set(keyId, { uses: (previous?.uses ?? 0) + 1, lastUsedAt: clock.now() });
    writeBatcher.schedule();
  }

  /** Never rejects: counts that cannot be written are kept for the next flush. */
  async function write(): Promise<void> {
    const batch = counts;
    counts = new Map();
    for (const [id, { uses, lastUsedAt }] of batch) {
      try {
        await db.apiKey.updateMany({ where: { id }, data: { usageCount: { increment: uses }, lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'could not write the use count of a key; will retry');
        const newer = counts.get(id);
        counts.set(id, { uses: uses + (newer?.uses ?? 0), lastUsedAt: newer?.lastUsedAt ?? lastUsedAt });
        writeBatcher.schedule();
      }
    }
  }

  /** Returns a stored key with the counts that this process has not written yet. */
  function withLatest(key: ApiKey): ApiKey {
    const unwritten = counts.get(key.id);
    if (!unwritten) return key;
    return { ...key, usageCount: key.usageCount + BigInt(unwritten.uses), lastUsedAt: unwritten.lastUsedAt };
  }
}
