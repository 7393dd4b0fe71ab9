// Sign-in of a third-party app on openid-client, which knows only the issuer and its credentials.
import { setTimeout as sleep } from 'node:timers/promises';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  beginSignIn,
  browserFor,
  completeSignIn,
  discover,
  exchange,
  formPostRequest,
  isConsent,
  isLogin,
  signIn,
} from '../support/openid-client.js';
import { REDIRECT_URI } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

/** Requests the time of authentication and the session in the ID token. */
const CLAIMS = JSON.stringify({ id_token: { auth_time: { essential: true }, sid: null } });
/** After this pause, `auth_time` (in seconds) has another value. */
const NEXT_SECOND_MS = 1100;

describe.each(stores)('an app on openid-client, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Creates an account, an app, and a browser without a session. */
  async function createAccountAndApp(
    metadata: Record<string, unknown> = {},
    options: { firstParty?: boolean; pkceRequired?: boolean } = {},
  ) {
    const [account, client] = [await server.account(), await server.client(metadata, options)];
    return {
      account,
      client,
      email: account.email,
      config: await discover(server, client),
      browser: browserFor(server),
    };
  }

  describe('discovery', () => {
    it('needs only the issuer', async () => {
      const { config } = await createAccountAndApp();
      const metadata = config.serverMetadata();
      expect(metadata).toMatchObject({
        issuer: server.issuer,
        authorization_endpoint: `${server.issuer}/oauth/authorize`,
        token_endpoint: `${server.issuer}/api/v1/oauth/token`,
        userinfo_endpoint: `${server.issuer}/oauth/userinfo`,
        jwks_uri: `${server.issuer}/oauth/jwks`,
        registration_endpoint: `${server.issuer}/oauth/clients/register`,
        introspection_endpoint: `${server.issuer}/oauth/introspect`,
        revocation_endpoint: `${server.issuer}/oauth/revoke`,
        pushed_authorization_request_endpoint: `${server.issuer}/oauth/par`,
        device_authorization_endpoint: `${server.issuer}/oauth/device`,
        end_session_endpoint: `${server.issuer}/oauth/logout`,
        response_types_supported: ['code'],
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
      });
      expect(metadata.token_endpoint_auth_methods_supported).toEqual(
        expect.arrayContaining(['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']),
      );
    });

    it('returns the same document at the OAuth path, to pages of every origin', async () => {
      const [openid, oauth] = await Promise.all(
        ['openid-configuration', 'oauth-authorization-server'].map((name) =>
          fetch(`${server.issuer}/.well-known/${name}`, { headers: { origin: 'https://spa.example' } }),
        ),
      );
      expect(oauth!.headers.get('access-control-allow-origin')).toBe('*');
      expect(await oauth!.json()).toEqual(await openid!.json());
    });
  });

  describe('the authorization code flow', () => {
    it('returns a code with state and issuer, and an ID token with the nonce', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const { url } = await completeSignIn(browser, attempt.url, account.email);
      expect(url.origin + url.pathname).toBe(REDIRECT_URI);
      expect(url.searchParams.get('iss')).toBe(server.issuer);

      const tokens = await exchange(config, url, attempt);
      expect(tokens.token_type).toBe('bearer');
      expect(tokens.expires_in).toBe(28_800);
      expect(tokens.claims()).toMatchObject({
        iss: server.issuer,
        aud: client.id,
        sub: account.id,
        nonce: attempt.checks.expectedNonce,
        email: account.email,
        name: 'Jane Developer',
      });
    });

    it('names the issuer in the response, so that the app rejects another one', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const { url } = await completeSignIn(browser, attempt.url, email);
      url.searchParams.set('iss', 'https://evil.example');
      await expect(exchange(config, url, attempt)).rejects.toMatchObject({
        cause: { message: 'unexpected "iss" (issuer) response parameter value' },
      });
    });

    it('rejects a code with another PKCE verifier', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const { url } = await completeSignIn(browser, attempt.url, email);
      const checks = { ...attempt.checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() };
      await expect(exchange(config, url, { checks })).rejects.toMatchObject({ error: 'invalid_grant' });
    });

    it('requires PKCE', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { code_challenge: '', code_challenge_method: '' });
      const { url } = await completeSignIn(browser, attempt.url, email);
      await expect(exchange(config, url, attempt)).rejects.toMatchObject({ error: 'invalid_request' });
    });

    it('does not require PKCE from a client for which an administrator disabled it', async () => {
      const { account, config, browser } = await createAccountAndApp({}, { pkceRequired: false });
      const attempt = await beginSignIn(config, { code_challenge: '', code_challenge_method: '' });
      const { url } = await completeSignIn(browser, attempt.url, account.email);
      const { pkceCodeVerifier: _, ...checks } = attempt.checks;
      const tokens = await oidc.authorizationCodeGrant(config, url, checks);
      expect(tokens.claims()?.sub).toBe(account.id);
    });

    it('returns the claims of the user at userinfo, by GET and by POST', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);
      const byGet = await oidc.fetchUserInfo(config, tokens.access_token, account.id);
      expect(byGet).toMatchObject({
        sub: account.id,
        email: account.email,
        email_verified: false,
        name: 'Jane Developer',
        given_name: 'Jane',
        family_name: 'Developer',
        plan: 'free',
      });
      const byPost = await fetch(config.serverMetadata().userinfo_endpoint!, {
        method: 'POST',
        body: new URLSearchParams({ access_token: tokens.access_token }),
      });
      expect(await byPost.json()).toEqual(byGet);
    });

    it('rejects an access token in the query of userinfo', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, email);
      const endpoint = config.serverMetadata().userinfo_endpoint!;
      const response = await fetch(`${endpoint}?access_token=${tokens.access_token}`);
      expect(response.status).toBe(400);
      expect(await response.json()).not.toHaveProperty('sub');
    });

    it('returns only the claims of the granted scopes', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email, { scope: 'openid' });
      expect(await oidc.fetchUserInfo(config, tokens.access_token, account.id)).toEqual({ sub: account.id });
      expect(tokens.claims()).not.toHaveProperty('email');
    });

    it.each(['RS256', 'ES256'])('signs ID tokens with %s for a client that registered it', async (alg) => {
      const { email, client, browser } = await createAccountAndApp({ id_token_signed_response_alg: alg });
      const metadata = { client_secret: client.secret, id_token_signed_response_alg: alg };
      const config = await oidc.discovery(new URL(server.issuer), client.id, metadata, undefined, {
        execute: [oidc.allowInsecureRequests],
      });
      oidc.enableNonRepudiationChecks(config); // verifies the signature with the published keys
      const tokens = await signIn(config, browser, email);
      expect(headerOf(tokens.id_token!)).toMatchObject({ alg });
    });

    it('signs ID tokens with RS256 by default', async () => {
      const { email, config, browser } = await createAccountAndApp();
      oidc.enableNonRepudiationChecks(config);
      expect(headerOf((await signIn(config, browser, email)).id_token!)).toMatchObject({ alg: 'RS256' });
    });
  });

  describe('the authorization request', () => {
    it('can be posted by a form of the app', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const body = new URLSearchParams(attempt.url.searchParams);
      const first = await browser.open(attempt.url.pathname, { method: 'POST', body });
      const { url } = await completeSignIn(browser, first, account.email);
      expect((await exchange(config, url, attempt)).claims()?.sub).toBe(account.id);
    });

    it('can be pushed (PAR), and is then a reference that is valid once', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const pushed = await oidc.buildAuthorizationUrlWithPAR(config, attempt.parameters);
      expect([...pushed.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
      const { url } = await completeSignIn(browser, pushed, account.email);
      expect((await exchange(config, url, attempt)).claims()?.sub).toBe(account.id);
      const again = await browser.open(pushed);
      expect(again.url.searchParams.get('code')).toBeNull();
    });

    it('can be pushed only by an authenticated client', async () => {
      const { client } = await createAccountAndApp();
      const config = await discover(server, { ...client, secret: 'wrong' });
      const attempt = await beginSignIn(config);
      await expect(oidc.buildAuthorizationUrlWithPAR(config, attempt.parameters)).rejects.toMatchObject({
        status: 401,
        cause: [{ scheme: 'basic', parameters: { error: 'invalid_client' } }],
      });
    });

    it('can ask for a posted response (form_post)', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { response_mode: 'form_post' });
      const page = await completeSignIn(browser, attempt.url, account.email);
      expect(page.status).toBe(200);
      const request = formPostRequest(page);
      expect(request.url).toBe(REDIRECT_URI);
      expect((await exchange(config, request, attempt)).claims()?.sub).toBe(account.id);
    });

    it('can ask for single claims', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const claims = { id_token: { email: { essential: true } }, userinfo: { given_name: null } };
      const attempt = await beginSignIn(config, { scope: 'openid', claims: JSON.stringify(claims) });
      const consent = await browser.signIn(account.email, PASSWORD, await browser.open(attempt.url));
      expect(consent.html).toContain('email');
      expect(consent.html).toContain('given name');
      const { url } = await completeSignIn(browser, consent, account.email);
      const tokens = await exchange(config, url, attempt);
      expect(tokens.claims()).toMatchObject({ email: account.email });
      expect(tokens.claims()).not.toHaveProperty('family_name');
      const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, account.id);
      expect(userinfo).toMatchObject({ given_name: 'Jane' });
      expect(userinfo).not.toHaveProperty('family_name');
    });

    it('fills the sign-in form with its login_hint', async () => {
      const { config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { login_hint: 'jane+work@example.com' });
      const page = await browser.open(attempt.url);
      expect(isLogin(page)).toBe(true);
      expect(page.html).toMatch(/name="email"[^>]*value="jane\+work@example\.com"/);
    });

    it('receives invalid_target for an unknown resource', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { resource: 'https://nowhere.example/api' });
      const { url } = await completeSignIn(browser, attempt.url, email);
      await expect(exchange(config, url, attempt)).rejects.toMatchObject({ error: 'invalid_target' });
    });

    it('is not redirected to an unregistered redirect URI', async () => {
      const { config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { redirect_uri: `${REDIRECT_URI}/other` });
      const page = await browser.open(attempt.url);
      expect(page.status).toBe(400);
      expect(page.url.origin).toBe(server.origin);
      expect(page.html).toContain('Sign-in failed');
    });
  });

  describe('prompt and max_age', () => {
    it('return an error with prompt=none when the user must sign in or consent', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config, { prompt: 'none' });
      const { url } = await browser.open(attempt.url);
      await expect(exchange(config, url, attempt)).rejects.toMatchObject({ error: 'login_required' });

      await browser.signIn(email, PASSWORD);
      const second = await beginSignIn(config, { prompt: 'none' });
      const withoutConsent = await browser.open(second.url);
      await expect(exchange(config, withoutConsent.url, second)).rejects.toMatchObject({ error: 'consent_required' });
    });

    it('return a code with prompt=none when the user is signed in and has consented', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const first = await signIn(config, browser, account.email, { claims: CLAIMS });
      const attempt = await beginSignIn(config, { prompt: 'none', id_token_hint: first.id_token!, claims: CLAIMS });
      const { url } = await browser.open(attempt.url);
      const claims = (await exchange(config, url, attempt)).claims();
      expect(first.claims()).toMatchObject({ sid: expect.any(String), auth_time: expect.any(Number) });
      expect(claims).toMatchObject({ sub: account.id, sid: first.claims()!.sid, auth_time: first.claims()!.auth_time });
    });

    it('show the sign-in page again with prompt=login, which renews auth_time', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const first = (await signIn(config, browser, account.email, { claims: CLAIMS })).claims()!;
      await sleep(NEXT_SECOND_MS);
      const attempt = await beginSignIn(config, { prompt: 'login', claims: CLAIMS });
      const page = await browser.open(attempt.url);
      expect(isLogin(page)).toBe(true);
      const withoutPassword = new URL(page.url.searchParams.get('return_to')!, server.origin);
      expect(isLogin(await browser.open(withoutPassword))).toBe(true);

      const { url } = await completeSignIn(browser, page, account.email);
      const second = (await exchange(config, url, attempt)).claims()!;
      expect(second.auth_time).toBeGreaterThan(first.auth_time!);
      expect(second.sid).toBe(first.sid);
    });

    it.each<Record<string, string>>([{ prompt: 'login' }, { max_age: '60' }])(
      'ask for the password only once with %o',
      async (parameters) => {
        const { account, config, browser } = await createAccountAndApp();
        const attempt = await beginSignIn(config, parameters);
        const page = await browser.signIn(account.email, PASSWORD, await browser.open(attempt.url));
        expect(isConsent(page)).toBe(true);
      },
    );

    it('show the sign-in page when the last authentication is older than max_age', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const first = (await signIn(config, browser, account.email, { claims: CLAIMS })).claims()!;
      const recent = await beginSignIn(config, { max_age: '3600' });
      const callback = await browser.open(recent.url);
      recent.checks.maxAge = 3600;
      expect((await exchange(config, callback.url, recent)).claims()!.auth_time).toBe(first.auth_time);

      await sleep(2 * NEXT_SECOND_MS);
      const old = await beginSignIn(config, { max_age: '1' });
      const page = await browser.open(old.url);
      expect(isLogin(page)).toBe(true);
      const { url } = await completeSignIn(browser, page, account.email);
      old.checks.maxAge = 1;
      expect((await exchange(config, url, old)).claims()!.auth_time).toBeGreaterThan(first.auth_time!);
    });
  });

  describe('consent', () => {
    it('is not needed for a first-party app', async () => {
      const { account, config, browser } = await createAccountAndApp({}, { firstParty: true });
      const attempt = await beginSignIn(config);
      const page = await browser.signIn(account.email, PASSWORD, await browser.open(attempt.url));
      expect((await exchange(config, page.url, attempt)).claims()?.sub).toBe(account.id);
    });

    it('can be denied, and the app receives access_denied', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const attempt = await beginSignIn(config);
      const consent = await browser.signIn(email, PASSWORD, await browser.open(attempt.url));
      expect(isConsent(consent)).toBe(true);
      const { url } = await browser.submit(consent, { decision: 'deny' });
      await expect(exchange(config, url, attempt)).rejects.toMatchObject({ error: 'access_denied' });
      expect(url.searchParams.get('iss')).toBe(server.issuer);
    });

    it('is remembered in all browsers until the user revokes it on the account page', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);

      const otherBrowser = browserFor(server);
      const attempt = await beginSignIn(config);
      const callback = await otherBrowser.signIn(account.email, PASSWORD, await otherBrowser.open(attempt.url));
      expect((await exchange(config, callback.url, attempt)).claims()?.sub).toBe(account.id);

      const home = await otherBrowser.open('/account');
      const removal = home.html.split('<form').findIndex((part) => part.includes(client.id)) - 1;
      expect((await otherBrowser.submit(home, {}, removal)).html).toContain('No apps have access to your account.');
      await expect(oidc.fetchUserInfo(config, tokens.access_token, account.id)).rejects.toMatchObject({ status: 401 });
      await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject({
        error: 'invalid_grant',
      });
      expect(isConsent(await otherBrowser.open((await beginSignIn(config)).url))).toBe(true);
    });

    it('is needed again for additional scopes', async () => {
      const { account, config, browser } = await createAccountAndApp();
      await signIn(config, browser, account.email, { scope: 'openid' });
      const page = await browser.open((await beginSignIn(config, { scope: 'openid email' })).url);
      expect(isConsent(page)).toBe(true);
      expect(page.html).toContain('Your e-mail address');
    });

    it('is needed again with prompt=consent', async () => {
      const { account, config, browser } = await createAccountAndApp();
      await signIn(config, browser, account.email);
      expect(isConsent(await browser.open((await beginSignIn(config, { prompt: 'consent' })).url))).toBe(true);
    });
  });
});

function headerOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[0]!, 'base64url').toString());
}
