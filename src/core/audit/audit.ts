/**
 * The audit trail: what happened, by whom, from where. Written by the verb itself, so that every
 * door leaves the same trail.
 */

import { isStoreUnavailable } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import { createFlushTimer } from '../../base/flush-timer.js';
import type { Log } from '../../base/log.js';
import { clip } from '../../base/text.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuditAction } from './events.js';

export interface AuditEntry {
  action: AuditAction;
  actor: { kind: 'account' | 'client' | 'agent'; id: string } | { kind: 'system' | 'anonymous' };
  meta?: RequestMeta;
  accountId?: string;
  clientId?: string;
  sessionId?: string;
  organizationId?: string;
  /** Never a secret: not a password, token, code or key. */
  detail?: Record<string, string | number | boolean | null | string[]>;
}

interface Deps {
  db: Database;
  clock: Clock;
  log: Log;
}

const FLUSH_AFTER_MS = 1000;
const MAX_BUFFERED = 10_000;
const MAX_TEXT = 300;

export type Audit = ReturnType<typeof createAudit>;

export function createAudit({ db, clock, log }: Deps) {
  let buffer: Prisma.AuditEventCreateManyInput[] = [];
  const later = createFlushTimer(FLUSH_AFTER_MS, write);

  return { record, recordSoon, flush: later.flush, list };

  /**
   * Writes an entry. Give the verb's transaction, so that the verb and its trail are there together
   * or not at all.
   */
  async function record(entry: AuditEntry, tx: Queryable = db): Promise<void> {
    await tx.auditEvent.create({ data: toRow(entry) });
  }

  /**
   * For what a listener hears, where nothing may fail or wait: kept in memory for at most a second,
   * then written together. A crash can lose that second; what must not be lost is recorded by its
   * verb.
   */
  function recordSoon(entry: AuditEntry): void {
    if (buffer.length >= MAX_BUFFERED) {
      log.error({ action: entry.action }, 'the audit buffer is full: an entry was dropped');
      return;
    }
    buffer.push(toRow(entry));
    later.schedule();
  }

  /** Never rejects: what cannot be written is tried again with the next flush. */
  async function write(): Promise<void> {
    const rows = buffer;
    if (rows.length === 0) return;
    buffer = [];
    try {
      await db.auditEvent.createMany({ data: rows });
    } catch (error) {
      log.error({ error }, 'the audit trail cannot be written');
      if (!isStoreUnavailable(error)) return writeOneByOne(rows);
      buffer = [...rows, ...buffer].slice(0, MAX_BUFFERED);
      later.schedule();
    }
  }

  /** One row that cannot be stored does not take the others with it. */
  async function writeOneByOne(rows: Prisma.AuditEventCreateManyInput[]): Promise<void> {
    for (const data of rows) {
      await db.auditEvent.create({ data }).catch((error) => {
        log.error({ error, action: data.action }, 'an entry of the audit trail was lost');
      });
    }
  }

  /** The newest entries first, at most `limit`. */
  async function list(where: Prisma.AuditEventWhereInput = {}, limit = 100) {
    return db.auditEvent.findMany({ where, orderBy: { id: 'desc' }, take: limit });
  }

  function toRow({ actor, meta, detail, ...entry }: AuditEntry): Prisma.AuditEventCreateManyInput {
    return {
      ...entry,
      id: uuidv7(clock.now()),
      at: clock.now(),
      actorKind: actor.kind,
      actorId: 'id' in actor ? actor.id : undefined,
      address: meta?.address || undefined,
      userAgent: clip(meta?.userAgent ?? '', MAX_TEXT) || undefined,
      requestId: meta?.requestId || undefined,
      ...(detail && { detail: storable(detail) }),
    };
  }
}

/** Some of it comes from requests: whatever they hold, it is short and can be stored. */
function storable(detail: NonNullable<AuditEntry['detail']>): NonNullable<AuditEntry['detail']> {
  const clean = (value: unknown) => (typeof value === 'string' ? clip(value, MAX_TEXT) : value);
  const members = Object.entries(detail).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(clean) : clean(value),
  ]);
  return Object.fromEntries(members);
}
