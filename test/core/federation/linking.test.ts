// Federated login by the codes of apps: account resolution by identity, linking by e-mail address,
// and links that users add and remove.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../../src/core/accounts/accounts.js';
import type { ExternalLogin } from '../../../src/core/federation/provider.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { onboard } from '../../support/agents.js';
import { type ApiSession, logIn } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  type ExternalUser,
  type FakeProvider,
  newExternalUser,
  obtainProviderCode,
  openFakeProvider,
  SETTINGS,
  useFakeProvider,
} from '../../support/fake-providers.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const APP = 'https://app.example/callback?from=signet';
const ACME = {
  id: 'acme',
  name: 'Acme',
  client_id: CLIENT_ID,
  client_secret: CLIENT_SECRET,
  email_domains: ['acme.example'],
};
type Id = 'github' | 'google' | 'linkedin' | 'acme';

describe.each(stores)('external identities on $name', (store) => {
  const external = {} as Record<Id, FakeProvider>;
  let server: TestServer;
  let closed: TestServer;

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) external[kind] = await openFakeProvider(kind);
    external.acme = await openFakeProvider('google');
    const { acme, ...known } = external;
    const settings = {
      ...SETTINGS,
      OIDC_PROVIDERS: JSON.stringify([{ ...ACME, issuer: acme.issuer }]),
      FEDERATION_REDIRECT_URIS: `${APP}, com.example.app:/callback`,
    };
    const wrapBase = useFakeProvider(...Object.values(known));
    server = await startServer({ store, settings, wrapBase });
    closed = await startServer({ sharedWith: server, settings: { ...settings, SIGNUP: 'closed' }, wrapBase });
  });
  afterAll(async () => {
    await closed.close();
    await server.close();
    for (const one of Object.values(external)) await one.close();
  });

  const db = () => server.base.db;

  /** Sends a code as an app does. */
  async function callback(id: Id, externalUser: ExternalUser, more: Record<string, unknown> = {}, at = server) {
    const code = await obtainProviderCode(external[id], externalUser, String(more.redirect_uri ?? APP));
    const response = await callApi(at, 'POST', `/auth/${id}/callback`, { body: { code, redirect_uri: APP, ...more } });
    return {
      ...response,
      error: response.json.error,
      body: response.json as unknown as ApiSession & { id: string; email: string },
    };
  }

  async function link(id: Id, externalUser: ExternalUser, token: string) {
    const code = await obtainProviderCode(external[id], externalUser, APP);
    return callApi(server, 'POST', `/auth/${id}/link`, { token, body: { code, redirect_uri: APP } });
  }

  async function local(email: string, data: object = {}) {
    const account = await server.account(email);
    return db().account.update({ where: { id: account.id }, data: { emailVerified: true, ...data } });
  }

  const keyOf = async (account: Account) => {
    const input = { name: 'CI', format: 'sk_live', lifeSeconds: null } as const;
    return (await server.core.apiKeys.create(account, input, systemMeta)).key;
  };
  const agentOf = async (account: Account, agentId: string) => {
    const [own] = await server.core.organizations.listFor(account.id);
    const input = { agentId, name: agentId, capabilities: ['read:cap-table'] };
    const { agent, key } = await server.core.agents.onboarding.onboardInto(own!.id, account, input, systemMeta);
    return { id: agent.id, key };
  };
  const worksStill = async (key: string) => (await callApi(server, 'GET', '/auth/me', { token: key })).status === 200;
  const linksOf = (accountId: string) => server.core.links.list(accountId);
  const loginOf = async (accountId: string) => {
    const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    return { account, session, amr: ['pwd'] };
  };
  const toExternalLogin = (id: Id, { id: subject, email }: ExternalUser, emailAuthoritative = true): ExternalLogin => ({
    issuer: external[id].issuer,
    subject,
    email,
    emailAuthoritative,
    name: 'Mara',
    picture: undefined,
    provider: { id, name: id },
  });

  describe('a code signs a user in', () => {
    it.each<Id>(['github', 'google', 'linkedin', 'acme'])(
      'who comes from %s for the first time, and again',
      async (id) => {
        const externalUser = newExternalUser();
        const first = await callback(id, externalUser);
        expect(first.status).toBe(200);
        expect(first.cookies).toEqual([]);
        expect(first.body).toMatchObject({
          token_type: 'bearer',
          expires_in: 28_800,
          email: externalUser.email,
          user: {
            email: externalUser.email,
            name: 'Mara Lindqvist',
            avatar_url: externalUser.picture,
            picture: externalUser.picture,
            provider_user_id: externalUser.id,
            email_verified: id === 'github' || id === 'google',
            role: 'viewer',
          },
        });
        expect(first.body.user.id).toBe(first.body.id);
        expect((await callApi(server, 'GET', '/auth/me', { token: first.body.access_token })).status).toBe(200);
        const again = await callback(id, {
          ...externalUser,
          email: 'new@other.example',
          picture: 'http://plain.example/x.png',
        });
        expect(again.body).toMatchObject({
          id: first.body.id,
          email: externalUser.email,
          user: { picture: externalUser.picture },
        });
      },
    );

    it('with PKCE and a custom URI scheme', async () => {
      const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'; // of RFC 7636, appendix B
      const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
      const more = { code_challenge: challenge, nonce: 'the app knows it' };
      for (const [code_verifier, status] of [
        [verifier, 200],
        [verifier.replace('d', 'e'), 401],
      ] as const) {
        const code = await obtainProviderCode(external.google, newExternalUser(), 'com.example.app:/callback', more);
        const body = { code, redirect_uri: 'com.example.app:/callback', code_verifier };
        expect((await callApi(server, 'POST', '/auth/google/callback', { body })).status).toBe(status);
      }
    });

    it('only with the local second factor', async () => {
      const externalUser = newExternalUser();
      const { id } = (await callback('google', externalUser)).body;
      const account = await db().account.findUniqueOrThrow({ where: { id } });
      const { app } = await enrol(server, new Date(), account);
      expect((await callback('google', externalUser)).error).toBe('mfa_required');
      expect((await callback('google', externalUser, { otp: app.wrongCode() })).error).toBe('invalid_otp');
      expect((await callback('google', externalUser, { otp: app.code(new Date(), 1) })).status).toBe(200);
    });
  });

  describe('a code is rejected', () => {
    it('if it is used, forged or for another redirect URI', async () => {
      const code = await obtainProviderCode(external.github, newExternalUser(), APP);
      const post = (body: object, id = 'github') => callApi(server, 'POST', `/auth/${id}/callback`, { body });
      expect((await post({ code, redirect_uri: APP })).status).toBe(200);
      for (const [id, body] of [
        ['github', { code, redirect_uri: APP }],
        ['github', { code: 'made-up', redirect_uri: APP }],
        ['google', { code: 'made-up', redirect_uri: APP }],
        ['linkedin', { code: 'made-up', redirect_uri: APP }],
        [
          'google',
          {
            code: await obtainProviderCode(external.google, newExternalUser(), 'com.example.app:/callback'),
            redirect_uri: APP,
          },
        ],
        ['google', { code: await obtainProviderCode(external.acme, newExternalUser(), APP), redirect_uri: APP }],
      ] as const) {
        const { status, json } = await post(body, id);
        expect([status, json.error]).toEqual([401, 'invalid_credentials']);
      }
    });

    it.each([
      'https://app.example/callback',
      `${APP}&more=1`,
      APP.toUpperCase(),
      `${APP}#x`,
      'https://app.example/callback%3Ffrom=signet',
      'https://evil.example/',
      '',
    ])('if the redirect URI %j is not allowed', async (redirect_uri) => {
      external.google.requests.length = 0;
      const body = { code: 'x', redirect_uri };
      const { status, json } = await callApi(server, 'POST', '/auth/google/callback', { body });
      expect([status, json.error]).toEqual([400, 'invalid_request']);
      expect(external.google.requests).toEqual([]);
    });

    it('if the account is suspended', async () => {
      const externalUser = newExternalUser();
      const { id } = (await callback('google', externalUser)).body;
      await db().account.update({ where: { id }, data: { status: 'suspended' } });
      expect(await callback('google', externalUser)).toMatchObject({ status: 403, error: 'account_suspended' });
    });

    it('for new users if sign-up is closed, but not for known ones', async () => {
      const externalUser = newExternalUser();
      expect(await callback('google', externalUser, {}, closed)).toMatchObject({ status: 403, error: 'signup_closed' });
      expect(await db().account.count({ where: { email: externalUser.email! } })).toBe(0);
      const { id } = (await callback('google', externalUser)).body;
      expect((await callback('google', externalUser, {}, closed)).body.id).toBe(id);
      await local('joined@gmail.com');
      expect((await callback('google', newExternalUser({ email: 'joined@gmail.com' }), {}, closed)).status).toBe(200);
    });
  });

  describe('an e-mail address that has an account', () => {
    let n = 0;
    const cases: [string, Id, (n: number) => Partial<ExternalUser>, object, boolean][] = [
      ['Google, at gmail.com', 'google', (i) => ({ email: `a${i}@gmail.com` }), {}, true],
      ['Google, in capitals', 'google', (i) => ({ email: `B${i}@Gmail.com` }), {}, true],
      ['Google, in a hosted domain', 'google', (i) => ({ email: `c${i}@corp.example`, hd: 'corp.example' }), {}, true],
      ["GitHub's verified primary one", 'github', (i) => ({ email: `d${i}@any.example` }), {}, true],
      ['a provider that vouches for the domain', 'acme', (i) => ({ email: `e${i}@acme.example` }), {}, true],
      ['Google, in another domain', 'google', (i) => ({ email: `f${i}@any.example` }), {}, false],
      [
        'Google, in another domain with an empty hd',
        'google',
        (i) => ({ email: `f${i}@any.example`, hd: '' }),
        {},
        false,
      ],
      ['Google, not verified there', 'google', (i) => ({ email: `g${i}@gmail.com`, verified: false }), {}, false],
      ['Google, like gmail.com', 'google', (i) => ({ email: `g${i}@gmail.com.example` }), {}, false],
      [
        "GitHub's primary one, not verified",
        'github',
        (i) => ({ email: `h${i}@any.example`, verified: false }),
        {},
        false,
      ],
      ['LinkedIn, verified there', 'linkedin', (i) => ({ email: `i${i}@gmail.com` }), {}, false],
      ['a provider that vouches for another domain', 'acme', (i) => ({ email: `j${i}@gmail.com` }), {}, false],
      ['a provider that vouches for a part of it', 'acme', (i) => ({ email: `j${i}@sub.acme.example` }), {}, false],
      [
        'one that was not verified here',
        'google',
        (i) => ({ email: `k${i}@gmail.com` }),
        { emailVerified: false },
        false,
      ],
      ["an administrator's", 'google', (i) => ({ email: `l${i}@gmail.com` }), { role: 'admin' }, false],
      [
        'of an account that is suspended',
        'google',
        (i) => ({ email: `m${i}@gmail.com` }),
        { status: 'suspended' },
        false,
      ],
    ];

    it.each(cases)('%s (%s)', async (_what, id, more, data, links) => {
      n += 1;
      const externalUser = newExternalUser(more(n));
      const account = await local(externalUser.email!.toLowerCase(), data);
      const response = await callback(id, externalUser);
      if (links) {
        expect([response.status, response.body.id]).toEqual([200, account.id]);
        expect(await linksOf(account.id)).toMatchObject([{ provider: { id }, subject: externalUser.id }]);
        return;
      }
      expect([response.status, response.error]).toEqual([409, 'link_required']);
      expect(response.json.error_description).toMatch(/Sign in to it, then link/);
      expect(response.text).not.toContain('token');
      expect(await linksOf(account.id)).toEqual([]);
      if (account.status !== 'active') return;

      const { access_token: token } = await logIn(server, account.email);
      expect((await link(id, externalUser, token)).status).toBe(200);
      expect((await callback(id, externalUser)).body.id).toBe(account.id);
    });

    it('is not linked to a second user of the same provider', async () => {
      const before = newExternalUser({ email: 'shared@gmail.com' });
      const account = await local('shared@gmail.com');
      expect((await callback('google', before)).body.id).toBe(account.id);
      expect((await callback('google', newExternalUser({ email: 'shared@gmail.com' }))).error).toBe('link_required');
      expect((await callback('github', newExternalUser({ email: 'shared@gmail.com' }))).body.id).toBe(account.id);
    });

    it('is not linked if the account has a second factor, with or without a code', async () => {
      const account = await local('guarded@gmail.com');
      const { app } = await enrol(server, new Date(), account);
      const externalUser = newExternalUser({ email: account.email });
      for (const more of [{}, { otp: app.wrongCode() }, { otp: app.code(new Date(), 1) }]) {
        expect((await callback('google', externalUser, more)).error).toBe('link_required');
      }
      expect(await linksOf(account.id)).toEqual([]);
      expect(await mailsTo(server, account.email)).toEqual([]);
    });

    it('revokes sessions from before its owner signed in and notifies the owner', async () => {
      const account = await local('prepared@gmail.com');
      const attacker = await logIn(server, account.email);
      const { token: cookie } = await server.core.sessions.open(account, ['pwd'], systemMeta);
      expect((await callback('linkedin', newExternalUser({ email: account.email }))).error).toBe('link_required');
      expect(
        (await callApi(server, 'GET', '/auth/me', { token: attacker.access_token })).status,
        'a rejection revokes nothing',
      ).toBe(200);

      const owner = await callback('google', newExternalUser({ email: account.email }));
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

    it('deletes keys and agents from before the address was verified, and no later ones', async () => {
      const email = 'awaited@gmail.com';
      const { account } = await server.core.signIn.register({ email, name: 'Mara', password: PASSWORD }, systemMeta);
      const before = { key: await keyOf(account), agent: await agentOf(account, 'before') };
      const stray = await onboard(server, { agent_id: 'stray' });
      await server.core.emailVerification.verify(tokenIn(await mailTo(server, email, /Confirm/)), systemMeta);
      const proven = (await server.core.accounts.findByEmail(email))!;
      const after = { key: await keyOf(proven), agent: await agentOf(proven, 'after') };
      const claim = new URL(stray.claim_url!).searchParams.get('token')!;
      const claimed = await server.core.ownershipClaims.claim(claim, proven, systemMeta);
      expect(await worksStill(before.key)).toBe(true);

      expect((await callback('google', newExternalUser({ email }))).body.id).toBe(account.id);
      expect([await worksStill(before.key), await worksStill(after.key)]).toEqual([false, true]);
      const left = await db().agent.findMany({ where: { ownerId: account.id }, orderBy: { createdAt: 'asc' } });
      expect(left.map(({ id }) => id)).toEqual([claimed.id, after.agent.id]);
      const agentCall = { token: before.agent.key };
      expect((await callApi(server, 'GET', '/agents/before', agentCall)).status).toBe(401);
      const [event] = await server.core.audit.list({ accountId: account.id, action: 'identity.linked' });
      expect(event!.detail).toMatchObject({ cleared: true });
    });

    it('counts from the first verification of the current address', async () => {
      const email = 'proven.twice@gmail.com';
      const { account } = await server.core.signIn.register({ email, name: 'Mara', password: PASSWORD }, systemMeta);
      const confirm = tokenIn(await mailTo(server, email, /Confirm/));
      await server.core.passwordReset.requestReset(email, systemMeta);
      const reset = tokenIn(await mailTo(server, email, /Choose/));
      await server.core.passwordReset.reset(reset, 'nine unrelated lanterns', systemMeta);
      const key = await keyOf((await server.core.accounts.findByEmail(email))!);
      await server.core.emailVerification.verify(confirm, systemMeta);
      expect((await callback('google', newExternalUser({ email }))).body.id).toBe(account.id);
      expect(await worksStill(key)).toBe(true);

      const adminLogin = await server.account('admin@example.com');
      const admin = await db().account.update({ where: { id: adminLogin.id }, data: { role: 'admin' } });
      const other = 'moved.there@gmail.com';
      await server.core.adminUsers.change(account.id, { email: other }, admin, systemMeta);
      await server.core.emailVerification.verify(tokenIn(await mailTo(server, other, /Confirm/)), systemMeta);
      expect((await callback('github', newExternalUser({ email: other }))).body.id).toBe(account.id);
      expect(await worksStill(key)).toBe(false);
    });

    it('keeps the keys if the time of verification is unknown or the account is new', async () => {
      const known = newExternalUser({ email: 'first@gmail.com' });
      const { id } = (await callback('github', known)).body; // proven from the first moment on
      const joined = await db().account.findUniqueOrThrow({ where: { id } });
      const old = await local('of.old@gmail.com');
      for (const account of [joined, old]) {
        const key = await keyOf(account);
        const { body } = await callback('google', newExternalUser({ email: account.email }));
        expect([body.id, await worksStill(key)]).toEqual([account.id, true]);
      }
    });

    it('does not give access to an attacker who registered it first', async () => {
      const email = 'victim@gmail.com';
      const attacker = newExternalUser({ email });
      const { id } = (await callback('linkedin', attacker)).body;
      expect(await db().account.findUnique({ where: { id } })).toMatchObject({ emailVerified: false });
      expect((await callback('google', newExternalUser({ email }))).error, 'the owner does not join the stranger').toBe(
        'link_required',
      );
      await server.core.passwordReset.requestReset(email, systemMeta);
      const body = { token: tokenIn(await mailTo(server, email, /Choose/)), new_password: 'nine unrelated lanterns' };
      expect((await callApi(server, 'POST', '/auth/reset-password', { body })).status).toBe(200);
      expect((await callback('linkedin', attacker)).error).toBe('link_required');
      expect((await callback('google', newExternalUser({ email }))).body.id).toBe(id);
    });
  });

  describe('a link', () => {
    it('belongs to one account', async () => {
      const externalUser = newExternalUser();
      await callback('google', externalUser);
      const { access_token: token } = await logIn(server, (await server.account()).email);
      const taken = await link('google', externalUser, token);
      expect([taken.status, taken.json.error]).toEqual([409, 'conflict']);
      const free = newExternalUser();
      expect((await link('google', free, token)).status).toBe(200);
      expect((await link('google', free, token)).status, 'once more changes nothing').toBe(200);
    });

    it('that is added with a stolen session is notified to the owner once', async () => {
      const { email } = await server.account();
      const { access_token: token } = await logIn(server, email);
      const externalUser = newExternalUser();
      for (let i = 0; i < 2; i++) expect((await link('github', externalUser, token)).status).toBe(200);
      const mails = (await mailsTo(server, email)).filter(({ subject }) => subject.includes('New sign-in method'));
      expect(mails).toHaveLength(1);
      expect(mails[0]!.text).toMatch(/with GitHub.*someone else has access to your account.*\/forgot-password/s);
      expect((await callApi(server, 'GET', '/auth/me', { token })).status, 'they are signed in').toBe(200);
    });

    it('that an administrator adds is notified to the owner as such', async () => {
      const account = await server.account();
      const externalUser = { issuer: 'https://auth.example/tenant', subject: 'jane' };
      await server.core.links.linkByAdmin(account, externalUser);
      await expect(server.core.links.linkByAdmin(account, externalUser)).rejects.toMatchObject({ code: 'conflict' });
      const mails = (await mailsTo(server, account.email)).filter(({ subject }) =>
        subject.includes('New sign-in method'),
      );
      expect(mails).toHaveLength(1);
      expect(mails[0]!.text).toMatch(/with auth\.example.*An administrator of .* added it/s);
      expect(mails[0]!.text).not.toContain('Device:');
    });

    it('is visible to its user only and removable by its user only', async () => {
      const [mine, theirs] = [await server.account(), await server.account()];
      const { access_token: token } = await logIn(server, mine.email);
      const { access_token: other } = await logIn(server, theirs.email);
      const externalUser = newExternalUser();
      await link('github', externalUser, token);
      const list = await callApi(server, 'GET', '/auth/links', { token });
      const [row] = list.json as unknown as { id: string }[];
      expect(row).toMatchObject({ provider: 'github', provider_user_id: externalUser.id, email: externalUser.email });
      expect((await callApi(server, 'GET', '/auth/links', { token: other })).json).toEqual([]);
      expect((await callApi(server, 'DELETE', `/auth/links/${row!.id}`, { token: other })).status).toBe(404);

      const externalToken = (await callback('github', externalUser)).body.access_token;
      expect((await callApi(server, 'DELETE', `/auth/links/${row!.id}`, { token })).status).toBe(200);
      expect((await callApi(server, 'GET', '/auth/me', { token: externalToken })).status, 'signed in by it').toBe(401);
      expect((await callApi(server, 'GET', '/auth/me', { token })).status).toBe(200);
      expect((await callback('github', externalUser)).body.id).not.toBe(mine.id);
      const trail = await db().auditEvent.findMany({
        where: { accountId: mine.id, action: { startsWith: 'identity' } },
      });
      expect(trail.map(({ action }) => action).sort()).toEqual(['identity.linked', 'identity.unlinked']);
    });

    it('requires recent authentication to be removed', async () => {
      const account = await server.account();
      const { access_token: token } = await logIn(server, account.email);
      await db().session.updateMany({ where: { accountId: account.id }, data: { authTime: new Date(0) } });
      for (const response of [
        await link('google', newExternalUser(), token),
        await callApi(server, 'DELETE', '/auth/links/x', { token }),
      ]) {
        expect([response.status, response.json.error]).toEqual([401, 'reauth_required']);
      }
    });

    it('cannot be removed if it is the last sign-in method', async () => {
      const { id, access_token: token } = (await callback('google', newExternalUser())).body;
      const account = await db().account.findUniqueOrThrow({ where: { id } });
      await server.core.identities.linkByAdmin(account, { issuer: 'https://auth.example', subject: id });
      const [way, other] = await linksOf(id);
      const remove = (linkId: string) => callApi(server, 'DELETE', `/auth/links/${linkId}`, { token });
      expect((await remove(way!.id)).json.error).toBe('conflict');
      expect((await link('github', newExternalUser({ email: 'x@y.example' }), token)).status).toBe(200);
      expect((await remove(way!.id)).status).toBe(200);
      expect((await remove(other!.id)).status).toBe(200);
      const [last] = await linksOf(id);
      expect((await remove(last!.id)).json.error).toBe('conflict');
      await db().account.update({ where: { id }, data: { passwordHash: await server.core.passwords.hash(PASSWORD) } });
      expect((await remove(last!.id)).status).toBe(200);
    });
  });

  describe('concurrent requests', () => {
    it('create one account for one identity', async () => {
      const externalUser = newExternalUser();
      const all = await Promise.all(
        Array.from({ length: 5 }, () =>
          server.core.federation.authenticate(toExternalLogin('google', externalUser), undefined, systemMeta),
        ),
      );
      expect(new Set(all.map((one) => one.kind === 'complete' && one.account.id)).size).toBe(1);
      expect(await db().account.count({ where: { email: externalUser.email! } })).toBe(1);
    });

    it('link one of two users of a provider to one account', async () => {
      const { id, email } = await local('race@gmail.com');
      const all = await Promise.allSettled(
        [newExternalUser({ email }), newExternalUser({ email })].map((externalUser) =>
          server.core.federation.authenticate(toExternalLogin('google', externalUser), undefined, systemMeta),
        ),
      );
      expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await linksOf(id)).toHaveLength(1);
    });

    it('link one identity to one of two accounts', async () => {
      const [a, b] = [await server.account(), await server.account()];
      const externalLogin = toExternalLogin('github', newExternalUser());
      const all = await Promise.allSettled(
        [a, b].map((account) => server.core.links.link(account, externalLogin, systemMeta)),
      );
      expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect([...(await linksOf(a.id)), ...(await linksOf(b.id))]).toHaveLength(1);
    });

    it('leave one of the last two sign-in methods', async () => {
      const { id } = (await callback('google', newExternalUser())).body;
      const login = await loginOf(id);
      await server.core.links.link(login.account, toExternalLogin('github', newExternalUser()), systemMeta);
      const ways = await linksOf(id);
      const all = await Promise.allSettled(ways.map((way) => server.core.links.unlink(login, way.id, systemMeta)));
      expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await linksOf(id)).toHaveLength(1);
    });

    it('issue no session by a link that is being removed', async () => {
      const account = await server.account();
      const externalUser = newExternalUser();
      const login = await loginOf(account.id);
      await server.core.links.link(account, toExternalLogin('github', externalUser), systemMeta);
      const authResult = await server.core.federation.authenticate(
        toExternalLogin('github', externalUser),
        undefined,
        systemMeta,
      );
      if (authResult.kind !== 'complete') throw new Error('there is no second factor');
      const [way] = await linksOf(account.id);
      await server.core.links.unlink(login, way!.id, systemMeta);
      await expect(server.core.sessionIssuer.issueTokens(authResult, systemMeta)).rejects.toMatchObject({
        status: 401,
      });
      await expect(
        server.core.sessionIssuer.startBrowserSession(authResult, undefined, systemMeta),
      ).rejects.toMatchObject({
        status: 401,
      });
    });
  });
});
