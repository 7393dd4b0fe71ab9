/** Deletes old audit events, because requests without authentication cause some of them. */
import { addSeconds, type Clock } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';

interface Deps {
  db: Database;
  clock: Clock;
  /** The age at which events are deleted. Zero: never. */
  ttlSeconds: number;
}

/** Small, because SQLite cannot write anything else during a statement. */
const BATCH_SIZE = 1000;
/** Limits the work of one run of the cleanup job. */
const MAX_BATCHES = 100;

export type AuditExpiry = ReturnType<typeof createAuditExpiry>;

export function createAuditExpiry({ db, clock, ttlSeconds }: Deps) {
  return { sweep };

  /** Deletes expired events, the oldest first. Returns their number. */
  async function sweep(): Promise<number> {
    if (ttlSeconds === 0) return 0;
    const where = { at: { lte: addSeconds(clock.now(), -ttlSeconds) } };
    let deleted = 0;
    for (let batches = 0; batches < MAX_BATCHES; batches += 1) {
      const oldest = await db.auditEvent.findMany({
        where,
        orderBy: { at: 'asc' },
        take: BATCH_SIZE,
        select: { id: true },
      });
      const ids = oldest.map(({ id }) => id);
      if (ids.length > 0) deleted += (await db.auditEvent.deleteMany({ where: { id: { in: ids } } })).count;
      if (ids.length < BATCH_SIZE) break;
    }
    return deleted;
  }
}
