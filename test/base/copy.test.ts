import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { copyDatabase } from '../../src/base/db/copy.js';
import { type Database, openDatabase, Prisma } from '../../src/base/db/open.js';
import { databases, type OpenStore } from '../support/stores.js';

const AUDIT_EVENTS = 1234; // more than two pages
const at = new Date('2026-01-02T03:04:05.678Z');
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const resource of opened.splice(0).reverse()) await resource.close();
});

const pairs = databases.flatMap((from) => databases.map((to) => ({ from, to })));

describe.each(pairs)('db copy from $from.name to $to.name', ({ from, to }) => {
  test('copies every row of every model', async () => {
    const [source, target] = [await prepare(from.open), await prepare(to.openBlank)];
    const original = await open(source);
    await fill(original);
    const copied = await copyDatabase(source.databaseUrl, target.databaseUrl);
    expect(copied.map(({ model }) => model).sort()).toEqual(Object.keys(Prisma.ModelName).sort());
    expect(copied.filter(({ rows }) => rows === 0)).toEqual([]);
    expect(copied).toContainEqual({ model: 'AuditEvent', rows: AUDIT_EVENTS });
    const copy = await open(target);
    expect(await allRows(copy)).toEqual(await allRows(original));
  });

  test('rejects a target that is not empty, and does not change it', async () => {
    const [source, target] = [await prepare(from.open), await prepare(to.open)];
    await fill(await open(source));
    const copy = await open(target);
    await copy.rateLimit.create({ data: { key: 'existing row' } });
    await expect(copyDatabase(source.databaseUrl, target.databaseUrl)).rejects.toThrow('The target is not empty');
    expect(await copy.account.count()).toBe(0);
    expect(await copy.rateLimit.count()).toBe(1);
  });

  test('rejects a source with missing migrations', async () => {
    const [source, target] = [await prepare(from.openBlank), await prepare(to.open)];
    await expect(copyDatabase(source.databaseUrl, target.databaseUrl)).rejects.toThrow(
      'The source database needs migrations',
    );
  });
});

test('db copy rejects a source file that does not exist', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'signet-move-'));
  opened.push({ close: async () => rmSync(folder, { recursive: true }) });
  await expect(copyDatabase(`file:${folder}/missing.db`, `file:${folder}/new.db`)).rejects.toThrow(
    'There is no database at',
  );
});

async function prepare(openStore: () => Promise<OpenStore>): Promise<OpenStore> {
  const store = await openStore();
  opened.push(store);
  return store;
}

async function open({ databaseUrl }: OpenStore): Promise<Database> {
  const db = await openDatabase(databaseUrl);
  opened.push({ close: () => db.$disconnect() });
  return db;
}

/** At least one row in every model, with optional columns both empty and filled. */
async function fill(db: Database): Promise<void> {
  const json = { z: [1, 2.5, null], a: { é: '😀 \\u0000' } };
  await db.account.create({ data: { id: 'a1', email: 'a1@example.com', address: json, notBefore: at, updatedAt: at } });
  await db.account.create({ data: { id: 'a2', email: 'a2@example.com', passwordHash: 'hash' } });
  await db.organization.create({ data: { id: 'o1', name: 'One', ownerId: 'a1' } });
  await db.organization.create({ data: { id: 'o2', name: 'Two' } });
  await db.membership.create({ data: { accountId: 'a1', organizationId: 'o2', role: 'viewer' } });
  await db.project.create({ data: { id: 'prj_1', organizationId: 'o1', name: 'P' } });
  await db.invitation.create({
    data: {
      organizationId: 'o1',
      email: 'x@example.com',
      role: 'admin',
      tokenHash: 'h',
      invitedById: 'a1',
      expiresAt: at,
    },
  });
  const key = {
    accountId: 'a1',
    organizationId: 'o1',
    name: 'K',
    format: 'sk_live_',
    hash: 'h',
    role: 'viewer',
    scopes: [],
  };
  await db.tool.create({ data: { id: 't1', slug: 'dealroom', name: 'Deal room', url: 'https://dealroom.example' } });
  await db.tool.create({ data: { id: 't2', slug: 'wiki', name: 'Wiki' } });
  await db.permission.create({ data: { accountId: 'a1', toolId: 't1', level: 'read' } });
  await db.apiKey.create({ data: { ...key, id: 'key_1', prefix: 'sk_live_1', projectId: 'prj_1', expiresAt: at } });
  await db.apiKey.create({ data: { ...key, id: 'key_2', prefix: 'sk_live_2', usageCount: 9_007_199_254_740_993n } });
  const agent = { agentId: 'x', name: 'X', capabilities: ['a'], keyId: 'key_3', keyPrefix: 'ocs_live_1', keyHash: 'h' };
  await db.agent.create({ data: { ...agent, id: 'agt_1', organizationId: 'o1', ownerId: 'a1' } });
  await db.agent.create({
    data: { ...agent, id: 'agt_2', organizationId: 'o2', claimTokenHash: 'h', expiresAt: at, updatedAt: at },
  });
  const approval = {
    agentId: 'agt_1',
    accountId: 'a1',
    bindingMessage: 'M',
    request: json,
    grantPayload: json,
    createdAt: at,
    expiresAt: at,
  };
  await db.approval.create({ data: { ...approval, id: 'q1', requestId: 'r1', grantId: 'g1', pendingKey: 'agt_1 a1' } });
  await db.approval.create({
    data: { ...approval, id: 'q2', requestId: 'r2', grantId: 'g2', authTime: at, amr: ['pwd'] },
  });
  await db.session.create({
    data: {
      accountId: 'a1',
      channel: 'json',
      authTime: at,
      amr: ['pwd'],
      expiresAt: at,
      clients: { create: { clientId: 'c' } },
    },
  });
  await db.client.create({ data: { id: 'c', metadata: json, origin: 'admin' } });
  await db.resource.create({
    data: {
      identifier: 'urn:r',
      name: 'R',
      scopes: { create: { name: 'read', description: 'Read' } },
      clients: { create: { clientId: 'c' } },
    },
  });
  await db.consent.create({ data: { accountId: 'a1', clientId: 'c', scopes: json } });
  await db.grant.create({
    data: {
      id: 'g',
      accountId: 'a1',
      clientId: 'c',
      payload: json,
      expiresAt: at,
      refreshTokens: { create: { id: 't', payload: json, expiresAt: at } },
    },
  });
  await db.oidcArtifact.create({ data: { kind: 'k', id: 'i', payload: json, expiresAt: at } });
  await db.oneTimeToken.create({ data: { tokenHash: 'h', purpose: 'reset', accountId: 'a1', expiresAt: at } });
  await db.totpFactor.create({ data: { accountId: 'a1', sealedSecret: 'jwe', confirmedAt: at, lastStep: 59_000_000 } });
  await db.totpFactor.create({ data: { accountId: 'a2', sealedSecret: 'jwe' } });
  await db.recoveryCode.create({ data: { accountId: 'a1', codeHash: 'h' } });
  const identity = { accountId: 'a1', issuer: 'https://i.example', subject: 's' };
  await db.federatedIdentity.create({
    data: { ...identity, storedTokens: { create: { sealedAccess: 'jwe', sealedRefresh: 'jwe', expiresAt: at } } },
  });
  await db.signingKey.create({
    data: { kid: 'kid', algorithm: 'ES256', publicJwk: json, encryptedPrivateJwk: 'jwe', signsFrom: at },
  });
  await db.auditEvent.createMany({
    data: Array.from({ length: AUDIT_EVENTS }, (_, n) => ({ action: `did ${n}`, actorKind: 'system' })),
  });
  await db.cacheVersion.create({ data: { topic: 'keys', version: 9_007_199_254_740_993n } });
  await db.rateLimit.create({ data: { key: 'login', points: 3, expire: 1_800_000_000_000n } });
}

async function allRows(db: Database): Promise<Record<string, unknown[]>> {
  const tables: Record<string, unknown[]> = {};
  for (const model of Object.keys(Prisma.ModelName)) {
    const name = model[0]!.toLowerCase() + model.slice(1);
    const rows = await (db as unknown as Record<string, { findMany(): Promise<object[]> }>)[name]!.findMany();
    tables[model] = rows.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }
  return tables;
}

function keyOf(row: object): string {
  const { id, kid, key, topic, name, tokenHash, accountId } = row as Record<string, string | undefined>;
  return id ?? kid ?? key ?? topic ?? name ?? tokenHash ?? accountId ?? '';
}
