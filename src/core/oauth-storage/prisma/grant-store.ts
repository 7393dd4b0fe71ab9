/** Stores grants in any database. */
import type { Clock } from '../../../base/clock.js';
import type { Database, Grant, Prisma, Queryable } from '../../../base/db/open.js';
import type { GrantSelection, GrantStore, NewGrant, Payload, StoredGrant } from '../stores.js';

export function createPrismaGrantStore({ db, clock }: { db: Database; clock: Clock }): GrantStore {
  return { save, insert, find, list, lock, deleteWhere };

  async function save(grant: NewGrant): Promise<boolean> {
    const { payload, consented, ...columns } = grant;
    const row = { ...columns, payload: payload as Prisma.InputJsonObject };
    return db.$transaction(async (tx) => {
      if (grant.sessionId && !(await lockSession(grant.sessionId, tx))) return false;
      if (consented && !(await lockConsent(grant, tx))) return false;
      await tx.grant.upsert({ where: { id: grant.id }, create: { ...row, createdAt: clock.now() }, update: row });
      return true;
    });
  }

  /** Locks a session by an update that changes nothing. Returns false if it was revoked. */
  async function lockSession(sessionId: string, tx: Queryable): Promise<boolean> {
    const { count } = await tx.session.updateMany({
      where: { id: sessionId, endedAt: null },
      data: { endedAt: null },
    });
    return count === 1;
  }

  /** Locks a consent in the same way. Returns false if it does not exist. */
  async function lockConsent({ accountId, clientId }: NewGrant, tx: Queryable): Promise<boolean> {
    const { count } = await tx.consent.updateMany({ where: { accountId, clientId }, data: { clientId } });
    return count === 1;
  }

  async function insert({ payload, consented: _consented, ...grant }: NewGrant, tx: Queryable): Promise<void> {
    const data = { ...grant, payload: payload as Prisma.InputJsonObject, createdAt: clock.now() };
    await tx.grant.create({ data });
  }

  async function find(id: string, tx: Queryable = db): Promise<StoredGrant | undefined> {
    const row = await tx.grant.findUnique({ where: { id } });
    return row ? toGrant(row) : undefined;
  }

  async function list(accountId: string): Promise<StoredGrant[]> {
    const rows = await db.grant.findMany({
      where: { accountId, expiresAt: { gt: clock.now() } },
      orderBy: [{ createdAt: 'desc' }, { id: 'asc' }],
    });
    return rows.map(toGrant);
  }

  async function lock(id: string, tx: Queryable): Promise<boolean> {
    return (await tx.grant.updateMany({ where: { id }, data: { lastUsedAt: clock.now() } })).count === 1;
  }

  async function deleteWhere(selection: GrantSelection, tx: Queryable): Promise<number> {
    return (await tx.grant.deleteMany({ where: toWhere(selection) })).count;
  }
}

/** Returns the grant of a row. */
export const toGrant = (row: Grant): StoredGrant => ({ ...row, payload: row.payload as Payload });

function toWhere(selection: GrantSelection): Prisma.GrantWhereInput {
  if ('clientIds' in selection) return { clientId: { in: selection.clientIds } };
  if ('sessionIds' in selection) {
    const { sessionIds, ...rest } = selection;
    return { sessionId: { in: sessionIds }, ...rest };
  }
  if (!('exceptSessionId' in selection)) return selection;
  const { accountId, exceptSessionId } = selection;
  return { accountId, OR: [{ sessionId: null }, { sessionId: { not: exceptSessionId } }] };
}
