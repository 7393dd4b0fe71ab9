/**
 * Stores ephemeral entries in PostgreSQL. Operations that every token needs use prepared
 * statements.
 */
import type { Clock } from '../../../base/clock.js';
import type { OidcArtifact } from '../../../base/db/open.js';
import type { Prepared, Statement } from '../../../base/db/prepared.js';
import { toEntry } from '../prisma/ephemeral-store.js';
import type { EntryMetadata, EphemeralStore, Payload, StoredEntry } from '../stores.js';

interface Deps {
  prepared: Prepared;
  clock: Clock;
  /** Implements all other operations. */
  prisma: EphemeralStore;
}

export function createPostgresqlEphemeralStore({ prepared, clock, prisma }: Deps): EphemeralStore {
  return { ...prisma, put, get, consume };

  async function put(
    kind: string,
    id: string,
    payload: Payload,
    { expiresAt, uid, userCode }: EntryMetadata,
  ): Promise<void> {
    const values = [kind, id, JSON.stringify(payload), uid ?? null, userCode ?? null, clock.now(), expiresAt];
    await prepared.run(PUT, values);
  }

  async function get(kind: string, id: string): Promise<StoredEntry | undefined> {
    const { rows } = await prepared.run<EntryRow>(GET, [kind, id]);
    return toEntry(rows[0], clock);
  }

  async function consume(kind: string, id: string, remaining?: Payload): Promise<boolean> {
    const json = remaining ? JSON.stringify(remaining) : null;
    return (await prepared.run(CONSUME, [kind, id, clock.now(), json])).count === 1;
  }
}

type EntryRow = Pick<OidcArtifact, 'id' | 'payload' | 'consumedAt' | 'expiresAt'>;

const PUT: Statement = {
  name: 'put-artifact',
  text: `
    INSERT INTO "OidcArtifact" ("kind", "id", "payload", "uid", "userCode", "createdAt", "expiresAt")
    VALUES ($1, $2, $3::jsonb, $4, $5, $6, $7)
    ON CONFLICT ("kind", "id") DO UPDATE SET "payload" = EXCLUDED."payload", "expiresAt" = EXCLUDED."expiresAt",
      "uid" = COALESCE(EXCLUDED."uid", "OidcArtifact"."uid"), "userCode" = COALESCE(EXCLUDED."userCode", "OidcArtifact"."userCode")`,
};

const GET: Statement = {
  name: 'get-artifact',
  text: 'SELECT "id", "payload", "consumedAt", "expiresAt" FROM "OidcArtifact" WHERE "kind" = $1 AND "id" = $2',
};

const CONSUME: Statement = {
  name: 'consume-artifact',
  text: `
    UPDATE "OidcArtifact" SET "consumedAt" = $3, "payload" = COALESCE($4::jsonb, "payload")
    WHERE "kind" = $1 AND "id" = $2 AND "consumedAt" IS NULL AND "expiresAt" > $3`,
};
