/**
 * The audit log: what happened, who did it, and from where. The function that makes a change
 * also records it, so callers cannot forget to.
 */
import { isStoreUnavailable } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { Log } from '../../base/log.js';
import { clip } from '../../base/text.js';
import { createWriteBatcher } from '../../base/write-batcher.js';
import type { AuditActor, AuditEvent } from './event.js';
import type { AuditAction } from './events.js';
import { createRepeatedEvents } from './repeated-events.js';

export { ANONYMOUS, type AuditActor, type AuditEvent, SYSTEM } from './event.js';

interface Deps {
  db: Database;
  clock: Clock;
  log: Log;
}

const FLUSH_DELAY_MS = 1000;
const MAX_BUFFERED_EVENTS = 10_000;
const MAX_TEXT_LENGTH = 300;

export type Audit = ReturnType<typeof createAudit>;

export function createAudit({ db, clock, log }: Deps) {
  let buffer: Prisma.AuditEventCreateManyInput[] = [];
  const writeBatcher = createWriteBatcher(FLUSH_DELAY_MS, writeBuffer);

  const repeatedEvents = createRepeatedEvents({ write: addToBuffer });

  return { record, recordAll, recordSoon, flush, list };

  /**
   * Writes an event. Pass the unit of work that makes the change, so that the change and its event
   * are committed together; `undefined` writes the event immediately.
   */
  async function record(
    uow: Pick<UnitOfWork, 'tx'> | undefined,
    action: AuditAction,
    event: AuditEvent,
  ): Promise<void> {
    const { tx } = uow ?? { tx: db };
    await tx.auditEvent.create({ data: toRow(action, event) });
  }

  /** Writes several events of one kind, in the transaction that makes the changes. */
  async function recordAll({ tx }: Pick<UnitOfWork, 'tx'>, action: AuditAction, events: AuditEvent[]): Promise<void> {
    await tx.auditEvent.createMany({ data: events.map((event) => toRow(action, event)) });
  }

  /**
   * Buffers an event for at most a second, for callers that must neither fail nor wait. A crash can
   * lose the buffer, so use it only for events that change nothing. Repeated events of a network
   * are combined, which can take a minute.
   */
  function recordSoon(action: AuditAction, event: AuditEvent): void {
    repeatedEvents.record(action, event);
  }

  function addToBuffer(action: AuditAction, event: AuditEvent): void {
    if (buffer.length >= MAX_BUFFERED_EVENTS) {
      log.error({ action }, 'the audit buffer is full: an event was dropped');
      return;
    }
    buffer.push(toRow(action, event));
    writeBatcher.schedule();
  }

  /** Writes all buffered events. */
  async function flush(): Promise<void> {
    repeatedEvents.flush();
    await writeBatcher.flush();
  }

  /** Never rejects. While the database is unavailable, events stay buffered for the next flush. */
  async function writeBuffer(): Promise<void> {
    const rows = buffer;
    if (rows.length === 0) return;
    buffer = [];
    try {
      await db.auditEvent.createMany({ data: rows });
    } catch (error) {
      log.error({ error }, 'the audit log cannot be written');
      if (!isStoreUnavailable(error)) return writeOneByOne(rows);
      buffer = [...rows, ...buffer].slice(0, MAX_BUFFERED_EVENTS);
      writeBatcher.schedule();
    }
  }

  /** Writes each row alone, so that one invalid row does not lose the others. */
  async function writeOneByOne(rows: Prisma.AuditEventCreateManyInput[]): Promise<void> {
    for (const data of rows) {
      await db.auditEvent.create({ data }).catch((error) => {
        log.error({ error, action: data.action }, 'an audit event was lost');
      });
    }
  }

  /** Returns at most `limit` events, newest first. */
  async function list(where: Prisma.AuditEventWhereInput = {}, limit = 100) {
    return db.auditEvent.findMany({ where, orderBy: { id: 'desc' }, take: limit });
  }

  function toRow(action: AuditAction, { by, meta, detail, ...ids }: AuditEvent): Prisma.AuditEventCreateManyInput {
    const actor: AuditActor = typeof by === 'string' ? { kind: 'account', id: by } : by;
    return {
      ...ids,
      action,
      id: uuidv7(clock.now()),
      at: clock.now(),
      actorKind: actor.kind,
      actorId: 'id' in actor ? actor.id : undefined,
      address: meta?.address || undefined,
      userAgent: clip(meta?.userAgent ?? '', MAX_TEXT_LENGTH) || undefined,
      requestId: meta?.requestId || undefined,
      ...(detail && { detail: toStorableDetail(detail) }),
    };
  }
}

/** Returns the detail with clipped, storable strings, because parts of it come from requests. */
function toStorableDetail(detail: NonNullable<AuditEvent['detail']>): NonNullable<AuditEvent['detail']> {
  const toStorableValue = (value: unknown) => (typeof value === 'string' ? clip(value, MAX_TEXT_LENGTH) : value);
  const members = Object.entries(detail).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(toStorableValue) : toStorableValue(value),
  ]);
  return Object.fromEntries(members);
}
