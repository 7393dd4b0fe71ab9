/**
 * What runs with every token, as one prepared statement each, where the database is PostgreSQL.
 * Each says the same as the transaction beside which it stands, for the usual case; for every other
 * case it does nothing, and the transaction decides.
 */
import type { Grant, RefreshToken } from '../../base/db/open.js';
import type { Prepared, Statement } from '../../base/db/prepared.js';
import type { NewGrant, NewRefreshToken } from './token-family.js';

export type FastPaths = ReturnType<typeof createFastPaths>;

export function createFastPaths(prepared: Prepared) {
  return { saveGrant, findGrant, findRefreshToken, saveRefreshToken, rotateUnused };

  /**
   * False when the login or the consent has ended. The share locks keep them from ending until this
   * is written.
   */
  async function saveGrant(grant: NewGrant, now: Date): Promise<boolean> {
    const { id, accountId, clientId, sessionId, offline, consented, payload, expiresAt } = grant;
    const text = JSON.stringify(payload);
    const values = [id, accountId, clientId, sessionId ?? null, offline, text, now, expiresAt, consented];
    return (await prepared.run(SAVE_GRANT, values)).count === 1;
  }

  async function findGrant(id: string): Promise<Grant | undefined> {
    return (await prepared.run<Grant>(FIND_GRANT, [id])).rows[0];
  }

  async function findRefreshToken(id: string): Promise<RefreshToken | undefined> {
    return (await prepared.run<RefreshToken>(FIND_REFRESH_TOKEN, [id])).rows[0];
  }

  /** False when the grant has ended. */
  async function saveRefreshToken(token: NewRefreshToken, now: Date): Promise<boolean> {
    const { id, grantId, payload, accessTokenId, expiresAt } = token;
    const values = [id, grantId, JSON.stringify(payload), accessTokenId ?? null, now, expiresAt];
    return (await prepared.run(SAVE_REFRESH_TOKEN, values)).count === 1;
  }

  /**
   * Spends a token that nobody has spent and stores its successor; false, and nothing changed, in
   * any other case.
   */
  async function rotateUnused(
    spentId: string,
    successor: NewRefreshToken,
    key: string | null,
    now: Date,
  ): Promise<boolean> {
    const { id, grantId, payload, accessTokenId, expiresAt } = successor;
    const values = [spentId, id, grantId, JSON.stringify(payload), accessTokenId ?? null, now, expiresAt, key];
    return (await prepared.run(ROTATE_FRESH, values)).count === 1;
  }
}

const SAVE_GRANT: Statement = {
  name: 'save-grant',
  text: `
    WITH login AS (SELECT 1 FROM "Session" WHERE "id" = $4 AND "endedAt" IS NULL FOR SHARE),
    consent AS (SELECT 1 FROM "Consent" WHERE "accountId" = $2 AND "clientId" = $3 FOR SHARE)
    INSERT INTO "Grant" ("id", "accountId", "clientId", "sessionId", "offline", "payload", "createdAt", "expiresAt")
    SELECT $1, $2, $3, $4, $5, $6::jsonb, $7, $8
    WHERE ($4::text IS NULL OR EXISTS (SELECT 1 FROM login)) AND (NOT $9 OR EXISTS (SELECT 1 FROM consent))
    ON CONFLICT ("id") DO UPDATE SET "payload" = EXCLUDED."payload", "expiresAt" = EXCLUDED."expiresAt"`,
};

const FIND_GRANT: Statement = { name: 'find-grant', text: 'SELECT * FROM "Grant" WHERE "id" = $1' };

const FIND_REFRESH_TOKEN: Statement = {
  name: 'find-refresh-token',
  text: 'SELECT * FROM "RefreshToken" WHERE "id" = $1',
};

const SAVE_REFRESH_TOKEN: Statement = {
  name: 'save-refresh-token',
  text: `
    WITH family AS (SELECT 1 FROM "Grant" WHERE "id" = $2 FOR KEY SHARE)
    INSERT INTO "RefreshToken" ("id", "grantId", "payload", "accessTokenId", "createdAt", "expiresAt")
    SELECT $1, $2, $3::jsonb, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM family)`,
};

// The grant is locked first, as wherever a family is changed; the two statements after it wait for
// it by asking for its row.
const ROTATE_FRESH: Statement = {
  name: 'rotate-fresh',
  text: `
    WITH family AS (UPDATE "Grant" SET "lastUsedAt" = $6 WHERE "id" = $3 RETURNING "id"),
    spent AS (
      UPDATE "RefreshToken" SET "consumedAt" = $6, "successorId" = $2, "redeemedWith" = $8
      WHERE "id" = $1 AND "consumedAt" IS NULL AND "grantId" = (SELECT "id" FROM family) RETURNING "id"
    )
    INSERT INTO "RefreshToken" ("id", "grantId", "payload", "accessTokenId", "createdAt", "expiresAt")
    SELECT $2, $3, $4::jsonb, $5, $6, $7 FROM spent`,
};
