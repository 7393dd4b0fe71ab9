// Password reset and change: expired links, concurrent requests, attackers who know an address.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { requireComplete } from '../../../src/web/endpoints/admitted.js';
import { getMe } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { isActive, refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

const NEXT = 'nine unrelated lanterns';
const used = { status: 401, code: 'invalid_token' };

describe.each(stores)('a password reset on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  let addresses = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(Date.now() + aheadMs) } });
  });
  afterAll(() => server.close());

  function newAddress() {
    addresses += 1;
    return { ...systemMeta, address: `10.9.${addresses >> 8}.${addresses & 255}` };
  }
  const forgot = (email: string) => server.core.passwordReset.requestReset(email, newAddress());
  const reset = (token: string, password = NEXT) => server.core.passwordReset.reset(token, password, newAddress());
  const opens = async (email: string, password: string) =>
    (await new Browser(server.origin).signIn(email, password)).url.pathname === '/account';

  async function linkFor(email: string): Promise<string> {
    await forgot(email);
    return tokenIn(await mailTo(server, email, /Choose/));
  }

  it('sets the password with a link that works once when 20 requests use it at once', async () => {
    const { id, email } = await server.account();
    const token = await linkFor(` ${email.toUpperCase()} `.trim() && email);
    expect(await server.core.passwordReset.isValid(token)).toBe(true);
    const passwords = Array.from({ length: 20 }, (_, n) => `${NEXT} ${n}`);
    const results = await Promise.allSettled(passwords.map((password) => reset(token, password)));
    const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
    expect(winners).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject(used);
    expect(await opens(email, passwords[winners[0]!]!)).toBe(true);
    expect(await opens(email, PASSWORD)).toBe(false);
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
    const [browser, other] = [new Browser(server.origin), new Browser(server.origin)];
    const online = await openTokenFamily(server, client, email, {}, browser);
    const scope = 'openid offline_access';
    const offline = await openTokenFamily(server, client, email, { scope, prompt: 'consent' }, other);
    await other.submit(await other.open('/logout')); // grants with offline_access survive this
    expect(await isActive(server, offline.accessToken)).toBe(true);

    await reset(await linkFor(email));
    expect(await server.core.sessions.list(id)).toEqual([]);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    for (const { accessToken, refreshToken } of [online, offline]) {
      expect(await isActive(server, accessToken)).toBe(false);
      expect((await refresh(server, client, refreshToken)).body.error).toBe('invalid_grant');
    }
    expect(await server.base.db.grant.count({ where: { accountId: id } })).toBe(0);
  });

  it('deletes credentials from an account whose address was unverified', async () => {
    const { db } = server.base;
    async function prepared(emailVerified: boolean) {
      const { id, email } = await server.account();
      const account = await db.account.update({ where: { id }, data: { emailVerified } });
      await server.core.identities.linkByAdmin(account, { issuer: 'https://other.example', subject: id });
      const { key } = await server.core.apiKeys.create(
        account,
        { name: 'K', format: 'sk_live', lifeSeconds: null },
        systemMeta,
      );
      await server.core.mfa.begin(account);
      await reset(await linkFor(email));
      const remaining = await Promise.all([
        db.federatedIdentity.count({ where: { accountId: id } }),
        db.totpFactor.count({ where: { accountId: id } }),
        db.apiKey.count({ where: { accountId: id } }),
      ]);
      return { remaining, keyWorks: (await getMe(server, key)).status === 200 };
    }
    expect(await prepared(false)).toEqual({ remaining: [0, 0, 0], keyWorks: false });
    expect(await prepared(true)).toEqual({ remaining: [1, 1, 1], keyWorks: true });
  });

  it('issues no session to a sign-in that verified the old password', async () => {
    const { id, email } = await server.account();
    const { signIn, sessionIssuer, sessions } = server.core;
    const late = requireComplete(await signIn.withPassword({ email, password: PASSWORD }, systemMeta));
    const token = await linkFor(email);
    const pending = Array.from({ length: 20 }, () => sessionIssuer.startBrowserSession(late, undefined, systemMeta));
    const results = await Promise.allSettled([reset(token), ...pending]);
    expect(results[0]!.status).toBe('fulfilled');
    expect(await sessions.list(id)).toEqual([]);
    await expect(sessionIssuer.startBrowserSession(late, undefined, systemMeta)).rejects.toMatchObject({
      code: 'invalid_credentials',
    });
  });

  it('keeps the link valid when the new password is rejected', async () => {
    const { email } = await server.account();
    const token = await linkFor(email);
    for (const bad of ['short', 'password', email]) {
      await expect(reset(token, bad)).rejects.toMatchObject({ status: 400, fields: { password: expect.any(String) } });
    }
    expect(await opens(email, PASSWORD)).toBe(true);
    await reset(token);
    expect(await opens(email, NEXT)).toBe(true);
  });

  it('accepts only the newest link, until it expires or the address changes', async () => {
    const { id, email } = await server.account();
    const first = await linkFor(email);
    const second = await linkFor(email);
    for (const wrong of [first, 'x', '']) await expect(reset(wrong)).rejects.toMatchObject(used);
    aheadMs = 3_601_000;
    try {
      await expect(reset(second)).rejects.toMatchObject(used);
    } finally {
      aheadMs = 0;
    }
    await server.base.db.account.update({ where: { id }, data: { email: `moved-${email}` } });
    await expect(reset(second)).rejects.toMatchObject(used);
    expect(await opens(`moved-${email}`, PASSWORD)).toBe(true);
  });

  it('rejects the link and mails nothing while the account is suspended', async () => {
    const { id, email } = await server.account();
    const token = await linkFor(email);
    await server.base.db.account.update({ where: { id }, data: { status: 'suspended' } });
    await expect(reset(token)).rejects.toMatchObject(used);
    await forgot(email);
    expect(await mailsTo(server, email)).toHaveLength(1);
    expect(await server.base.db.account.findUnique({ where: { id } })).toMatchObject({ notBefore: null });
  });

  it('limits mails by account and requests by IP address', async () => {
    const { email } = await server.account();
    for (let n = 0; n < 10; n += 1) await forgot(email);
    expect(await mailsTo(server, email)).toHaveLength(3);
    const meta = newAddress();
    for (let n = 0; n < 30; n += 1) await server.core.passwordReset.requestReset(`unknown${n}@example.com`, meta);
    await expect(server.core.passwordReset.requestReset(email, meta)).rejects.toMatchObject({ status: 429 });
  });

  it('rolls everything back when revoking grants fails', async () => {
    const { id, email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const token = await linkFor(email);
    await server.base.db.$executeRawUnsafe('ALTER TABLE "Grant" RENAME TO "Grant_gone"');
    try {
      await expect(reset(token)).rejects.toThrow();
    } finally {
      await server.base.db.$executeRawUnsafe('ALTER TABLE "Grant_gone" RENAME TO "Grant"');
    }
    expect(await opens(email, PASSWORD)).toBe(true);
    expect((await browser.open('/account')).url.pathname).toBe('/account');
    expect((await server.core.audit.list({ accountId: id, action: 'password.reset' })).length).toBe(0);
    await reset(token);
    expect(await opens(email, NEXT)).toBe(true);
  });
});

describe.each(stores)('a password change on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  async function signedIn() {
    const account = await server.account();
    const open = async () => {
      const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
      return (await server.core.sessions.find(session.id))!;
    };
    return { ...account, here: await open(), otherBrowser: await open() };
  }
  const change = (login: Awaited<ReturnType<typeof signedIn>>['here'], current: string, next: string, n = 1) =>
    server.core.passwordReset.changePassword(login, { current, next }, { ...systemMeta, address: `10.8.0.${n}` });

  it('revokes other sessions, invalidates links, and notifies the owner', async () => {
    const { id, email, here, otherBrowser } = await signedIn();
    await server.core.passwordReset.requestReset(email, systemMeta);
    const token = tokenIn(await mailTo(server, email, /Choose/));
    await change(here, PASSWORD, NEXT);
    expect((await server.core.sessions.list(id)).map((session) => session.id)).toEqual([here.session.id]);
    expect(await server.core.sessions.find(otherBrowser.session.id)).toBeUndefined();
    expect(await server.core.sessions.find(here.session.id)).toBeDefined();
    expect(await server.core.passwordReset.isValid(token)).toBe(false);
    expect((await mailTo(server, email, /was changed/)).text).toContain('10.8.0.1');
    expect(await server.core.audit.list({ accountId: id, action: 'password.changed' })).toHaveLength(1);
    await expect(server.core.signIn.withPassword({ email, password: PASSWORD }, systemMeta)).rejects.toThrow();
    await server.core.signIn.withPassword({ email, password: NEXT }, systemMeta);
  });

  it('revokes offline access of ended sessions, and keeps the grants of the current session', async () => {
    const { id, email } = await server.account();
    const client = await server.client();
    const attacker = new Browser(server.origin);
    const more = { scope: 'openid offline_access', prompt: 'consent' };
    const stolen = await openTokenFamily(server, client, email, more, attacker);
    await attacker.submit(await attacker.open('/logout'));
    const kept = await openTokenFamily(server, client, email, more);
    const [session] = await server.core.sessions.list(id);
    expect(await isActive(server, stolen.accessToken)).toBe(true);

    await change((await server.core.sessions.find(session!.id))!, PASSWORD, NEXT, 6);
    expect(await isActive(server, stolen.accessToken)).toBe(false);
    expect((await refresh(server, client, stolen.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, kept.accessToken)).toBe(true);
    expect((await refresh(server, client, kept.refreshToken)).status).toBe(200);
  });

  it('requires the current password, and limits attempts like a sign-in', async () => {
    const { here, otherBrowser } = await signedIn();
    for (let n = 0; n < 10; n += 1)
      await expect(change(here, 'a wrong password', NEXT, 2)).rejects.toMatchObject({ code: 'invalid_credentials' });
    await expect(change(here, PASSWORD, NEXT, 2)).rejects.toMatchObject({ code: 'auth_rate_limited' });
    expect(await server.core.sessions.find(otherBrowser.session.id)).toBeDefined();
  });

  it('changes nothing when the new password is rejected', async () => {
    const { here, otherBrowser } = await signedIn();
    await expect(change(here, PASSWORD, 'short', 3)).rejects.toMatchObject({
      fields: { password: expect.any(String) },
    });
    expect(await server.core.sessions.find(otherBrowser.session.id)).toBeDefined();
  });

  it('succeeds once when two sessions change the password at once', async () => {
    const { email, here, otherBrowser } = await signedIn();
    const results = await Promise.allSettled([
      change(here, PASSWORD, `${NEXT} 1`, 4),
      change(otherBrowser, PASSWORD, `${NEXT} 2`, 5),
    ]);
    const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n + 1] : []));
    expect(winners).toHaveLength(1);
    await server.core.signIn.withPassword({ email, password: `${NEXT} ${winners[0]}` }, systemMeta);
  });
});
