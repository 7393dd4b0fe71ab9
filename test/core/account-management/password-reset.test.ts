// Password reset and password change, with expired links, concurrent requests and attackers.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { requireCompleteAuthentication } from '../../../src/web/endpoints/require-complete.js';
import { changeAccount, createAccount, suspendAccount } from '../../support/accounts.js';
import { getMe } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { movableClock } from '../../support/movable-clock.js';
import { isActive, refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

const HOUR_MS = 3_600_000;
const NEW_PASSWORD = 'nine unrelated lanterns';
const invalidToken = { status: 401, code: 'invalid_token' };

describe.each(stores)('a password reset on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  let addresses = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  function metaOfNewAddress() {
    addresses += 1;
    return { ...systemMeta, address: `10.9.${addresses >> 8}.${addresses & 255}` };
  }
  const requestReset = (email: string) => server.core.passwordReset.requestReset(email, metaOfNewAddress());
  const reset = (token: string, password = NEW_PASSWORD) =>
    server.core.passwordReset.reset(token, password, metaOfNewAddress());
  const canSignIn = async (email: string, password: string) =>
    (await new Browser(server.origin).signIn(email, password)).url.pathname === '/account';

  async function resetTokenOf(email: string): Promise<string> {
    await requestReset(email);
    return tokenIn(await mailTo(server, email, /Choose/));
  }

  it('sets the password with a link that can be used once, even in 20 concurrent requests', async () => {
    const { id, email } = await server.account();
    const token = await resetTokenOf(email);
    expect(await server.core.passwordReset.isValid(token)).toBe(true);
    const passwords = Array.from({ length: 20 }, (_, n) => `${NEW_PASSWORD} ${n}`);
    const results = await Promise.allSettled(passwords.map((password) => reset(token, password)));
    const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
    expect(winners).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject(invalidToken);
    expect(await canSignIn(email, passwords[winners[0]!]!)).toBe(true);
    expect(await canSignIn(email, PASSWORD)).toBe(false);
    expect(await server.core.accounts.find(id)).toMatchObject({ emailVerified: true });
    const actions = (await server.core.audit.list({ accountId: id })).map(({ action }) => action);
    expect(actions.filter((action) => action === 'password.reset')).toHaveLength(1);
    expect(actions).toContain('password.reset_requested');
    expect(
      (await mailsTo(server, email)).filter(({ subject }) => subject === 'Your password was changed'),
    ).toHaveLength(1);
  });

  it('revokes all sessions and grants, including offline access', async () => {
    const { id, email } = await server.account();
    const client = await server.client();
    const [browser, otherBrowser] = [new Browser(server.origin), new Browser(server.origin)];
    const online = await openTokenFamily(server, client, email, {}, browser);
    const scope = 'openid offline_access';
    const offline = await openTokenFamily(server, client, email, { scope, prompt: 'consent' }, otherBrowser);
    await otherBrowser.submit(await otherBrowser.open('/logout')); // grants with offline_access survive a sign-out
    expect(await isActive(server, offline.accessToken)).toBe(true);

    await reset(await resetTokenOf(email));
    expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toEqual([]);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    for (const { accessToken, refreshToken } of [online, offline]) {
      expect(await isActive(server, accessToken)).toBe(false);
      expect((await refresh(server, client, refreshToken)).body.error).toBe('invalid_grant');
    }
    expect(await server.base.db.grant.count({ where: { accountId: id } })).toBe(0);
  });

  it('deletes the credentials of an account whose address was unverified', async () => {
    const { db } = server.base;
    async function credentialsAfterReset(verified: boolean) {
      const account = await createAccount(server, { verified });
      const { id, email } = account;
      await server.core.identities.linkByAdmin(account, { issuer: 'https://other.example', subject: id });
      const { key } = await server.core.apiKeys.create(
        { account },
        { name: 'K', format: 'sk_live', lifeSeconds: null },
        systemMeta,
      );
      await server.core.mfa.beginEnrollment(account);
      await server.core.consents.grant({ account }, 'c', { scopes: [], claims: [], resources: {} }, systemMeta);
      await reset(await resetTokenOf(email));
      const remaining = await Promise.all([
        db.federatedIdentity.count({ where: { accountId: id } }),
        db.totpFactor.count({ where: { accountId: id } }),
        db.apiKey.count({ where: { accountId: id } }),
        db.consent.count({ where: { accountId: id } }),
      ]);
      return { remaining, keyWorks: (await getMe(server, key)).status === 200 };
    }
    expect(await credentialsAfterReset(false)).toEqual({ remaining: [0, 0, 0, 0], keyWorks: false });
    expect(await credentialsAfterReset(true)).toEqual({ remaining: [1, 1, 1, 1], keyWorks: true });
  });

  it('issues no session to a sign-in that verified the old password', async () => {
    const { id, email } = await server.account();
    const { signIn, sessionIssuer, sessions } = server.core;
    const late = requireCompleteAuthentication(await signIn.withPassword({ email, password: PASSWORD }, systemMeta));
    const token = await resetTokenOf(email);
    const pending = Array.from({ length: 20 }, () => sessionIssuer.startBrowserSession(late, undefined, systemMeta));
    const results = await Promise.allSettled([reset(token), ...pending]);
    expect(results[0]!.status).toBe('fulfilled');
    expect((await sessions.list(id, FIRST_PAGE)).items).toEqual([]);
    await expect(sessionIssuer.startBrowserSession(late, undefined, systemMeta)).rejects.toMatchObject({
      code: 'invalid_credentials',
    });
  });

  it('keeps the link valid when the new password is rejected', async () => {
    const { email } = await server.account();
    const token = await resetTokenOf(email);
    for (const password of ['short', 'password', email]) {
      await expect(reset(token, password)).rejects.toMatchObject({
        status: 400,
        fields: { password: expect.any(String) },
      });
    }
    expect(await canSignIn(email, PASSWORD)).toBe(true);
    await reset(token);
    expect(await canSignIn(email, NEW_PASSWORD)).toBe(true);
  });

  it('accepts only the newest link, until it expires or the address changes', async () => {
    const { id, email } = await server.account();
    const first = await resetTokenOf(email);
    const second = await resetTokenOf(email);
    for (const wrong of [first, 'x', '']) await expect(reset(wrong)).rejects.toMatchObject(invalidToken);
    await later(HOUR_MS + 1000, () => expect(reset(second)).rejects.toMatchObject(invalidToken));
    await changeAccount(server, id, { email: `moved-${email}` });
    await expect(reset(second)).rejects.toMatchObject(invalidToken);
    expect(await canSignIn(`moved-${email}`, PASSWORD)).toBe(true);
  });

  it('rejects the link and mails nothing while the account is suspended', async () => {
    const { id, email } = await server.account();
    const token = await resetTokenOf(email);
    await suspendAccount(server, id);
    await expect(reset(token)).rejects.toMatchObject(invalidToken);
    await requestReset(email);
    expect(await mailsTo(server, email)).toHaveLength(1);
    await changeAccount(server, id, { status: 'active' });
    expect(await canSignIn(email, PASSWORD)).toBe(true);
  });

  it('limits mails by account and requests by IP address', async () => {
    const { email } = await server.account();
    for (let n = 0; n < 10; n += 1) await requestReset(email);
    expect(await mailsTo(server, email)).toHaveLength(3);
    const meta = metaOfNewAddress();
    for (let n = 0; n < 30; n += 1) await server.core.passwordReset.requestReset(`unknown${n}@example.com`, meta);
    await expect(server.core.passwordReset.requestReset(email, meta)).rejects.toMatchObject({ status: 429 });
  });

  it('rolls everything back when revoking grants fails', async () => {
    const { id, email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const token = await resetTokenOf(email);
    await server.base.db.$executeRawUnsafe('ALTER TABLE "Grant" RENAME TO "Grant_gone"');
    try {
      await expect(reset(token)).rejects.toThrow();
    } finally {
      await server.base.db.$executeRawUnsafe('ALTER TABLE "Grant_gone" RENAME TO "Grant"');
    }
    expect(await canSignIn(email, PASSWORD)).toBe(true);
    expect((await browser.open('/account')).url.pathname).toBe('/account');
    expect((await server.core.audit.list({ accountId: id, action: 'password.reset' })).length).toBe(0);
    await reset(token);
    expect(await canSignIn(email, NEW_PASSWORD)).toBe(true);
  });
});

describe.each(stores)('a password change on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Signs an account in with two sessions. */
  async function signInTwice() {
    const account = await server.account();
    const open = async () => {
      const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
      return (await server.core.sessions.find(session.id))!;
    };
    return { ...account, current: await open(), other: await open() };
  }
  const change = (login: Awaited<ReturnType<typeof signInTwice>>['current'], current: string, next: string, n = 1) =>
    server.core.passwordReset.changePassword(login, { current, next }, { ...systemMeta, address: `10.8.0.${n}` });

  it('revokes other sessions, invalidates reset links, and notifies the user', async () => {
    const { id, email, current, other } = await signInTwice();
    await server.core.passwordReset.requestReset(email, systemMeta);
    const token = tokenIn(await mailTo(server, email, /Choose/));
    await change(current, PASSWORD, NEW_PASSWORD);
    expect((await server.core.sessions.list(id, FIRST_PAGE)).items.map((session) => session.id)).toEqual([
      current.session.id,
    ]);
    expect(await server.core.sessions.find(other.session.id)).toBeUndefined();
    expect(await server.core.sessions.find(current.session.id)).toBeDefined();
    expect(await server.core.passwordReset.isValid(token)).toBe(false);
    expect((await mailTo(server, email, /was changed/)).text).toContain('10.8.0.1');
    expect(await server.core.audit.list({ accountId: id, action: 'password.changed' })).toHaveLength(1);
    await expect(server.core.signIn.withPassword({ email, password: PASSWORD }, systemMeta)).rejects.toThrow();
    await server.core.signIn.withPassword({ email, password: NEW_PASSWORD }, systemMeta);
  });

  it('revokes offline access of signed-out sessions, and keeps the grants of the current session', async () => {
    const { id, email } = await server.account();
    const client = await server.client();
    const attacker = new Browser(server.origin);
    const more = { scope: 'openid offline_access', prompt: 'consent' };
    const stolen = await openTokenFamily(server, client, email, more, attacker);
    await attacker.submit(await attacker.open('/logout'));
    const kept = await openTokenFamily(server, client, email, more);
    const [session] = (await server.core.sessions.list(id, FIRST_PAGE)).items;
    expect(await isActive(server, stolen.accessToken)).toBe(true);

    await change((await server.core.sessions.find(session!.id))!, PASSWORD, NEW_PASSWORD, 6);
    expect(await isActive(server, stolen.accessToken)).toBe(false);
    expect((await refresh(server, client, stolen.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, kept.accessToken)).toBe(true);
    expect((await refresh(server, client, kept.refreshToken)).status).toBe(200);
  });

  it('requires the current password, and limits attempts as at sign-in', async () => {
    const { current, other } = await signInTwice();
    for (let n = 0; n < 10; n += 1)
      await expect(change(current, 'a wrong password', NEW_PASSWORD, 2)).rejects.toMatchObject({
        code: 'invalid_credentials',
      });
    await expect(change(current, PASSWORD, NEW_PASSWORD, 2)).rejects.toMatchObject({ code: 'auth_rate_limited' });
    expect(await server.core.sessions.find(other.session.id)).toBeDefined();
  });

  it('changes nothing when the new password is rejected', async () => {
    const { current, other } = await signInTwice();
    await expect(change(current, PASSWORD, 'short', 3)).rejects.toMatchObject({
      fields: { password: expect.any(String) },
    });
    expect(await server.core.sessions.find(other.session.id)).toBeDefined();
  });

  it('succeeds once when two sessions change the password concurrently', async () => {
    const { email, current, other } = await signInTwice();
    const results = await Promise.allSettled([
      change(current, PASSWORD, `${NEW_PASSWORD} 1`, 4),
      change(other, PASSWORD, `${NEW_PASSWORD} 2`, 5),
    ]);
    const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n + 1] : []));
    expect(winners).toHaveLength(1);
    await server.core.signIn.withPassword({ email, password: `${NEW_PASSWORD} ${winners[0]}` }, systemMeta);
  });
});
