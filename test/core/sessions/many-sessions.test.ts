// The number of active sessions of one account is limited.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('an account with many sessions on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { MAX_SESSIONS: '3' } });
  });
  afterAll(() => server.close());

  it('keeps those that were used last when there is a further sign-in', async () => {
    const { id, email } = await server.account();
    const sessions = [];
    for (let n = 0; n < 5; n += 1) sessions.push(await signIn(email));
    const active = (await server.core.sessions.list(id, FIRST_PAGE)).items;
    expect(active.map((session) => session.id).sort()).toEqual(sessions.slice(2).sort());
    expect(await server.base.db.session.count({ where: { accountId: id, endReason: 'too_many_sessions' } })).toBe(2);
  });

  it('keeps the limit with concurrent sign-ins', async () => {
    const { id, email } = await server.account();
    await Promise.all(Array.from({ length: 8 }, () => signIn(email)));
    expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toHaveLength(3);
  });

  async function signIn(email: string): Promise<string> {
    const result = await server.core.signIn.withPassword({ email, password: PASSWORD }, systemMeta);
    if (result.kind !== 'complete') throw new Error('there is no second factor');
    return (await server.core.sessionIssuer.issueTokens(result, systemMeta)).session.id;
  }
});
