/**
 * Stores refresh tokens in PostgreSQL. Operations that every token needs use prepared statements.
 */
import type { Clock } from '../../../base/clock.js';
import type { Queryable, RefreshToken } from '../../../base/db/open.js';
import type { Prepared, Statement } from '../../../base/db/prepared.js';
import { toRefreshToken } from '../prisma/refresh-token-store.js';
import type { NewRefreshToken, RefreshTokenStore, StoredRefreshToken } from '../stores.js';

interface Deps {
  prepared: Prepared;
  clock: Clock;
  /** Implements all other operations, and those within a transaction. */
  prisma: RefreshTokenStore;
}

export function createPostgresqlRefreshTokenStore({ prepared, clock, prisma }: Deps): RefreshTokenStore {
  return { ...prisma, save, find, rotateUnused };

  async function save({ id, grantId, payload, accessTokenId, expiresAt }: NewRefreshToken): Promise<boolean> {
    const values = [id, grantId, JSON.stringify(payload), accessTokenId ?? null, clock.now(), expiresAt];
    return (await prepared.run(SAVE, values)).count === 1;
  }

  async function find(id: string, tx?: Queryable): Promise<StoredRefreshToken | undefined> {
    if (tx) return prisma.find(id, tx);
    const { rows } = await prepared.run<RefreshToken>(FIND, [id]);
    return rows[0] && toRefreshToken(rows[0]);
  }

  async function rotateUnused(
    consumedId: string,
    { id, grantId, payload, accessTokenId, expiresAt }: NewRefreshToken,
    redeemedWith: string | null,
  ): Promise<boolean> {
    const json = JSON.stringify(payload);
    const values = [consumedId, id, grantId, json, accessTokenId ?? null, clock.now(), expiresAt, redeemedWith];
    return (await prepared.run(ROTATE_UNUSED, values)).count === 1;
  }
}

const SAVE: Statement = {
  name: 'save-refresh-token',
  text: `
    WITH family AS (SELECT 1 FROM "Grant" WHERE "id" = $2 FOR KEY SHARE)
    INSERT INTO "RefreshToken" ("id", "grantId", "payload", "accessTokenId", "createdAt", "expiresAt")
    SELECT $1, $2, $3::jsonb, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM family)`,
};

const FIND: Statement = { name: 'find-refresh-token', text: 'SELECT * FROM "RefreshToken" WHERE "id" = $1' };

// Lock order: the grant before its refresh tokens. Each part reads the result of the
// previous one, so they run in this order.
const ROTATE_UNUSED: Statement = {
  name: 'rotate-unused-refresh-token',
  text: `
    WITH family AS (UPDATE "Grant" SET "lastUsedAt" = $6 WHERE "id" = $3 RETURNING "id"),
    consumed AS (
      UPDATE "RefreshToken" SET "consumedAt" = $6, "successorId" = $2, "redeemedWith" = $8
      WHERE "id" = $1 AND "consumedAt" IS NULL AND "grantId" = (SELECT "id" FROM family) RETURNING "id"
    )
    INSERT INTO "RefreshToken" ("id", "grantId", "payload", "accessTokenId", "createdAt", "expiresAt")
    SELECT $2, $3, $4::jsonb, $5, $6, $7 FROM consumed`,
};
