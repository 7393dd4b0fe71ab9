/** Short-lived artifacts in the database: for an installation without Redis. */

import { isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Database, OidcArtifact, Prisma, Queryable } from '../../base/db/open.js';
import type { EphemeralStore, Payload, StoredEntry } from './store.js';

export function createSqlStore({ db, clock }: { db: Database; clock: Clock }): EphemeralStore {
  return { put, get, getByUid, getByUserCode, consume, useOnce, remove };

  async function put(...[kind, id, payload, metadata]: Parameters<EphemeralStore['put']>): Promise<void> {
    const row = { payload: payload as Prisma.InputJsonObject, ...metadata };
    const unchanging = { kind, id, createdAt: clock.now() };
    await db.oidcArtifact.upsert({ where: { kind_id: { kind, id } }, create: { ...unchanging, ...row }, update: row });
  }

  async function get(kind: string, id: string): Promise<StoredEntry | undefined> {
    return notExpired(await db.oidcArtifact.findUnique({ where: { kind_id: { kind, id } } }), clock);
  }

  async function getByUid(kind: string, uid: string): Promise<StoredEntry | undefined> {
    return notExpired(await db.oidcArtifact.findFirst({ where: { uid, kind }, orderBy: { createdAt: 'desc' } }), clock);
  }

  async function getByUserCode(kind: string, userCode: string): Promise<StoredEntry | undefined> {
    return notExpired(
      await db.oidcArtifact.findFirst({ where: { userCode, kind }, orderBy: { createdAt: 'desc' } }),
      clock,
    );
  }

  async function consume(kind: string, id: string): Promise<boolean> {
    const { count } = await db.oidcArtifact.updateMany({
      where: { kind, id, consumedAt: null, expiresAt: { gt: clock.now() } },
      data: { consumedAt: clock.now() },
    });
    return count === 1;
  }

  async function useOnce(kind: string, id: string, expiresAt: Date): Promise<boolean> {
    try {
      await db.oidcArtifact.create({ data: { kind, id, payload: {}, createdAt: clock.now(), expiresAt } });
      return true;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
    // The mark is there. If it has expired and was not swept yet, whoever moves its expiry is the
    // first again.
    const { count } = await db.oidcArtifact.updateMany({
      where: { kind, id, expiresAt: { lte: clock.now() } },
      data: { expiresAt },
    });
    return count === 1;
  }

  async function remove(kind: string, id: string, tx: Queryable = db): Promise<void> {
    await tx.oidcArtifact.deleteMany({ where: { kind, id } });
  }
}

/** What is stored, unless its time is over. */
export function notExpired(
  row: Pick<OidcArtifact, 'id' | 'payload' | 'consumedAt' | 'expiresAt'> | null | undefined,
  clock: Clock,
): StoredEntry | undefined {
  if (!row || row.expiresAt <= clock.now()) return undefined;
  return { id: row.id, payload: row.payload as Payload, consumedAt: row.consumedAt ?? undefined };
}
