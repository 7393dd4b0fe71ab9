// Thousands of sessions of one account, as earlier versions allowed them, can be revoked at once.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

// More than one statement can insert: PostgreSQL allows 65,535 parameters, and a row has a dozen.
const MANY = 6000;

describe.each(stores)('an account with thousands of sessions on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it(`can revoke ${MANY.toLocaleString('en')} of them in one transaction, with one audit event each`, async () => {
    const account = await server.account();
    await insertSessions(account.id);
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await server.core.sessions.revokeOthers({ account, session, amr: ['pwd'] }, systemMeta);
    expect((await server.core.sessions.list(account.id, FIRST_PAGE)).items.map(({ id }) => id)).toEqual([session.id]);
    const where = { accountId: account.id, action: 'session.ended' };
    expect(await server.base.db.auditEvent.count({ where })).toBe(MANY);
  });

  async function insertSessions(accountId: string): Promise<void> {
    const now = new Date();
    const common = { accountId, channel: 'browser', amr: ['pwd'], authTime: now } as const;
    const expiresAt = new Date(now.getTime() + 3_600_000);
    const data = Array.from({ length: MANY }, () => ({ ...common, id: randomUUID(), expiresAt }));
    await server.base.db.session.createMany({ data });
  }
});
