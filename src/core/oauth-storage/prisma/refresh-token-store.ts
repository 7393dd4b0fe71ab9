/** Stores refresh tokens in any database. */
import type { Clock } from '../../../base/clock.js';
import type { Database, Prisma, Queryable, RefreshToken } from '../../../base/db/open.js';
import type {
  Consumption,
  GrantStore,
  NewRefreshToken,
  Payload,
  RefreshTokenStore,
  StoredRefreshToken,
} from '../stores.js';

interface Deps {
  db: Database;
  clock: Clock;
  grants: Pick<GrantStore, 'lock'>;
}

const FOREIGN_KEY_VIOLATION = 'P2003';

export function createPrismaRefreshTokenStore({ db, clock, grants }: Deps): RefreshTokenStore {
  return { save, insert, find, rotateUnused, markConsumed, hasExpired, remove };

  async function save(token: NewRefreshToken): Promise<boolean> {
    try {
      await insert(token, db);
      return true;
    } catch (error) {
      if ((error as { code?: string }).code === FOREIGN_KEY_VIOLATION) return false;
      throw error;
    }
  }

  async function insert({ payload, ...token }: NewRefreshToken, tx: Queryable): Promise<void> {
    const data = { ...token, payload: payload as Prisma.InputJsonObject, createdAt: clock.now() };
    await tx.refreshToken.create({ data });
  }

  async function find(id: string, tx: Queryable = db): Promise<StoredRefreshToken | undefined> {
    const row = await tx.refreshToken.findUnique({ where: { id } });
    return row ? toRefreshToken(row) : undefined;
  }

  async function rotateUnused(id: string, successor: NewRefreshToken, redeemedWith: string | null): Promise<boolean> {
    return db.$transaction(async (tx) => {
      if (!(await grants.lock(successor.grantId, tx))) return false;
      const { count } = await tx.refreshToken.updateMany({
        where: { id, grantId: successor.grantId, consumedAt: null },
        data: { consumedAt: clock.now(), successorId: successor.id, redeemedWith },
      });
      if (count === 0) return false;
      await insert(successor, tx);
      return true;
    });
  }

  async function markConsumed(id: string, data: Consumption, tx: Queryable): Promise<boolean> {
    return (await tx.refreshToken.updateMany({ where: { id }, data })).count === 1;
  }

  async function hasExpired(id: string): Promise<boolean> {
    return (await db.refreshToken.count({ where: { id, expiresAt: { lte: clock.now() } } })) > 0;
  }

  async function remove(id: string): Promise<void> {
    await db.refreshToken.deleteMany({ where: { id } });
  }
}

/** Returns the refresh token of a row. */
export const toRefreshToken = (row: RefreshToken): StoredRefreshToken => ({
  ...row,
  payload: row.payload as Payload,
});
