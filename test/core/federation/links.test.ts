// Links between accounts and external identities, which users add and remove.
import { beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount } from '../../support/accounts.js';
import { logIn } from '../../support/api.js';
import { newExternalUser } from '../../support/fake-providers.js';
import { mailsTo } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { useExternalLogin } from './external-login-setup.js';

const MINUTE_MS = 60_000;

describe.each(stores)('links to external identities on $name', (store) => {
  const setup = useExternalLogin(store);
  const { signIn, link, createVerified, findAccount, signInWithPassword, loginOf, later } = setup;
  let server: TestServer;
  beforeAll(() => {
    ({ server } = setup.servers);
  });
  const linksOf = (accountId: string) => server.core.links.list(accountId);

  describe('a link', () => {
    it('belongs to one account', async () => {
      const user = newExternalUser();
      await signIn('google', user);
      const { access_token: token } = await logIn(server, (await server.account()).email);
      const rejected = await link('google', user, token);
      expect([rejected.status, rejected.json.error]).toEqual([409, 'conflict']);
      const unlinked = newExternalUser();
      expect((await link('google', unlinked, token)).status).toBe(200);
      expect((await link('google', unlinked, token)).status, 'a repeated link is accepted').toBe(200);
    });

    it('is notified to the owner once when a session adds it', async () => {
      const { email } = await server.account();
      const { access_token: token } = await logIn(server, email);
      const user = newExternalUser();
      for (let i = 0; i < 2; i++) expect((await link('github', user, token)).status).toBe(200);
      const mails = (await mailsTo(server, email)).filter(({ subject }) => subject.includes('New sign-in method'));
      expect(mails).toHaveLength(1);
      expect(mails[0]!.text).toMatch(/with GitHub.*someone else has access to your account.*\/forgot-password/s);
      expect((await callApi(server, 'GET', '/auth/me', { token })).status, 'the session stays active').toBe(200);
    });

    it('is notified to the owner as added by an administrator', async () => {
      const account = await server.account();
      const identity = { issuer: 'https://auth.example/tenant', subject: 'jane' };
      await server.core.links.linkByAdmin(account, identity);
      await expect(server.core.links.linkByAdmin(account, identity)).rejects.toMatchObject({ code: 'conflict' });
      const mails = (await mailsTo(server, account.email)).filter(({ subject }) =>
        subject.includes('New sign-in method'),
      );
      expect(mails).toHaveLength(1);
      expect(mails[0]!.text).toMatch(/with auth\.example.*An administrator of .* added it/s);
      expect(mails[0]!.text).not.toContain('Device:');
    });

    it('can be seen and removed only by its user', async () => {
      const [mine, theirs] = [await server.account(), await server.account()];
      const { access_token: token } = await logIn(server, mine.email);
      const { access_token: other } = await logIn(server, theirs.email);
      const user = newExternalUser();
      await link('github', user, token);
      const list = await callApi(server, 'GET', '/auth/links', { token });
      const [row] = list.json as unknown as { id: string }[];
      expect(row).toMatchObject({ provider: 'github', provider_user_id: user.id, email: user.email });
      expect((await callApi(server, 'GET', '/auth/links', { token: other })).json).toEqual([]);
      expect((await callApi(server, 'DELETE', `/auth/links/${row!.id}`, { token: other })).status).toBe(404);

      const externalToken = (await signIn('github', user)).body.access_token;
      expect((await callApi(server, 'DELETE', `/auth/links/${row!.id}`, { token })).status).toBe(200);
      expect(
        (await callApi(server, 'GET', '/auth/me', { token: externalToken })).status,
        'it was issued for a sign-in with the link',
      ).toBe(401);
      expect((await callApi(server, 'GET', '/auth/me', { token })).status).toBe(200);
      expect((await signIn('github', user)).body.id).not.toBe(mine.id);
      const events = await server.base.db.auditEvent.findMany({
        where: { accountId: mine.id, action: { startsWith: 'identity' } },
      });
      expect(events.map(({ action }) => action).sort()).toEqual(['identity.linked', 'identity.unlinked']);
    });

    it('requires recent authentication to be added or removed', async () => {
      const account = await server.account();
      const { access_token: token } = await logIn(server, account.email);
      await later(11 * MINUTE_MS, async () => {
        for (const response of [
          await link('google', newExternalUser(), token),
          await callApi(server, 'DELETE', '/auth/links/x', { token }),
        ]) {
          expect([response.status, response.json.error]).toEqual([401, 'reauth_required']);
        }
      });
    });

    it('cannot be removed if it is the last sign-in method', async () => {
      let { id, access_token: token, email } = (await signIn('google', newExternalUser())).body;
      const account = await findAccount(id);
      await server.core.identities.linkByAdmin(account, { issuer: 'https://auth.example', subject: id });
      const [google, byAdmin] = await linksOf(id);
      const remove = (linkId: string) => callApi(server, 'DELETE', `/auth/links/${linkId}`, { token });
      expect((await remove(google!.id)).json.error).toBe('conflict');
      expect((await link('github', newExternalUser({ email: 'x@y.example' }), token)).status).toBe(200);
      expect((await remove(google!.id)).status).toBe(200);
      expect((await remove(byAdmin!.id)).status).toBe(200);
      const [last] = await linksOf(id);
      expect((await remove(last!.id)).json.error).toBe('conflict');
      await changeAccount(server, id, { password: PASSWORD });
      ({ access_token: token } = await logIn(server, email));
      expect((await remove(last!.id)).status).toBe(200);
    });
  });

  describe('a set of concurrent requests', () => {
    it('creates one account for one identity', async () => {
      const user = newExternalUser();
      const results = await Promise.all(
        Array.from({ length: 5 }, () =>
          server.core.federation.authenticate(loginOf('google', user), undefined, systemMeta),
        ),
      );
      expect(new Set(results.map((result) => result.kind === 'complete' && result.account.id)).size).toBe(1);
      expect(await server.base.db.account.count({ where: { email: user.email! } })).toBe(1);
    });

    it('links one of two users of a provider to one account', async () => {
      const { id, email } = await createVerified('race@gmail.com');
      const results = await Promise.allSettled(
        [newExternalUser({ email }), newExternalUser({ email })].map((user) =>
          server.core.federation.authenticate(loginOf('google', user), undefined, systemMeta),
        ),
      );
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await linksOf(id)).toHaveLength(1);
    });

    it('links one identity to one of two accounts', async () => {
      const [a, b] = [await server.account(), await server.account()];
      const externalLogin = loginOf('github', newExternalUser());
      const results = await Promise.allSettled(
        [a, b].map((account) => server.core.links.link({ account }, externalLogin, systemMeta)),
      );
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect([...(await linksOf(a.id)), ...(await linksOf(b.id))]).toHaveLength(1);
    });

    it('leaves one of the last two sign-in methods', async () => {
      const { id } = (await signIn('google', newExternalUser())).body;
      const login = await signInWithPassword(id);
      await server.core.links.link({ account: login.account }, loginOf('github', newExternalUser()), systemMeta);
      const methods = await linksOf(id);
      const results = await Promise.allSettled(
        methods.map((method) => server.core.links.unlink(login, method.id, systemMeta)),
      );
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await linksOf(id)).toHaveLength(1);
    });

    it('issues no session for a link that is removed meanwhile', async () => {
      const account = await server.account();
      const user = newExternalUser();
      const login = await signInWithPassword(account.id);
      await server.core.links.link({ account }, loginOf('github', user), systemMeta);
      const authResult = await server.core.federation.authenticate(loginOf('github', user), undefined, systemMeta);
      if (authResult.kind !== 'complete') throw new Error('there is no second factor');
      const [method] = await linksOf(account.id);
      await server.core.links.unlink(login, method!.id, systemMeta);
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
