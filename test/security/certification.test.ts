// What bites in the OpenID certification of Basic OP, Config OP, Form Post OP and RP-Initiated
// Logout, each as a conformance suite would try it. Back-Channel Logout needs an app that is
// called: test/flows/back-channel-logout.test.ts.

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
const LATER_MS = 31_000;
const ADDRESS = { formatted: '1 Main St', locality: 'Springfield', country: 'US' };

/** Time goes on as ever, and jumps ahead when a test says so. */
let aheadMs = 0;
const RealDate = Date;
class LaterDate extends RealDate {
  constructor(...given: unknown[]) {
    super(...((given.length === 0 ? [LaterDate.now()] : given) as [number]));
  }
  static override now = () => RealDate.now() + aheadMs;
}

describe('what bites in the OpenID certification', () => {
  let server: TestServer;
  let client: TestClient;
  let account: { id: string; email: string };
  let metadata: Record<string, unknown>;
  let person: Browser;
  beforeAll(async () => {
    vi.stubGlobal('Date', LaterDate);
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: [GOODBYE] });
    account = await server.account();
    await server.base.db.account.update({
      where: { id: account.id },
      data: { phone: '+15555550100', phoneVerified: true, address: ADDRESS, emailVerified: true },
    });
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
    person = await signedIn();
  });
  afterAll(async () => {
    vi.unstubAllGlobals();
    await server.close();
  });

  const start = (more: Record<string, string> = {}, app: { id: string } = client) =>
    authorizeUrl(server, app, pkce().challenge, more);

  async function signedIn(): Promise<Browser> {
    const browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
    return browser;
  }

  async function tokens(more: Record<string, string> = {}, browser = person, app = client) {
    const { body, status } = await redeemCode(server, app, await obtainCode(server, app, account.email, more, browser));
    expect(status).toBe(200);
    return body;
  }

  const userinfo = async (accessToken: string) =>
    (await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${accessToken}` })).json;

  const answerIn = (page: Page) => Object.fromEntries(new URLSearchParams(page.url.search || page.url.hash.slice(1)));

  it('response_type missing: an error at the redirect URI', async () => {
    for (const browser of [new Browser(server.origin), person]) {
      const url = new URL(start());
      url.searchParams.delete('response_type');
      const page = await browser.open(url);
      expect(`${page.url.origin}${page.url.pathname}`).toBe(REDIRECT_URI);
      expect(answerIn(page)).toMatchObject({ error: 'invalid_request', state: 'state-1' });
    }
  });

  it('ID token: signed by a published key that its kid names, for this app, this nonce and this access token', async () => {
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
    const half = createHash('sha256').update(body.access_token!).digest().subarray(0, 16).toString('base64url');
    if (payload.at_hash !== undefined) expect(payload.at_hash).toBe(half);
  });

  it('userinfo: by GET, by POST with a header, by POST with a body', async () => {
    const { access_token: accessToken = '' } = await tokens();
    const authorization = `Bearer ${accessToken}`;
    const answers = [
      await sendRequest(server, 'GET', '/oauth/userinfo', { authorization }),
      await sendRequest(server, 'POST', '/oauth/userinfo', { authorization }),
      await postForm(server, '/oauth/userinfo', {}, { headers: { authorization } }),
      await postForm(server, '/oauth/userinfo', { access_token: accessToken }),
    ];
    for (const { status, json } of answers) expect([status, json.sub]).toEqual([200, account.id]);
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
  ])('scope %s: these claims at userinfo, and no others', async (scope, claims) => {
    const info = await userinfo((await tokens({ scope })).access_token!);
    expect(info).toMatchObject({ sub: account.id, ...claims });
    for (const [name, of] of [
      ['name', 'profile'],
      ['email', 'email'],
      ['phone_number', 'phone'],
      ['address', 'address'],
    ]) {
      if (!scope.includes(of!)) expect(info).not.toHaveProperty(name!);
    }
  });

  it.each([
    ['display', 'page'],
    ['display', 'popup'],
    ['ui_locales', 'se fr-CA'],
    ['claims_locales', 'se'],
    ['acr_values', '1 2'],
    ['unknown_parameter', 'x'],
    ['login_hint', 'somebody@example.com'],
  ])('%s=%s is accepted', async (name, value) => {
    expect((await tokens({ [name]: value })).id_token).toEqual(expect.any(String));
  });

  it('prompt=login: the sign-in page again, and auth_time moves', async () => {
    const browser = await signedIn();
    const before = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!).auth_time as number;
    aheadMs += 2000;
    const { verifier, challenge } = pkce();
    const page = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'login', max_age: '10000' }));
    expect(isLogin(page)).toBe(true);
    const code = (await signInAndConsent(browser, page, account.email)).searchParams.get('code')!;
    const after = decodeJwt((await redeemCode(server, client, { code, verifier })).body.id_token!).auth_time as number;
    expect(after).toBeGreaterThan(before);
  });

  it('prompt=none: login_required where nobody is signed in, a code where somebody is', async () => {
    const nobody = await new Browser(server.origin).open(start({ prompt: 'none' }));
    expect(answerIn(nobody)).toMatchObject({ error: 'login_required', state: 'state-1' });
    const browser = await signedIn();
    const first = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!);
    const { verifier, challenge } = pkce();
    const page = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'none', max_age: '10000' }));
    const { body } = await redeemCode(server, client, { code: answerIn(page).code!, verifier });
    const second = decodeJwt(body.id_token!);
    expect([second.sub, second.auth_time]).toEqual([first.sub, first.auth_time]);
  });

  it('max_age=1 asks again after a second, max_age=10000 does not, and both tell auth_time', async () => {
    const browser = await signedIn();
    const first = decodeJwt((await tokens({ max_age: '10000' }, browser)).id_token!);
    aheadMs += 2000;
    const content = await tokens({ max_age: '10000', prompt: 'none' }, browser);
    expect(decodeJwt(content.id_token!).auth_time).toBe(first.auth_time);
    expect(isLogin(await browser.open(start({ max_age: '1' })))).toBe(true);
    const again = decodeJwt((await tokens({ max_age: '1' }, browser)).id_token!);
    expect(again.auth_time as number).toBeGreaterThan(first.auth_time as number);
  });

  it('id_token_hint: silent for the same person, an error for another', async () => {
    const browser = await signedIn();
    const { id_token: hint = '' } = await tokens({}, browser);
    const page = await browser.open(start({ prompt: 'none', id_token_hint: hint }));
    expect(answerIn(page).code).toEqual(expect.any(String));
    const other = await server.account();
    const theirs = new Browser(server.origin);
    await theirs.signIn(other.email, PASSWORD);
    await completeSignIn(theirs, start(), other.email);
    const wrong = await theirs.open(start({ prompt: 'none', id_token_hint: hint }));
    expect(answerIn(wrong)).toMatchObject({ error: 'login_required' });
  });

  it('login_hint fills the form', async () => {
    const page = await new Browser(server.origin).open(start({ login_hint: 'hint@example.com' }));
    expect(formsOf(page.html)[0]!.fields.email).toBe('hint@example.com');
  });

  it('a code that is used again, at once: refused, and the tokens of the first use die', async () => {
    const obtained = await obtainCode(server, client, account.email, {}, person);
    const { body } = await redeemCode(server, client, obtained);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('a code that is used again, after 30 seconds: the same', async () => {
    const obtained = await obtainCode(server, client, account.email, {}, person);
    const { body } = await redeemCode(server, client, obtained);
    aheadMs += LATER_MS;
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('an unregistered redirect_uri: an error page that a person can read', async () => {
    const page = await new Browser(server.origin).open(start({ redirect_uri: 'https://evil.example/cb' }));
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.html).toContain('Sign-in failed');
    expect(page.html).toMatch(/redirect_uri/);
  });

  it('POST to authorize works like GET', async () => {
    const browser = person;
    const { verifier, challenge } = pkce();
    const body = new URL(authorizeUrl(server, client, challenge)).searchParams;
    const page = await browser.open('/oauth/authorize', { method: 'POST', body });
    const code = (await signInAndConsent(browser, page, account.email)).searchParams.get('code')!;
    expect((await redeemCode(server, client, { code, verifier })).status).toBe(200);
    expect((await sendRequest(server, 'POST', '/oauth/authorize', { 'content-type': 'text/plain' }, 'x')).status).toBe(
      415,
    );
  });

  it('client_secret_post', async () => {
    const app = await server.client({ token_endpoint_auth_method: 'client_secret_post' });
    const { code, verifier } = await obtainCode(server, app, account.email, {}, person);
    const answer = await postForm(server, '/oauth/token', {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
      client_id: app.id,
      client_secret: app.secret,
    });
    expect([answer.status, answer.json.token_type]).toEqual([200, 'Bearer']);
  });

  it('unsigned request objects are rejected as unsupported', async () => {
    const payload = Buffer.from(JSON.stringify({ client_id: client.id, scope: 'openid' })).toString('base64url');
    const request = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    const page = await person.open(start({ request }));
    expect(answerIn(page)).toMatchObject({ error: 'request_not_supported', state: 'state-1' });
    expect(metadata.request_parameter_supported ?? false).toBe(false);
  });

  it('claims with an essential name: at userinfo', async () => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true } } });
    const info = await userinfo((await tokens({ scope: 'openid', claims })).access_token!);
    expect(info).toMatchObject({ sub: account.id, name: 'Jane Developer' });
  });

  it('an essential acr that cannot be met: an error after one sign-in, not a circle', async () => {
    const claims = JSON.stringify({ id_token: { acr: { essential: true, values: ['urn:nobody:has:this'] } } });
    const browser = new Browser(server.origin);
    const page = await browser.open(start({ claims }));
    const end = isLogin(page) ? await browser.signIn(account.email, PASSWORD, page) : page;
    expect(answerIn(end)).toMatchObject({ error: 'unmet_authentication_requirements' });
  });

  it('refresh: a new access token and ID token of the same person', async () => {
    const first = await tokens();
    const { status, body } = await refresh(server, client, first.refresh_token!);
    expect(status).toBe(200);
    expect(body.access_token).not.toBe(first.access_token);
    const [before, after] = [decodeJwt(first.id_token!), decodeJwt(body.id_token!)];
    expect([after.sub, after.iss, after.aud]).toEqual([before.sub, before.iss, before.aud]);
  });

  it('a client whose PKCE requirement the admin switched off may come without PKCE and without nonce', async () => {
    const relaxed = await server.client({}, { pkceRequired: false });
    const url = new URL(start({}, relaxed));
    for (const name of ['code_challenge', 'code_challenge_method', 'nonce']) url.searchParams.delete(name);
    const code = (await signInAndConsent(person, url.href, account.email)).searchParams.get('code')!;
    const answer = await requestToken(server, relaxed, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT_URI,
    });
    expect(answer.status).toBe(200);
    expect(decodeJwt(answer.body.id_token!)).not.toHaveProperty('nonce');
    expect(decodeProtectedHeader(answer.body.id_token!).alg).toBe('RS256');
  });

  it('form_post: the answer, and an error, in a form that submits itself to the app', async () => {
    const browser = person;
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

  it('config: what a relying party needs is in the metadata', async () => {
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
    ['without an address', {}, undefined],
    ['to an address that is not registered', { post_logout_redirect_uri: 'https://evil.example/' }, undefined],
    ['to an address with a query that is not registered', { post_logout_redirect_uri: `${GOODBYE}?x=1` }, undefined],
  ])('RP-initiated logout %s', async (_what, more, end) => {
    const browser = await signedIn();
    const { id_token: hint = '' } = await tokens({}, browser);
    const page = await browser.open(`/oauth/logout?${new URLSearchParams({ id_token_hint: hint, ...more })}`);
    const isError = more.post_logout_redirect_uri !== undefined && end === undefined;
    if (isError) expect([page.status, page.url.origin]).toEqual([400, server.origin]);
    else {
      const after = await browser.submit(page, { logout: 'yes' });
      if (end) expect(after.url.href).toBe(end);
      else expect([after.status, after.url.origin]).toEqual([200, server.origin]);
      expect(isLogin(await browser.open('/account'))).toBe(true);
    }
  });

  it.each([
    ['no hint, with an address', { post_logout_redirect_uri: GOODBYE }],
    ['a hint that was altered', { post_logout_redirect_uri: GOODBYE, id_token_hint: 'altered' }],
  ])('RP-initiated logout with %s goes nowhere unasked', async (_what, more) => {
    const browser = await signedIn();
    const hint = 'id_token_hint' in more && `${(await tokens({}, browser)).id_token!.slice(0, -8)}AAAAAAAA`;
    const query = new URLSearchParams({ ...more, ...(hint && { id_token_hint: hint }) } as Record<string, string>);
    const page = await browser.open(`/oauth/logout?${query}`);
    expect(page.url.origin).toBe(server.origin);
    expect((await browser.open('/account')).url.pathname).toBe('/account');
  });

  it('forms only at the endpoints that want forms', async () => {
    expect((await sendRequest(server, 'POST', '/oauth/logout', { 'content-type': FORM }, 'state=x')).status).toBe(303);
  });
});
