/**
 * How often and when keys were used: counted in memory and written every few seconds and at the
 * end, so that a request costs no write. A crash loses what was counted since the last writing, at
 * most FLUSH_AFTER_MS of it; nothing is decided by these numbers.
 */
import type { Clock } from '../../base/clock.js';
import type { ApiKey, Database } from '../../base/db/open.js';
import { createFlushTimer } from '../../base/flush-timer.js';
import type { Log } from '../../base/log.js';

interface Count {
  uses: number;
  lastUsedAt: Date;
}

const FLUSH_AFTER_MS = 5000;

export type KeyUsage = ReturnType<typeof createKeyUsage>;

export function createKeyUsage({ db, clock, log }: { db: Database; clock: Clock; log: Log }) {
  let counts = new Map<string, Count>();
  const later = createFlushTimer(FLUSH_AFTER_MS, write);

  return { count, flush: later.flush, withLatest };

  function count(keyId: string): void {
    const known = counts.get(keyId);
    counts.set(keyId, { uses: (known?.uses ?? 0) + 1, lastUsedAt: clock.now() });
    later.schedule();
  }

  /** Never rejects: what cannot be written is written with the next. */
  async function write(): Promise<void> {
    const taken = counts;
    counts = new Map();
    for (const [id, { uses, lastUsedAt }] of taken) {
      try {
        await db.apiKey.updateMany({ where: { id }, data: { usageCount: { increment: uses }, lastUsedAt } });
      } catch (error) {
        log.warn({ error }, 'the use of a key could not be noted; trying again');
        const since = counts.get(id);
        counts.set(id, { uses: uses + (since?.uses ?? 0), lastUsedAt: since?.lastUsedAt ?? lastUsedAt });
        later.schedule();
      }
    }
  }

  /** A stored key with what this process has counted since. */
  function withLatest(key: ApiKey): ApiKey {
    const since = counts.get(key.id);
    if (!since) return key;
    return { ...key, usageCount: key.usageCount + BigInt(since.uses), lastUsedAt: since.lastUsedAt };
  }
}
