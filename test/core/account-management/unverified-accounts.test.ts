// The expiry of accounts that were never verified. It deletes no other account.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addSeconds, DAY_SECONDS } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember, changeAccount, createAccount, suspendAccount } from '../../support/accounts.js';
import { onboard } from '../../support/agents.js';
import { type ApiSession, logIn } from '../../support/api.js';
import { type MailServer, openMailServer } from '../../support/mail-server.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

interface SignedUp extends ApiSession {
  id: string;
  email: string;
}

let users = 0;

describe.each(stores)('an account whose e-mail address is not verified, on $name', (store) => {
  let server: TestServer;
  let mail: MailServer;
  const { clock, advance } = movableClock();
  beforeAll(async () => {
    mail = await openMailServer();
    server = await startServer({
      store,
      clock,
      settings: { SMTP_URL: `${mail.url}?tls=off`, TRUSTED_PROXIES: '127.0.0.1' },
    });
  });
  afterAll(async () => {
    await server.close();
    await mail.close();
  });
  beforeEach(async () => {
    await server.base.db.organization.deleteMany();
    await server.base.db.account.deleteMany();
  });

  const wait = (days: number) => advance(days * DAY_SECONDS * 1000);
  const exists = async (id: string) => (await server.base.db.account.count({ where: { id } })) === 1;
  const removeExpired = () => server.core.unverifiedAccounts.removeExpired();
  async function signUp(target: TestServer = server): Promise<SignedUp> {
    users += 1;
    const email = `new${users}@example.com`;
    const { status, text, json } = await callApi(target, 'POST', '/auth/register', {
      body: { email, password: PASSWORD },
      headers: { 'x-forwarded-for': `2001:db8:${users.toString(16)}::1` }, // each network can sign up 30 times an hour
    });
    expect(status, text).toBe(201);
    const session = json as unknown as ApiSession;
    return { ...session, email, id: String(session.user.id) };
  }

  it('is deleted after 30 days without a sign-in, with everything that belongs to it', async () => {
    const { id, email, access_token: token } = await signUp();
    const { status } = await callApi(server, 'POST', '/api-keys', { token, body: { name: 'k' } });
    expect(status).toBe(201);
    wait(29.9);
    expect(await removeExpired()).toBe(0);
    wait(0.2);
    server.lines.length = 0;
    await server.core.cleanup.run();
    expect(server.lines.join('\n')).toContain('"msg":"unverified accounts were deleted"');
    expect(await exists(id)).toBe(false);
    const { db } = server.base;
    const counts = [db.organization, db.membership, db.session, db.apiKey, db.oneTimeToken, db.grant, db.refreshToken];
    for (const table of counts) expect(await (table as typeof db.session).count()).toBe(0);
    const [event] = await server.core.audit.list({ action: 'account.deleted', accountId: id });
    expect(event).toMatchObject({ actorKind: 'system', detail: { reason: 'unverified' } });
    const again = await callApi(server, 'POST', '/auth/register', { body: { email, password: PASSWORD } });
    expect(again.status).toBe(201);
  });

  it('is kept for 30 more days by a sign-in', async () => {
    const { id, email } = await signUp();
    wait(20);
    await logIn(server, email);
    wait(29.9);
    expect(await removeExpired()).toBe(0);
    wait(0.2);
    expect(await removeExpired()).toBe(1);
    expect(await exists(id)).toBe(false);
  });

  it('is kept while it has an active session or grant', async () => {
    const strict = await startServer({
      sharedWith: server,
      clock,
      settings: { SMTP_URL: `${mail.url}?tls=off`, UNVERIFIED_ACCOUNT_TTL: '1d' },
    });
    try {
      await signUp();
      wait(6.9); // the session lasts 7 days
      expect(await strict.core.unverifiedAccounts.removeExpired()).toBe(0);
      wait(23.2); // the grant of its tokens lasts 30 days
      expect(await strict.core.unverifiedAccounts.removeExpired()).toBe(1);
    } finally {
      await strict.close();
    }
  });

  const far = () => addSeconds(clock.now(), 400 * DAY_SECONDS);
  const organizationOf = ({ id }: SignedUp) => server.core.organizations.personalOrganizationId(id);
  /** Each gives an account a property that keeps it. */
  const keeping: Record<string, (user: SignedUp) => Promise<unknown>> = {
    'a verified address': ({ id }) => server.base.db.account.update({ where: { id }, data: { emailVerified: true } }),
    'an address that was verified before': ({ id }) =>
      server.base.db.account.update({ where: { id }, data: { emailVerifiedAt: clock.now() } }),
    'a second factor': ({ id: accountId }) =>
      server.base.db.totpFactor.create({ data: { accountId, sealedSecret: 's', confirmedAt: clock.now() } }),
    'a consent': ({ id: accountId }) =>
      server.base.db.consent.create({ data: { accountId, clientId: 'c', scopes: {} } }),
    'an active grant': ({ id: accountId }) =>
      server.base.db.grant.create({ data: { id: accountId, accountId, clientId: 'c', payload: {}, expiresAt: far() } }),
    'a linked identity': ({ id: accountId }) =>
      server.base.db.federatedIdentity.create({ data: { accountId, issuer: 'i', subject: accountId } }),
    'a permission for a tool': async ({ id: accountId }) => {
      const { id: toolId } = await server.base.db.tool.create({ data: { slug: accountId, name: 'T' } });
      await server.base.db.permission.create({ data: { accountId, toolId, level: 'read' } });
    },
    'an agent': ({ access_token }) => onboard(server, {}, access_token),
    'a link for a password reset': ({ id: accountId }) =>
      server.base.db.oneTimeToken.create({
        data: { tokenHash: accountId, purpose: 'reset', accountId, expiresAt: far() },
      }),
    'the organization of another account': async ({ id }) => {
      const owner = await createAccount(server);
      await addMember(server, await server.core.organizations.personalOrganizationId(owner.id), id, 'viewer');
    },
    'another member in its organization': async (user) => {
      const member = await createAccount(server);
      await addMember(server, await organizationOf(user), member.id, 'viewer');
    },
    'an API key that was used': ({ id: accountId }) =>
      server.base.db.organization.findFirstOrThrow({ where: { ownerId: accountId } }).then(({ id: organizationId }) =>
        server.base.db.apiKey.create({
          data: {
            ...{ id: accountId, accountId, organizationId, name: 'k', format: 'sk_live', prefix: 'p', hash: 'h' },
            ...{ role: 'viewer', scopes: [], lastUsedAt: addSeconds(clock.now(), 20 * DAY_SECONDS) },
          },
        }),
      ),
    'the role of an administrator': ({ id }) =>
      server.base.db.account.update({ where: { id }, data: { role: 'admin' } }),
    'a change by an administrator': ({ id }) => changeAccount(server, id, { name: 'Known user' }),
    'a suspension': ({ id }) => suspendAccount(server, id),
  };

  it.each(Object.keys(keeping))('is kept with %s', async (name) => {
    const [kept, expired] = [await signUp(), await signUp()];
    await keeping[name]!(kept);
    wait(31);
    expect(await removeExpired()).toBe(1);
    expect(await exists(kept.id)).toBe(true);
    expect(await exists(expired.id)).toBe(false);
  });

  it('is kept if the user did not sign up', async () => {
    const admin = await createAccount(server, { role: 'admin' });
    const input = { email: 'by-admin@example.com', password: PASSWORD };
    await server.core.userAdministration.create(input, admin, systemMeta);
    await server.core.accounts.create({ email: 'imported@example.com', passwordHash: null }, systemMeta);
    wait(89);
    expect(await removeExpired()).toBe(0);
    expect(await server.base.db.account.count()).toBe(3);
  });

  it('is kept if the server had no mail server at the sign-up, or has none now', async () => {
    const settings = { TRUSTED_PROXIES: '127.0.0.1' };
    const withoutMail = await startServer({ sharedWith: server, clock, settings });
    try {
      const [unsent, sent] = [await signUp(withoutMail), await signUp()];
      wait(31);
      expect(await withoutMail.core.unverifiedAccounts.removeExpired()).toBe(0);
      expect(await removeExpired()).toBe(1);
      expect([await exists(unsent.id), await exists(sent.id)]).toEqual([true, false]);
    } finally {
      await withoutMail.close();
    }
  });

  it('is kept with UNVERIFIED_ACCOUNT_TTL=0s', async () => {
    const settings = { SMTP_URL: `${mail.url}?tls=off`, UNVERIFIED_ACCOUNT_TTL: '0s' };
    const disabled = await startServer({ sharedWith: server, clock, settings });
    await signUp();
    wait(400);
    expect(await disabled.core.unverifiedAccounts.removeExpired()).toBe(0);
    await disabled.close();
  });

  it('is kept when the user signs in after the cleanup has found it', async () => {
    const [first, second] = [await signUp(), await signUp()].sort((a, b) => (a.id < b.id ? -1 : 1));
    wait(31);
    const { invalidationBus } = server.base;
    const { publish } = invalidationBus;
    let published = false;
    // The deletion of the first account waits for this, and the second one follows.
    invalidationBus.publish = async (topic, id) => {
      if (!published) {
        published = true;
        await logIn(server, second!.email);
      }
      return publish(topic, id);
    };
    try {
      expect(await removeExpired()).toBe(1);
    } finally {
      invalidationBus.publish = publish;
    }
    expect([await exists(first!.id), await exists(second!.id)]).toEqual([false, true]);
  });

  it('is either kept or rejected when the user signs in during the deletion', async () => {
    const expiring: SignedUp[] = [];
    for (let n = 0; n < 12; n += 1) expiring.push(await signUp());
    wait(31);
    const attempt = ({ email }: SignedUp) =>
      callApi(server, 'POST', '/auth/login-json', { body: { username: email, password: PASSWORD } });
    const [statuses, ...removed] = await Promise.all([
      Promise.all(expiring.map(async (user) => (await attempt(user)).status)),
      removeExpired(),
      removeExpired(),
    ]);
    for (const [n, { id }] of expiring.entries()) {
      expect([200, 401]).toContain(statuses[n]);
      expect(await exists(id), `account ${n}`).toBe(statuses[n] === 200);
    }
    const kept = statuses.filter((status) => status === 200).length;
    expect(removed.reduce((sum, count) => sum + count, 0)).toBe(expiring.length - kept);
  });
});
