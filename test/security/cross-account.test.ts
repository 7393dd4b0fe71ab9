// Attempts of a signed-in user to read or change what belongs to another account.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf } from '../support/browser.js';
import { isConsent } from '../support/openid-client.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { callApi, postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { openTokenFamily } from '../support/token-family.js';
import { LOGIN_COOKIE, openSession } from './credential-kinds.js';

describe('another account', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** Creates an account with an authorized client and sessions in two browsers. */
  async function createUser() {
    const account = await server.account();
    const client = await server.client();
    const [browser, secondBrowser] = [new Browser(server.origin), new Browser(server.origin)];
    await browser.signIn(account.email, PASSWORD);
    await secondBrowser.signIn(account.email, PASSWORD);
    const family = await openTokenFamily(server, client, account.email, {}, browser);
    return { account, client, browser, family };
  }

  const stateOf = async (accountId: string) => ({
    sessions: await server.base.db.session.findMany({
      where: { accountId },
      select: { id: true, endedAt: true, tokenHash: true },
      orderBy: { id: 'asc' },
    }),
    consents: await server.base.db.consent.findMany({ where: { accountId } }),
    grants: await server.base.db.grant.findMany({ where: { accountId }, select: { id: true } }),
    account: await server.base.db.account.findUnique({ where: { id: accountId } }),
  });

  it('is not changed by its ids in forms of the account page', async () => {
    const [victim, attacker] = [await createUser(), await createUser()];
    const before = await stateOf(victim.account.id);
    expect(before.sessions.length).toBeGreaterThanOrEqual(2);
    expect(before.consents).toHaveLength(1);
    const page = await attacker.browser.open('/account');
    const { csrf = '' } = formsOf(page.html)[0]!.fields;
    const post = (path: string, fields: Record<string, string>) =>
      attacker.browser.open(path, { method: 'POST', body: new URLSearchParams({ csrf, ...fields }) });
    for (const { id } of before.sessions) {
      expect((await post(`/account/logins/${id}/end`, {})).url.pathname).toBe('/account');
      await post(`/account/logins/${encodeURIComponent(`../logins/${id}`)}/end`, { id, account_id: victim.account.id });
    }
    for (const { id } of before.grants) await post('/account/apps/remove', { client_id: id });
    const victimIds = {
      client_id: victim.client.id,
      account_id: victim.account.id,
      accountId: victim.account.id,
      sub: victim.account.id,
    };
    expect((await post('/account/apps/remove', victimIds)).url.pathname).toBe('/account');
    expect(await stateOf(victim.account.id)).toEqual(before);
    // The same form removes an app of the attacker's own account.
    const { html } = await post('/account/apps/remove', { client_id: attacker.client.id });
    expect(html).not.toContain(attacker.client.id);
    expect((await stateOf(attacker.account.id)).consents).toEqual([]);
  });

  it('is not changed by its session ids in the JSON API', async () => {
    const [victim, attacker] = [await createUser(), await createUser()];
    await openSession(server, victim.account.id);
    const before = await stateOf(victim.account.id);
    const { accessToken: token } = await openSession(server, attacker.account.id);
    for (const { id } of before.sessions) {
      const response = await callApi(server, 'DELETE', `/auth/sessions/${id}`, { token });
      expect([response.status, response.json.error]).toEqual([404, 'not_found']);
    }
    await callApi(server, 'DELETE', '/auth/sessions', { token });
    expect(await stateOf(victim.account.id)).toEqual(before);
  });

  it('is not shown on the account page', async () => {
    const [victim, attacker] = [await createUser(), await createUser()];
    const { html } = await attacker.browser.open(
      `/account?account_id=${victim.account.id}&email=${victim.account.email}`,
    );
    expect(html).toContain(attacker.account.email);
    for (const text of [victim.account.email, victim.account.id, victim.client.id]) expect(html).not.toContain(text);
    for (const { id } of (await stateOf(victim.account.id)).sessions) expect(html).not.toContain(id);
  });

  it('cannot be used in an interaction that started in another browser', async () => {
    const [victim, attacker] = [await createUser(), await createUser()];
    const client = await server.client();
    const page = await victim.browser.open(authorizeUrl(server, client, pkce().challenge));
    expect(isConsent(page)).toBe(true);
    const { pathname } = page.url;
    expect((await attacker.browser.open(pathname)).status).toBe(400);
    const csrf = formsOf((await attacker.browser.open('/account')).html)[0]!.fields.csrf!;
    const body = new URLSearchParams({ csrf, decision: 'allow' });
    expect((await attacker.browser.open(pathname, { method: 'POST', body })).status).toBe(400);
    expect((await attacker.browser.open(pathname.replace('/interaction', '/oauth/authorize'))).status).toBe(400);
    for (const { account } of [victim, attacker]) {
      expect((await stateOf(account.id)).consents.map(({ clientId }) => clientId)).not.toContain(client.id);
    }
  });

  it('cannot be accessed by its ids as tokens, and its tokens cannot be revoked by another client', async () => {
    const victim = await createUser();
    const before = await stateOf(victim.account.id);
    const otherClient = await server.client();
    const ids = [
      victim.account.id,
      ...before.sessions.map(({ id }) => id),
      ...before.grants.map(({ id }) => id),
      ...before.sessions.flatMap(({ tokenHash }) => (tokenHash ? [tokenHash] : [])),
      randomUUID(),
    ];
    for (const token of [...ids, victim.family.accessToken, victim.family.refreshToken]) {
      await postForm(server, '/oauth/revoke', { token }, { client: otherClient });
      const response = await sendRequest(server, 'GET', '/account', { cookie: `${LOGIN_COOKIE}=${token}` });
      expect(response.status).toBe(303);
    }
    for (const token of ids) {
      const response = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${token}` });
      expect(response.status).toBe(401);
    }
    expect(await stateOf(victim.account.id)).toEqual(before);
  });
});
