// Requirements of the OpenID certification profiles Basic OP, Config OP, Form Post OP and
// RP-Initiated Logout OP, tested as the conformance suite does. Back-Channel Logout:
// test/flows/back-channel-logout.test.ts.

import { createHash } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Browser, formsOf, type Page } from '../support/browser.js';
import { completeSignIn, isLogin } from '../support/openid-client.js';
import {
  authorizeUrl,
  isActive,
  obtainCode,
  pkce,
  REDIRECT_URI,
  redeemCode,
  refresh,
  requestToken,
  signInAndConsent,
  type TestClient,
} from '../support/relying-party.js';
import { FORM, postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const GOODBYE = 'https://acme.example/bye';
const ADDRESS = { formatted: '1 Main St', locality: 'Springfield', country: 'US' };

/** Advances `Date` for the whole process, because oidc-provider has no clock of its own. */
const advance = (ms: number) => vi.setSystemTime(Date.now() + ms);

describe('OpenID certification', () => {
  let server: TestServer;
  let client: TestClient;
  let account: { id: string; email: string };
  let metadata: Record<string, unknown>;
  let signedInBrowser: Browser;
  beforeAll(async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now(), shouldAdvanceTime: true });
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: [GOODBYE] });
    account = await server.account();
    await server.base.db.account.update({
      where: { id: account.id },
      data: { phone: '+15555550100', phoneVerified: true, address: ADDRESS, emailVerified: true },
    });
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
    signedInBrowser = await signIn();
  });
  afterAll(async () => {
    vi.useRealTimers();
    await server.close();
  });

  const start = (more: Record<string, string> = {}, app: { id: string } = client) =>
    authorizeUrl(server, app, pkce().challenge, more);

  async function signIn(): Promise<Browser> {
    const browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
    return browser;
  }

  async function tokens(more: Record<string, string> = {}, browser = signedInBrowser, app = client) {
    const { body, status } = await redeemCode(server, app, await obtainCode(server, app, account.email, more, browser));
    expect(status).toBe(200);
    return body;
  }

  const userinfo = async (accessToken: string) =>
    (await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${accessToken}` })).json;

  const authorizationResponse = (page: Page) =>
    Object.fromEntries(new URLSearchParams(page.url.search || page.url.hash.slice(1)));

  it('redirects with invalid_request if response_type is missing', async () => {
    for (const browser of [new Browser(server.origin), signedInBrowser]) {
      const url = new URL(start());
      url.searchParams.delete('response_type');
      const page = await browser.open(url);
      expect(`${page.url.origin}${page.url.pathname}`).toBe(REDIRECT_URI);
      expect(authorizationResponse(page)).toMatchObject({ error: 'invalid_request', state: 'state-1' });
    }
  });

  it('signs the ID token with a published key and binds it to client, nonce and access token', async () => {
    const body = await tokens();
    const keys = createRemoteJWKSet(new URL(`${server.origin}/oauth/jwks`));
    const { payload, protectedHeader } = await jwtVerify(body.id_token!, keys, {
      issuer: server.issuer,
      audience: client.id,
    });
    expect(protectedHeader).toMatchObject({ alg: 'RS256', kid: expect.any(String) });
    const { keys: published } = (await sendRequest(server, 'GET', '/oauth/jwks')).json as { keys: { kid: string }[] };
    expect(published.filter(({ kid }) => kid === protectedHeader.kid)).toHaveLength(1);
    expect(payload).toMatchObject({ sub: account.id, nonce: 'nonce-1' });
    expect(payload.exp! - payload.iat!).toBe(3600);
    const leftHalf = createHash('sha256').update(body.access_token!).digest().subarray(0, 16).toString('base64url');
    if (payload.at_hash !== undefined) expect(payload.at_hash).toBe(leftHalf);
  });

  it('accepts userinfo requests by GET, by POST with a header and by POST with a body', async () => {
    const { access_token: accessToken = '' } = await tokens();
    const authorization = `Bearer ${accessToken}`;
    const responses = [
      await sendRequest(server, 'GET', '/oauth/userinfo', { authorization }),
      await sendRequest(server, 'POST', '/oauth/userinfo', { authorization }),
      await postForm(server, '/oauth/userinfo', {}, { headers: { authorization } }),
      await postForm(server, '/oauth/userinfo', { access_token: accessToken }),
    ];
    for (const { status, json } of responses) expect([status, json.sub]).toEqual([200, account.id]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['openid', {}],
    ['openid profile', { name: 'Jane Developer', given_name: 'Jane', family_name: 'Developer' }],
    ['openid email', { email: 'user1@example.com', email_verified: true }],
    ['openid phone', { phone_number: '+15555550100', phone_number_verified: true }],
    ['openid address', { address: ADDRESS }],
    [
      'openid profile email phone address',
      { name: 'Jane Developer', email_verified: true, phone_number: '+15555550100', address: ADDRESS },
    ],
  ])('returns exactly the claims of the scope "%s" from userinfo', async (scope, claims) => {
    const info = await userinfo((await tokens({ scope })).access_token!);
    expect(info).toMatchObject({ sub: account.id, ...claims });
    for (const [claim, claimScope] of [
      ['name', 'profile'],
      ['email', 'email'],
      ['phone_number', 'phone'],
      ['address', 'address'],
    ]) {
      if (!scope.includes(claimScope!)) expect(info).not.toHaveProperty(claim!);
    }
  });

  it.each([
    ['display', 'page'],
    ['display', 'popup'],
    ['ui_locales', 'se fr-CA'],
    ['claims_locales', 'se'],
    ['acr_values', '1 2'],
    ['unknown_parameter', 'x'],
    ['login_hint', 'unknown@example.com'],
  ])('accepts %s=%s', async (name, value) => {
    expect((await tokens({ [name]: value })).id_token).toEqual(expect.any(String));
  });

  it('shows the sign-in page and updates auth_time for prompt=login', async () => {
    const browser = await signIn();
    const before = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!).auth_time as number;
    advance(2000);
    const { verifier, challenge } = pkce();
    const page = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'login', max_age: '10000' }));
    expect(isLogin(page)).toBe(true);
    const code = (await signInAndConsent(browser, page, account.email)).searchParams.get('code')!;
    const after = decodeJwt((await redeemCode(server, client, { code, verifier })).body.id_token!).auth_time as number;
    expect(after).toBeGreaterThan(before);
  });

  it('returns login_required for prompt=none without a session, and a code with one', async () => {
    const signedOut = await new Browser(server.origin).open(start({ prompt: 'none' }));
    expect(authorizationResponse(signedOut)).toMatchObject({ error: 'login_required', state: 'state-1' });
    const browser = await signIn();
    const first = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!);
    const { verifier, challenge } = pkce();
    const page = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'none', max_age: '10000' }));
    const { body } = await redeemCode(server, client, { code: authorizationResponse(page).code!, verifier });
    const second = decodeJwt(body.id_token!);
    expect([second.sub, second.auth_time]).toEqual([first.sub, first.auth_time]);
  });

  it('requires a new sign-in after max_age seconds, and returns auth_time', async () => {
    const browser = await signIn();
    const first = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!);
    advance(2000);
    const content = await tokens({ max_age: '10000', prompt: 'none' }, browser);
    expect(decodeJwt(content.id_token!).auth_time).toBe(first.auth_time);
    expect(isLogin(await browser.open(start({ max_age: '1' })))).toBe(true);
    const again = decodeJwt((await tokens({ max_age: '1' }, browser)).id_token!);
    expect(again.auth_time as number).toBeGreaterThan(first.auth_time as number);
  });

  it('accepts an id_token_hint of the signed-in user only', async () => {
    const browser = await signIn();
    const { id_token: hint = '' } = await tokens({}, browser);
    const page = await browser.open(start({ prompt: 'none', id_token_hint: hint }));
    expect(authorizationResponse(page).code).toEqual(expect.any(String));
    const other = await server.account();
    const otherBrowser = new Browser(server.origin);
    await otherBrowser.signIn(other.email, PASSWORD);
    await completeSignIn(otherBrowser, start(), other.email);
    const wrong = await otherBrowser.open(start({ prompt: 'none', id_token_hint: hint }));
    expect(authorizationResponse(wrong)).toMatchObject({ error: 'login_required' });
  });

  it('prefills the sign-in form with login_hint', async () => {
    const page = await new Browser(server.origin).open(start({ login_hint: 'hint@example.com' }));
    expect(formsOf(page.html)[0]!.fields.email).toBe('hint@example.com');
  });

  it('rejects a reused code and revokes the tokens of its first use', async () => {
    const obtained = await obtainCode(server, client, account.email, {}, signedInBrowser);
    const { body } = await redeemCode(server, client, obtained);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('rejects a code reused after 30 seconds and revokes the tokens of its first use', async () => {
    const obtained = await obtainCode(server, client, account.email, {}, signedInBrowser);
    const { body } = await redeemCode(server, client, obtained);
    advance(31_000);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('shows an HTML error page for an unregistered redirect_uri', async () => {
    const page = await new Browser(server.origin).open(start({ redirect_uri: 'https://evil.example/cb' }));
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.html).toContain('Sign-in failed');
    expect(page.html).toMatch(/redirect_uri/);
  });

  it('accepts authorization requests by POST', async () => {
    const browser = signedInBrowser;
    const { verifier, challenge } = pkce();
    const body = new URL(authorizeUrl(server, client, challenge)).searchParams;
    const page = await browser.open('/oauth/authorize', { method: 'POST', body });
    const code = (await signInAndConsent(browser, page, account.email)).searchParams.get('code')!;
    expect((await redeemCode(server, client, { code, verifier })).status).toBe(200);
    expect((await sendRequest(server, 'POST', '/oauth/authorize', { 'content-type': 'text/plain' }, 'x')).status).toBe(
      415,
    );
  });

  it('authenticates clients by client_secret_post', async () => {
    const app = await server.client({ token_endpoint_auth_method: 'client_secret_post' });
    const { code, verifier } = await obtainCode(server, app, account.email, {}, signedInBrowser);
    const response = await postForm(server, '/oauth/token', {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
      client_id: app.id,
      client_secret: app.secret,
    });
    expect([response.status, response.json.token_type]).toEqual([200, 'Bearer']);
  });

  it('rejects unsigned request objects with request_not_supported', async () => {
    const payload = Buffer.from(JSON.stringify({ client_id: client.id, scope: 'openid' })).toString('base64url');
    const request = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    const page = await signedInBrowser.open(start({ request }));
    expect(authorizationResponse(page)).toMatchObject({ error: 'request_not_supported', state: 'state-1' });
    expect(metadata.request_parameter_supported ?? false).toBe(false);
  });

  it('returns an essential claim of the claims parameter from userinfo', async () => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true } } });
    const info = await userinfo((await tokens({ scope: 'openid', claims })).access_token!);
    expect(info).toMatchObject({ sub: account.id, name: 'Jane Developer' });
  });

  it('returns an error after one sign-in if an essential acr cannot be satisfied', async () => {
    const claims = JSON.stringify({ id_token: { acr: { essential: true, values: ['urn:example:unsupported'] } } });
    const browser = new Browser(server.origin);
    const page = await browser.open(start({ claims }));
    advance(1000); // A sign-in counts only if it is later than the page, and this Date moves in steps of 20 ms.
    const result = isLogin(page) ? await browser.signIn(account.email, PASSWORD, page) : page;
    expect(authorizationResponse(result)).toMatchObject({ error: 'unmet_authentication_requirements' });
  });

  it('issues a new access token and ID token for the same subject on refresh', async () => {
    const first = await tokens();
    const { status, body } = await refresh(server, client, first.refresh_token!);
    expect(status).toBe(200);
    expect(body.access_token).not.toBe(first.access_token);
    const [before, after] = [decodeJwt(first.id_token!), decodeJwt(body.id_token!)];
    expect([after.sub, after.iss, after.aud]).toEqual([before.sub, before.iss, before.aud]);
  });

  it('accepts requests without PKCE and nonce from a client whose PKCE requirement an admin disabled', async () => {
    const relaxed = await server.client({}, { pkceRequired: false });
    const url = new URL(start({}, relaxed));
    for (const name of ['code_challenge', 'code_challenge_method', 'nonce']) url.searchParams.delete(name);
    const code = (await signInAndConsent(signedInBrowser, url.href, account.email)).searchParams.get('code')!;
    const response = await requestToken(server, relaxed, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT_URI,
    });
    expect(response.status).toBe(200);
    expect(decodeJwt(response.body.id_token!)).not.toHaveProperty('nonce');
    expect(decodeProtectedHeader(response.body.id_token!).alg).toBe('RS256');
  });

  it('submits responses and errors to the client in a form for response_mode=form_post', async () => {
    const browser = signedInBrowser;
    await completeSignIn(browser, start(), account.email);
    for (const [more, member] of [
      [{}, 'code'],
      [{ prompt: 'none', max_age: '0' }, 'error'],
    ] as const) {
      const page = await browser.open(start({ response_mode: 'form_post', ...more }));
      expect(page.status).toBe(member === 'code' ? 200 : 400);
      const [form] = formsOf(page.html);
      expect(form!.action).toBe(REDIRECT_URI);
      expect(form!.fields).toMatchObject({ state: 'state-1', iss: server.issuer, [member]: expect.any(String) });
      expect(page.headers.get('content-security-policy')).toMatch(/script-src 'sha256-/);
    }
  });

  it('publishes the metadata that a relying party needs', async () => {
    expect(metadata).toMatchObject({
      issuer: server.issuer,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      claims_parameter_supported: true,
      end_session_endpoint: `${server.issuer}/oauth/logout`,
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    });
    expect(metadata.claims_supported).toEqual(
      expect.arrayContaining(['sub', 'name', 'email', 'email_verified', 'phone_number', 'address', 'auth_time']),
    );
    expect(metadata.id_token_signing_alg_values_supported).toContain('RS256');
  });

  it.each<[string, Record<string, string>, string | undefined]>([
    ['with state', { post_logout_redirect_uri: GOODBYE, state: 'bye' }, `${GOODBYE}?state=bye`],
    ['without state', { post_logout_redirect_uri: GOODBYE }, GOODBYE],
    ['without post_logout_redirect_uri', {}, undefined],
    ['to an unregistered URI', { post_logout_redirect_uri: 'https://evil.example/' }, undefined],
    ['to a registered URI with an extra query', { post_logout_redirect_uri: `${GOODBYE}?x=1` }, undefined],
  ])('handles RP-initiated logout %s', async (_description, more, redirect) => {
    const browser = await signIn();
    const { id_token: hint = '' } = await tokens({}, browser);
    const page = await browser.open(`/oauth/logout?${new URLSearchParams({ id_token_hint: hint, ...more })}`);
    const isError = more.post_logout_redirect_uri !== undefined && redirect === undefined;
    if (isError) expect([page.status, page.url.origin]).toEqual([400, server.origin]);
    else {
      const after = await browser.submit(page, { logout: 'yes' });
      if (redirect) expect(after.url.href).toBe(redirect);
      else expect([after.status, after.url.origin]).toEqual([200, server.origin]);
      expect(isLogin(await browser.open('/account'))).toBe(true);
    }
  });

  it.each([
    ['a redirect URI but no id_token_hint', { post_logout_redirect_uri: GOODBYE }],
    ['an altered id_token_hint', { post_logout_redirect_uri: GOODBYE, id_token_hint: 'altered' }],
  ])('neither redirects nor signs out on RP-initiated logout with %s', async (_description, more) => {
    const browser = await signIn();
    const hint = 'id_token_hint' in more && `${(await tokens({}, browser)).id_token!.slice(0, -8)}AAAAAAAA`;
    const query = new URLSearchParams({ ...more, ...(hint && { id_token_hint: hint }) } as Record<string, string>);
    const page = await browser.open(`/oauth/logout?${query}`);
    expect(page.url.origin).toBe(server.origin);
    expect((await browser.open('/account')).url.pathname).toBe('/account');
  });

  it('accepts a logout request by POST', async () => {
    expect((await sendRequest(server, 'POST', '/oauth/logout', { 'content-type': FORM }, 'state=x')).status).toBe(303);
  });
});
