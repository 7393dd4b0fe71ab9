/** Stores grants in PostgreSQL. Operations that every token needs use prepared statements. */
import type { Clock } from '../../../base/clock.js';
import type { Grant, Queryable } from '../../../base/db/open.js';
import type { Prepared, Statement } from '../../../base/db/prepared.js';
import { toGrant } from '../prisma/grant-store.js';
import type { GrantStore, NewGrant, StoredGrant } from '../stores.js';

interface Deps {
  prepared: Prepared;
  clock: Clock;
  /** Implements all other operations, and those within a transaction. */
  prisma: GrantStore;
}

export function createPostgresqlGrantStore({ prepared, clock, prisma }: Deps): GrantStore {
  return { ...prisma, save, find };

  async function save(grant: NewGrant): Promise<boolean> {
    const { id, accountId, clientId, sessionId, offline, consented, payload, expiresAt } = grant;
    const json = JSON.stringify(payload);
    const values = [id, accountId, clientId, sessionId ?? null, offline, json, clock.now(), expiresAt, consented];
    return (await prepared.run(SAVE, values)).count === 1;
  }

  async function find(id: string, tx?: Queryable): Promise<StoredGrant | undefined> {
    if (tx) return prisma.find(id, tx);
    const { rows } = await prepared.run<Grant>(FIND, [id]);
    return rows[0] && toGrant(rows[0]);
  }
}

// The share locks prevent a revocation of the session or the consent until the grant is written.
const SAVE: Statement = {
  name: 'save-grant',
  text: `
    WITH active_session AS (SELECT 1 FROM "Session" WHERE "id" = $4 AND "endedAt" IS NULL FOR SHARE),
    consent AS (SELECT 1 FROM "Consent" WHERE "accountId" = $2 AND "clientId" = $3 FOR SHARE)
    INSERT INTO "Grant" ("id", "accountId", "clientId", "sessionId", "offline", "payload", "createdAt", "expiresAt")
    SELECT $1, $2, $3, $4, $5, $6::jsonb, $7, $8
    WHERE ($4::text IS NULL OR EXISTS (SELECT 1 FROM active_session)) AND (NOT $9 OR EXISTS (SELECT 1 FROM consent))
    ON CONFLICT ("id") DO UPDATE SET "payload" = EXCLUDED."payload", "expiresAt" = EXCLUDED."expiresAt"`,
};

const FIND: Statement = { name: 'find-grant', text: 'SELECT * FROM "Grant" WHERE "id" = $1' };
