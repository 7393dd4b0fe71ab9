// Renaming stored names must not lose data of a database that an earlier version wrote.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/base/db/migrate.js';
import { openMigrationSession } from '../../src/base/db/migration-session.js';
import { type Database, openDatabase, parseDatabaseUrl } from '../../src/base/db/open.js';
import { databases, type OpenStore } from '../support/stores.js';

const MIGRATIONS = join(import.meta.dirname, '../../prisma/migrations');
const RENAMING = '20261201001500_standard_names';
const OLD_ROWS = [
  `INSERT INTO "Account" ("id", "email", "updatedAt") VALUES ('a1', 'jane@example.com', CURRENT_TIMESTAMP)`,
  `INSERT INTO "FederatedIdentity" ("id", "accountId", "issuer", "subject") VALUES ('i1', 'a1', 'https://issuer.example', 's1')`,
  `INSERT INTO "KeptTokens" ("identityId", "sealedAccess", "renewingBy") VALUES ('i1', 'sealed', 'process 1')`,
  `INSERT INTO "VerificationToken" ("tokenHash", "purpose", "accountId", "expiresAt") VALUES ('h1', 'reset', 'a1', CURRENT_TIMESTAMP)`,
  `INSERT INTO "Artifact" ("kind", "id", "payload", "uid", "expiresAt") VALUES ('Interaction', 'x1', '{}', 'u1', CURRENT_TIMESTAMP)`,
  `INSERT INTO "Change" ("topic", "version") VALUES ('accounts', 7)`,
  `INSERT INTO "Client" ("id", "metadata", "origin", "updatedAt", "lastBegunAt") VALUES ('c1', '{}', 'admin', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)`,
  `INSERT INTO "Session" ("id", "accountId", "channel", "authTime", "amr", "expiresAt", "endReason") VALUES ('s1', 'a1', 'browser', CURRENT_TIMESTAMP, '["pwd"]', CURRENT_TIMESTAMP, 'theft')`,
  `INSERT INTO "AuditEvent" ("id", "action", "actorKind") VALUES ('e1', 'consent.withdrawn', 'account')`,
];

describe.each(databases)('a database of an earlier version on $name', (store) => {
  let data: OpenStore;
  let db: Database;
  const folder = mkdtempSync(join(tmpdir(), 'signet-migrations-'));

  beforeAll(async () => {
    data = await store.openBlank();
    cpSync(MIGRATIONS, folder, { recursive: true });
    for (const provider of ['sqlite', 'postgresql']) {
      const later = readdirSync(join(folder, provider)).filter((name) => name >= RENAMING && !name.endsWith('.toml'));
      for (const name of later) rmSync(join(folder, provider, name), { recursive: true });
    }
    await migrate(data.databaseUrl, folder);
    const session = await openMigrationSession(parseDatabaseUrl(data.databaseUrl));
    for (const row of OLD_ROWS) await session.run(row);
    await session.close();
    expect(await migrate(data.databaseUrl)).toContain(RENAMING);
    db = await openDatabase(data.databaseUrl);
  });
  afterAll(async () => {
    await db.$disconnect();
    await data.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps the rows of renamed tables and columns', async () => {
    expect(await db.storedTokens.findFirst()).toMatchObject({ sealedAccess: 'sealed', leaseHolder: 'process 1' });
    expect(await db.oneTimeToken.findFirst()).toMatchObject({ tokenHash: 'h1', accountId: 'a1' });
    expect(await db.oidcArtifact.findFirst()).toMatchObject({ kind: 'Interaction', uid: 'u1' });
    expect(await db.cacheVersion.findUnique({ where: { topic: 'accounts' } })).toMatchObject({ version: 7n });
    expect((await db.client.findUnique({ where: { id: 'c1' } }))?.lastAuthorizationAt).toBeInstanceOf(Date);
  });

  it('renames stored values', async () => {
    expect((await db.session.findUnique({ where: { id: 's1' } }))?.endReason).toBe('token_reuse');
    expect((await db.auditEvent.findUnique({ where: { id: 'e1' } }))?.action).toBe('consent.revoked');
  });

  it('still deletes rows with their account', async () => {
    await db.account.delete({ where: { id: 'a1' } });
    expect([await db.storedTokens.count(), await db.oneTimeToken.count()]).toEqual([0, 0]);
  });
});
