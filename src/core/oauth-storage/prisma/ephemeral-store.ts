/** Stores ephemeral entries in any database, for installations without Redis. */

import { isUniqueViolation } from '../../../base/app-error.js';
import type { Clock } from '../../../base/clock.js';
import type { Database, OidcArtifact, Prisma, Queryable } from '../../../base/db/open.js';
import type { EntryMetadata, EphemeralStore, Payload, StoredEntry } from '../stores.js';

export type PrismaEphemeralStore = ReturnType<typeof createPrismaEphemeralStore>;

export function createPrismaEphemeralStore({ db, clock }: { db: Database; clock: Clock }) {
  return { put, get, getByUid, getByUserCode, consume, useOnce, remove } satisfies EphemeralStore;

  async function put(
    kind: string,
    id: string,
    payload: Payload,
    metadata: EntryMetadata,
    tx: Queryable = db,
  ): Promise<void> {
    const update = { payload: payload as Prisma.InputJsonObject, ...metadata };
    const create = { kind, id, createdAt: clock.now(), ...update };
    await tx.oidcArtifact.upsert({ where: { kind_id: { kind, id } }, create, update });
  }

  async function get(kind: string, id: string): Promise<StoredEntry | undefined> {
    return toEntry(await db.oidcArtifact.findUnique({ where: { kind_id: { kind, id } } }), clock);
  }

  async function getByUid(kind: string, uid: string): Promise<StoredEntry | undefined> {
    return toEntry(await db.oidcArtifact.findFirst({ where: { uid, kind }, orderBy: { createdAt: 'desc' } }), clock);
  }

  async function getByUserCode(kind: string, userCode: string): Promise<StoredEntry | undefined> {
    return toEntry(
      await db.oidcArtifact.findFirst({ where: { userCode, kind }, orderBy: { createdAt: 'desc' } }),
      clock,
    );
  }

  async function consume(kind: string, id: string, remaining?: Payload): Promise<boolean> {
    const { count } = await db.oidcArtifact.updateMany({
      where: { kind, id, consumedAt: null, expiresAt: { gt: clock.now() } },
      data: { consumedAt: clock.now(), ...(remaining && { payload: remaining as Prisma.InputJsonObject }) },
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
    // An expired entry that is not cleaned up yet can be used again, by the call that extends it.
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

/** Returns the entry of a row, unless it has expired. */
export function toEntry(
  row: Pick<OidcArtifact, 'id' | 'payload' | 'consumedAt' | 'expiresAt'> | null | undefined,
  clock: Clock,
): StoredEntry | undefined {
  if (!row || row.expiresAt <= clock.now()) return undefined;
  return { id: row.id, payload: row.payload as Payload, consumedAt: row.consumedAt ?? undefined };
}
