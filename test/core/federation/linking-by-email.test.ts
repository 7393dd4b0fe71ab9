// Linking of external users to existing accounts by their e-mail address.
import { beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Account, AccountOptions } from '../../../src/core/accounts/accounts.js';
import { changeAccount } from '../../support/accounts.js';
import { onboard } from '../../support/agents.js';
import { logIn } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import { type ExternalUser, newExternalUser } from '../../support/fake-providers.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { type ProviderId, useExternalLogin } from './external-login-setup.js';

describe.each(stores)('linking by e-mail address on $name', (store) => {
  const setup = useExternalLogin(store);
  const { signIn, link, createVerified, findAccount } = setup;
  let server: TestServer;
  beforeAll(() => {
    ({ server } = setup.servers);
  });

  const createKey = async (account: Account) => {
    const input = { name: 'CI', format: 'sk_live', lifeSeconds: null } as const;
    return (await server.core.apiKeys.create({ account }, input, systemMeta)).key;
  };
  const createAgent = async (account: Account, agentId: string) => {
    const [personal] = await server.core.organizations.listFor(account.id);
    const input = { agentId, name: agentId, capabilities: ['read:cap-table'] };
    const { agent, key } = await server.core.agents.onboarding.onboardInto(
      personal!.id,
      { account },
      input,
      systemMeta,
    );
    return { id: agent.id, key };
  };
  const isActive = async (key: string) => (await callApi(server, 'GET', '/auth/me', { token: key })).status === 200;
  const linksOf = (accountId: string) => server.core.links.list(accountId);

  let n = 0;
  const cases: [string, ProviderId, (n: number) => Partial<ExternalUser>, AccountOptions, boolean][] = [
    ['an address of Google at gmail.com', 'google', (i) => ({ email: `a${i}@gmail.com` }), {}, true],
    ['an address of Google in capitals', 'google', (i) => ({ email: `B${i}@Gmail.com` }), {}, true],
    [
      'an address of Google in a hosted domain',
      'google',
      (i) => ({ email: `c${i}@corp.example`, hd: 'corp.example' }),
      {},
      true,
    ],
    ['the verified primary address of GitHub', 'github', (i) => ({ email: `d${i}@any.example` }), {}, true],
    ['an address in the domain of a provider', 'acme', (i) => ({ email: `e${i}@acme.example` }), {}, true],
    ['an address of Google in another domain', 'google', (i) => ({ email: `f${i}@any.example` }), {}, false],
    [
      'an address of Google in another domain with an empty hd',
      'google',
      (i) => ({ email: `f${i}@any.example`, hd: '' }),
      {},
      false,
    ],
    [
      'an address that Google has not verified',
      'google',
      (i) => ({ email: `g${i}@gmail.com`, verified: false }),
      {},
      false,
    ],
    [
      'an address of Google in a domain that begins with gmail.com',
      'google',
      (i) => ({ email: `g${i}@gmail.com.example` }),
      {},
      false,
    ],
    [
      'the primary address of GitHub if it is not verified',
      'github',
      (i) => ({ email: `h${i}@any.example`, verified: false }),
      {},
      false,
    ],
    ['an address that LinkedIn has verified', 'linkedin', (i) => ({ email: `i${i}@gmail.com` }), {}, false],
    ['an address outside the domain of a provider', 'acme', (i) => ({ email: `j${i}@gmail.com` }), {}, false],
    [
      'an address in a subdomain of the domain of a provider',
      'acme',
      (i) => ({ email: `j${i}@sub.acme.example` }),
      {},
      false,
    ],
    [
      'an address that was not verified locally',
      'google',
      (i) => ({ email: `k${i}@gmail.com` }),
      { verified: false },
      false,
    ],
    ['the address of an administrator', 'google', (i) => ({ email: `l${i}@gmail.com` }), { role: 'admin' }, false],
    [
      'the address of a suspended account',
      'google',
      (i) => ({ email: `m${i}@gmail.com` }),
      { status: 'suspended' },
      false,
    ],
  ];

  it.each(cases.filter(([, , , , isLinked]) => isLinked))('happens for %s (%s)', async (_case, id, more, options) => {
    n += 1;
    const user = newExternalUser(more(n));
    const account = await createVerified(user.email!.toLowerCase(), options);
    const response = await signIn(id, user);
    expect([response.status, response.body.id]).toEqual([200, account.id]);
    expect(await linksOf(account.id)).toMatchObject([{ provider: { id }, subject: user.id }]);
  });

  it.each(cases.filter(([, , , , isLinked]) => !isLinked))(
    'does not happen for %s (%s)',
    async (_case, id, more, options) => {
      n += 1;
      const user = newExternalUser(more(n));
      const account = await createVerified(user.email!.toLowerCase(), options);
      const response = await signIn(id, user);
      expect([response.status, response.error]).toEqual([409, 'link_required']);
      expect(response.json.error_description).toMatch(/Sign in to it, then link/);
      expect(response.text).not.toContain('token');
      expect(await linksOf(account.id)).toEqual([]);
      if (account.status !== 'active') return;

      const { access_token: token } = await logIn(server, account.email);
      expect((await link(id, user, token)).status).toBe(200);
      expect((await signIn(id, user)).body.id).toBe(account.id);
    },
  );

  it('is limited to one user per provider', async () => {
    const first = newExternalUser({ email: 'shared@gmail.com' });
    const account = await createVerified('shared@gmail.com');
    expect((await signIn('google', first)).body.id).toBe(account.id);
    expect((await signIn('google', newExternalUser({ email: 'shared@gmail.com' }))).error).toBe('link_required');
    expect((await signIn('github', newExternalUser({ email: 'shared@gmail.com' }))).body.id).toBe(account.id);
  });

  it('does not happen for an account with a second factor, with or without a code', async () => {
    const account = await createVerified('two-factor@gmail.com');
    const { app } = await enrol(server, new Date(), account);
    const user = newExternalUser({ email: account.email });
    for (const more of [{}, { otp: app.wrongCode() }, { otp: app.code(new Date(), 1) }]) {
      expect((await signIn('google', user, more)).error).toBe('link_required');
    }
    expect(await linksOf(account.id)).toEqual([]);
    expect(await mailsTo(server, account.email)).toEqual([]);
  });

  it('revokes the earlier sessions of the account and notifies its owner', async () => {
    const account = await createVerified('prepared@gmail.com');
    const attacker = await logIn(server, account.email);
    const { token: cookie } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    expect((await signIn('linkedin', newExternalUser({ email: account.email }))).error).toBe('link_required');
    expect(
      (await callApi(server, 'GET', '/auth/me', { token: attacker.access_token })).status,
      'a rejected sign-in revokes nothing',
    ).toBe(200);

    const owner = await signIn('google', newExternalUser({ email: account.email }));
    expect(owner.body.id).toBe(account.id);
    expect((await callApi(server, 'GET', '/auth/me', { token: attacker.access_token })).status).toBe(401);
    const body = { refresh_token: attacker.refresh_token };
    expect((await callApi(server, 'POST', '/auth/refresh', { body })).status).toBe(401);
    expect(await server.core.sessions.findByToken(cookie)).toBeUndefined();
    expect((await callApi(server, 'GET', '/auth/me', { token: owner.body.access_token })).status).toBe(200);
    const { text } = await mailTo(server, account.email, /New sign-in method/);
    expect(text).toMatch(/with Google.*did not set the password.*\/forgot-password/s);
    for (const page of ['keys', 'agents']) expect(text).toContain(`${server.issuer}/account/${page}\n`);
  });

  it('deletes keys and agents from before the address was verified, but no later ones', async () => {
    const email = 'awaited@gmail.com';
    const { account } = await server.core.signIn.register({ email, name: 'Mara', password: PASSWORD }, systemMeta);
    const before = { key: await createKey(account), agent: await createAgent(account, 'before') };
    const unclaimed = await onboard(server, { agent_id: 'unclaimed' });
    await server.core.emailVerification.verify(
      tokenIn(await mailTo(server, email, /Confirm/)),
      { account },
      systemMeta,
    );
    const verified = (await server.core.accounts.findByEmail(email))!;
    const after = { key: await createKey(verified), agent: await createAgent(verified, 'after') };
    const claim = new URL(unclaimed.claim_url!).searchParams.get('token')!;
    const claimed = await server.core.ownershipClaims.claim(claim, { account: verified }, systemMeta);
    expect(await isActive(before.key)).toBe(true);

    expect((await signIn('google', newExternalUser({ email }))).body.id).toBe(account.id);
    expect([await isActive(before.key), await isActive(after.key)]).toEqual([false, true]);
    const remaining = await server.base.db.agent.findMany({
      where: { ownerId: account.id },
      orderBy: { createdAt: 'asc' },
    });
    expect(remaining.map(({ id }) => id)).toEqual([claimed.id, after.agent.id]);
    const agentCall = { token: before.agent.key };
    expect((await callApi(server, 'GET', '/agents/before', agentCall)).status).toBe(401);
    const [event] = await server.core.audit.list({ accountId: account.id, action: 'identity.linked' });
    expect(event!.detail).toMatchObject({ cleared: true });
  });

  it('takes the first verification of the current address as the time of verification', async () => {
    const email = 'verified.twice@gmail.com';
    const { account } = await server.core.signIn.register({ email, name: 'Mara', password: PASSWORD }, systemMeta);
    const confirm = tokenIn(await mailTo(server, email, /Confirm/));
    await server.core.passwordReset.requestReset(email, systemMeta);
    const reset = tokenIn(await mailTo(server, email, /Choose/));
    await server.core.passwordReset.reset(reset, 'nine unrelated lanterns', systemMeta);
    const verified = (await server.core.accounts.findByEmail(email))!;
    const key = await createKey(verified);
    await server.core.emailVerification.verify(confirm, { account: verified }, systemMeta);
    expect((await signIn('google', newExternalUser({ email }))).body.id).toBe(account.id);
    expect(await isActive(key)).toBe(true);

    const other = 'moved.there@gmail.com';
    await changeAccount(server, account.id, { email: other });
    await server.core.emailVerification.verify(
      tokenIn(await mailTo(server, other, /Confirm/)),
      { account: verified },
      systemMeta,
    );
    expect((await signIn('github', newExternalUser({ email: other }))).body.id).toBe(account.id);
    expect(await isActive(key)).toBe(false);
  });

  it('keeps the keys of an account that was verified from the start, or at an unknown time', async () => {
    const user = newExternalUser({ email: 'first@gmail.com' });
    const { id } = (await signIn('github', user)).body; // verified from the start
    const joined = await findAccount(id);
    const { id: oldId } = await server.account('old@gmail.com');
    // Accounts from before the time was stored have none.
    const old = await server.base.db.account.update({ where: { id: oldId }, data: { emailVerified: true } });
    for (const account of [joined, old]) {
      const key = await createKey(account);
      const { body } = await signIn('google', newExternalUser({ email: account.email }));
      expect([body.id, await isActive(key)]).toEqual([account.id, true]);
    }
  });

  it('does not give access to an attacker who registered the address first', async () => {
    const email = 'victim@gmail.com';
    const attacker = newExternalUser({ email });
    const { id } = (await signIn('linkedin', attacker)).body;
    expect(await server.base.db.account.findUnique({ where: { id } })).toMatchObject({ emailVerified: false });
    expect(
      (await signIn('google', newExternalUser({ email }))).error,
      'the owner does not get the account of the attacker',
    ).toBe('link_required');
    await server.core.passwordReset.requestReset(email, systemMeta);
    const body = { token: tokenIn(await mailTo(server, email, /Choose/)), new_password: 'nine unrelated lanterns' };
    expect((await callApi(server, 'POST', '/auth/reset-password', { body })).status).toBe(200);
    expect((await signIn('linkedin', attacker)).error).toBe('link_required');
    expect((await signIn('google', newExternalUser({ email }))).body.id).toBe(id);
  });
});
