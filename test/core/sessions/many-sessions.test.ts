// Accounts with many sessions: the number of active ones is limited, and thousands can be revoked.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const MANY = 6000;

describe.each(stores)('an account with many sessions on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { MAX_SESSIONS: '3' } });
  });
  afterAll(() => server.close());

  it('keeps the latest ones: a further sign-in ends the oldest', async () => {
    const { id, email } = await server.account();
    const sessions = [];
    for (let n = 0; n < 5; n += 1) sessions.push(await signIn(email));
    const active = await server.core.sessions.list(id);
    expect(active.map((session) => session.id).sort()).toEqual(sessions.slice(2).sort());
    expect(await server.base.db.session.count({ where: { accountId: id, endReason: 'too_many_sessions' } })).toBe(2);
  });

  it('keeps the limit with concurrent sign-ins', async () => {
    const { id, email } = await server.account();
    await Promise.all(Array.from({ length: 8 }, () => signIn(email)));
    expect(await server.core.sessions.list(id)).toHaveLength(3);
  });

  it(`can revoke ${MANY.toLocaleString('en')} of them in one transaction, with one audit event each`, async () => {
    const account = await server.account();
    await insertSessions(account.id);
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await server.core.sessions.revokeOthers({ account, session, amr: ['pwd'] }, systemMeta);
    expect((await server.core.sessions.list(account.id)).map(({ id }) => id)).toEqual([session.id]);
    const where = { accountId: account.id, action: 'session.ended' };
    expect(await server.base.db.auditEvent.count({ where })).toBe(MANY);
  });

  async function signIn(email: string): Promise<string> {
    const result = await server.core.signIn.withPassword({ email, password: PASSWORD }, systemMeta);
    if (result.kind !== 'complete') throw new Error('there is no second factor');
    return (await server.core.sessionIssuer.issueTokens(result, systemMeta)).session.id;
  }

  async function insertSessions(accountId: string): Promise<void> {
    const now = new Date();
    const common = { accountId, channel: 'browser', amr: ['pwd'], authTime: now } as const;
    const expiresAt = new Date(now.getTime() + 3_600_000);
    const data = Array.from({ length: MANY }, () => ({ ...common, id: randomUUID(), expiresAt }));
    await server.base.db.session.createMany({ data });
  }
});
