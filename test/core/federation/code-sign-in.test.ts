// Sign-in with codes that apps obtained from an external provider.
import { beforeAll, describe, expect, it } from 'vitest';
import { suspendAccount } from '../../support/accounts.js';
import { enrol } from '../../support/authenticator.js';
import { newExternalUser, obtainProviderCode } from '../../support/fake-providers.js';
import { callApi } from '../../support/request.js';
import type { TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { APP, NATIVE_APP, type ProviderId, useExternalLogin } from './external-login-setup.js';

describe.each(stores)('sign-in with a provider’s code on $name', (store) => {
  const setup = useExternalLogin(store);
  const { external, signIn, createVerified, findAccount } = setup;
  let server: TestServer;
  beforeAll(() => {
    ({ server } = setup.servers);
  });

  describe('a valid code', () => {
    it.each<ProviderId>(['github', 'google', 'linkedin', 'acme'])(
      'of %s creates an account the first time and signs in to it the next',
      async (id) => {
        const user = newExternalUser();
        const first = await signIn(id, user);
        expect(first.status).toBe(200);
        expect(first.cookies).toEqual([]);
        expect(first.body).toMatchObject({
          token_type: 'bearer',
          expires_in: 28_800,
          email: user.email,
          user: {
            email: user.email,
            name: 'Mara Lindqvist',
            avatar_url: user.picture,
            picture: user.picture,
            provider_user_id: user.id,
            email_verified: id === 'github' || id === 'google',
            role: 'viewer',
          },
        });
        expect(first.body.user.id).toBe(first.body.id);
        expect((await callApi(server, 'GET', '/auth/me', { token: first.body.access_token })).status).toBe(200);
        const again = await signIn(id, {
          ...user,
          email: 'new@other.example',
          picture: 'http://plain.example/x.png',
        });
        expect(again.body).toMatchObject({
          id: first.body.id,
          email: user.email,
          user: { picture: user.picture },
        });
      },
    );

    it('is accepted with PKCE and a private-use URI scheme', async () => {
      const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'; // RFC 7636, appendix B
      const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
      const more = { code_challenge: challenge, nonce: 'chosen-by-the-app' };
      for (const [code_verifier, status] of [
        [verifier, 200],
        [verifier.replace('d', 'e'), 401],
      ] as const) {
        const code = await obtainProviderCode(external.google, newExternalUser(), NATIVE_APP, more);
        const body = { code, redirect_uri: NATIVE_APP, code_verifier };
        expect((await callApi(server, 'POST', '/auth/google/callback', { body })).status).toBe(status);
      }
    });

    it('requires the second factor of the account as well', async () => {
      const user = newExternalUser();
      const { id } = (await signIn('google', user)).body;
      const account = await findAccount(id);
      const { app } = await enrol(server, new Date(), account);
      expect((await signIn('google', user)).error).toBe('mfa_required');
      expect((await signIn('google', user, { otp: app.wrongCode() })).error).toBe('invalid_otp');
      expect((await signIn('google', user, { otp: app.code(new Date(), 1) })).status).toBe(200);
    });
  });

  describe('a code is rejected', () => {
    it('if it is used, forged or for another redirect URI', async () => {
      const code = await obtainProviderCode(external.github, newExternalUser(), APP);
      const post = (body: object, id = 'github') => callApi(server, 'POST', `/auth/${id}/callback`, { body });
      expect((await post({ code, redirect_uri: APP })).status).toBe(200);
      for (const [id, body] of [
        ['github', { code, redirect_uri: APP }],
        ['github', { code: 'forged', redirect_uri: APP }],
        ['google', { code: 'forged', redirect_uri: APP }],
        ['linkedin', { code: 'forged', redirect_uri: APP }],
        [
          'google',
          {
            code: await obtainProviderCode(external.google, newExternalUser(), NATIVE_APP),
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
      const user = newExternalUser();
      const { id } = (await signIn('google', user)).body;
      await suspendAccount(server, id);
      expect(await signIn('google', user)).toMatchObject({ status: 403, error: 'account_suspended' });
    });

    it('of new users if sign-up is closed, but not of existing ones', async () => {
      const user = newExternalUser();
      expect(await signIn('google', user, {}, setup.servers.signupClosed)).toMatchObject({
        status: 403,
        error: 'signup_closed',
      });
      expect(await server.base.db.account.count({ where: { email: user.email! } })).toBe(0);
      const { id } = (await signIn('google', user)).body;
      expect((await signIn('google', user, {}, setup.servers.signupClosed)).body.id).toBe(id);
      await createVerified('existing@gmail.com');
      expect(
        (await signIn('google', newExternalUser({ email: 'existing@gmail.com' }), {}, setup.servers.signupClosed))
          .status,
      ).toBe(200);
    });
  });
});
