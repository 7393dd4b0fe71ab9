// The endpoints of clients: parameters, client authentication, caching and throttling (RFC 6749,
// sections 2.3, 3 and 5; RFC 6750; RFC 8707).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  redeemCode,
  requestToken,
  signInAndConsent,
  type TestClient,
} from '../support/relying-party.js';
import { basicAuth, FORM, postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { openTokenFamily } from '../support/token-family.js';

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };

describe('the OAuth endpoints', () => {
  let server: TestServer;
  let client: TestClient;
  let machine: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
    machine = await server.client(MACHINE);
    ({ browser, ...account } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const start = (app: { id: string }, more: Record<string, string> = {}) =>
    authorizeUrl(server, app, pkce().challenge, more);
  const pathOf = (url: string) => url.slice(server.origin.length);

  it('send Cache-Control: no-store with all responses that hold tokens or codes (RFC 6749, section 5.1)', async () => {
    const obtained = await obtainCode(server, client, account.email, {}, browser);
    const tokens = await redeemCode(server, client, obtained);
    const headers = [
      tokens.headers['cache-control'],
      (await requestToken(server, machine, { grant_type: 'client_credentials' })).headers['cache-control'],
      (await requestToken(server, machine, { grant_type: 'nonsense' })).headers['cache-control'],
      (await postForm(server, '/oauth/device', {}, { client })).headers['cache-control'],
      (await postForm(server, '/oauth/introspect', { token: 'x' }, { client })).headers['cache-control'],
      (await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${tokens.body.access_token}` }))
        .headers['cache-control'],
      (await sendRequest(server, 'GET', pathOf(start(client)))).headers['cache-control'],
      (await requestRegistration(server, {})).headers['cache-control'],
    ];
    for (const header of headers) expect(header).toContain('no-store');
  });

  describe('parameters (RFC 6749, sections 3.1 and 3.2)', () => {
    it('are ignored if unknown or empty, and rejected if repeated, at the authorization endpoint', async () => {
      const { url } = await browser.open(
        start(client, { unknown: 'x', 'x[y]': '1', constructor: 'x', prompt: 'none' }),
      );
      expect(url.searchParams.get('error')).not.toBe('invalid_request');
      const empty = await signInAndConsent(
        browser,
        start(client, { resource: '', login_hint: '', max_age: '', claims: '' }),
        account.email,
      );
      expect(empty.searchParams.get('code')).toEqual(expect.any(String));
      for (const name of ['client_id', 'scope', 'state', 'response_type', 'code_challenge', 'nonce', 'prompt']) {
        const twice = new URL(start(client, { prompt: 'none' }));
        twice.searchParams.append(name, twice.searchParams.get(name)!);
        const page = await browser.open(twice);
        expect(`${page.url.href} ${page.html}`, name).toMatch(/invalid_request/);
        expect(page.url.searchParams.get('code'), name).toBeNull();
      }
    });

    it('are ignored if unknown or empty, and rejected if repeated, at the token endpoint', async () => {
      const params: [string, string][] = [['grant_type', 'client_credentials']];
      const send = (more: [string, string][]) =>
        postForm(server, '/oauth/token', [...params, ...more], { client: machine });
      expect(
        (
          await send([
            ['unknown', 'x'],
            ['__proto__', 'x'],
            ['scope', ''],
          ])
        ).status,
      ).toBe(200);
      const repeated = await send([['grant_type', 'client_credentials']]);
      expect([repeated.status, repeated.json.error]).toEqual([400, 'invalid_request']);
      const scopes = await send([
        ['scope', 'openid'],
        ['scope', 'email'],
      ]);
      expect([scopes.status, scopes.json.error]).toEqual([400, 'invalid_request']);
    });
  });

  describe('client authentication (RFC 6749, section 2.3)', () => {
    it('is possible by POST only, and not in the query', async () => {
      const query = `grant_type=client_credentials&client_id=${machine.id}&client_secret=${machine.secret}`;
      for (const path of ['/oauth/token', '/api/v1/oauth/token']) {
        for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
          const response = await sendRequest(server, method, `${path}?${query}`, { authorization: basicAuth(machine) });
          expect([404, 405], method).toContain(response.status);
          expect(response.text).not.toContain('access_token');
        }
        const inQuery = await sendRequest(server, 'POST', `${path}?${query}`, { 'content-type': FORM }, '');
        expect(inQuery.json.access_token).toBeUndefined();
        expect(inQuery.status).toBe(400);
      }
    });

    it('accepts credentials in the body, and rejects two methods at once', async () => {
      const grant = { grant_type: 'client_credentials' };
      const inBody = { ...grant, client_id: machine.id, client_secret: machine.secret };
      expect((await postForm(server, '/oauth/token', inBody)).status).toBe(200);
      const both = await postForm(server, '/oauth/token', inBody, { headers: { authorization: basicAuth(machine) } });
      expect([both.status, both.json.access_token]).toEqual([400, undefined]);
      const mixed = { ...grant, client_id: machine.id, client_secret: 'wrong' };
      const other = await postForm(server, '/oauth/token', mixed, { headers: { authorization: basicAuth(machine) } });
      expect([other.status, other.json.access_token]).toEqual([400, undefined]);
    });

    // Libraries choose the method regardless of the registration: openid-client sends the secret in
    // the body, Auth.js in the header.
    it('accepts a secret in the header and in the body, whichever method was registered', async () => {
      const grant = { grant_type: 'client_credentials' };
      for (const method of ['client_secret_basic', 'client_secret_post']) {
        const { id, secret } = await server.client({ ...MACHINE, token_endpoint_auth_method: method });
        const inHeader = await postForm(server, '/oauth/token', grant, { client: { id, secret } });
        const inBody = await postForm(server, '/oauth/token', { ...grant, client_id: id, client_secret: secret });
        expect([inHeader.status, inBody.status], method).toEqual([200, 200]);
      }
    });

    it('is rejected in bodies other than forms', async () => {
      const json = JSON.stringify({ grant_type: 'client_credentials' });
      for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x']) {
        const response = await sendRequest(
          server,
          'POST',
          '/oauth/token',
          { 'content-type': type, authorization: basicAuth(machine) },
          json,
        );
        expect([400, 415], type).toContain(response.status);
        expect(response.json.access_token).toBeUndefined();
      }
    });
  });

  describe('several Authorization headers', () => {
    const valid = () => basicAuth(machine);
    it.each([
      ['POST', '/api/v1/oauth/token'],
      ['POST', '/oauth/token'],
      ['POST', '/oauth/introspect'],
      ['POST', '/oauth/revoke'],
      ['POST', '/oauth/par'],
      ['POST', '/oauth/device'],
      ['POST', '/oauth/ciba'],
      ['POST', '/oauth/userinfo'],
      ['GET', '/oauth/userinfo'],
      ['GET', '/oauth/clients/register/unknown'],
    ])('are rejected at %s %s', async (method, path) => {
      const type: Record<string, string> = method === 'POST' ? { 'content-type': FORM } : {};
      const body = method === 'POST' ? 'grant_type=client_credentials&token=x' : undefined;
      for (const authorization of [
        [valid(), 'Basic eDp5'],
        ['Bearer x', valid()],
        [valid(), valid()],
      ]) {
        const response = await sendRequest(server, method, path, { ...type, authorization }, body);
        expect([response.status, response.json.error]).toEqual([400, 'invalid_request']);
      }
    });
  });

  it('throttle guessing of client secrets for the IP address of the attacker only', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.7' };
    const guess = (path: string) =>
      postForm(
        server,
        path,
        { grant_type: 'client_credentials', token: 'x' },
        { client: { ...machine, secret: 'wrong' }, headers },
      );
    const paths = ['/oauth/token', '/api/v1/oauth/token', '/oauth/introspect', '/oauth/revoke', '/oauth/par'];
    const statuses: number[] = [];
    for (let n = 0; n < 70; n += 1) statuses.push((await guess(paths[n % paths.length]!)).status);
    expect(statuses.slice(0, 50)).toEqual(Array.from({ length: 50 }, () => 401));
    expect(statuses.at(-1)).toBe(429);
    const last = await guess('/oauth/token');
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0);
    const params = { grant_type: 'client_credentials' };
    expect((await postForm(server, '/oauth/token', params, { client: machine, headers })).status).toBe(429);
    expect((await postForm(server, '/oauth/token', params, { client: machine })).status).toBe(200);
  });

  it('throttle guessing of user codes', async () => {
    const newBrowser = new Browser(server.origin);
    newBrowser.headers = { ...newBrowser.headers, 'x-forwarded-for': '203.0.113.8' };
    const page = await newBrowser.open('/device');
    let status = 0;
    for (let n = 0; n < 32 && status !== 429; n += 1) {
      status = (await newBrowser.submit(page, { user_code: 'WXYZ-WXYZ' })).status;
    }
    expect(status).toBe(429);
  });

  it('do not need to throttle guessing of registration access tokens, which have 256 bits', async () => {
    const app = await registerDynamically(server);
    const path = `/oauth/clients/register/${app.id}`;
    const response = await sendRequest(server, 'GET', path, {
      authorization: `Bearer ${app.managementToken.slice(0, -1)}`,
    });
    expect([response.status, response.json.client_id]).toEqual([401, undefined]);
    expect(app.managementToken.length).toBeGreaterThanOrEqual(43);
  });

  it('reject unknown resources, and resources that were not authorized (RFC 8707)', async () => {
    const resource = `${server.issuer}/api/v1`;
    const unknown = await browser.open(start(client, { resource: 'https://unknown.example' }));
    expect(unknown.url.searchParams.get('error')).toBe('invalid_target');
    const direct = await requestToken(server, machine, {
      grant_type: 'client_credentials',
      resource: 'https://unknown.example',
    });
    expect([direct.status, direct.body.error]).toEqual([400, 'invalid_target']);
    for (const invalid of ['relative/path', `${resource}#x`, `${resource}/`, resource.toUpperCase(), 'javascript:x']) {
      const response = await requestToken(server, machine, { grant_type: 'client_credentials', resource: invalid });
      expect([response.status, response.body.error], invalid).toEqual([400, 'invalid_target']);
    }
    const plain = await obtainCode(server, client, account.email, {}, browser);
    const wider = await redeemCode(server, client, plain, { resource });
    expect([wider.status, wider.body.error]).toEqual([400, 'invalid_target']);
  });

  describe('the code grant', () => {
    // RFC 6749, section 4.1.3, requires the redirect URI here; OAuth 2.1 no longer does.
    it('rejects another redirect URI than that of the authorization request', async () => {
      const { code, verifier } = await obtainCode(server, client, account.email, {}, browser);
      const grant = { grant_type: 'authorization_code', code, code_verifier: verifier };
      const wrong = await requestToken(server, client, { ...grant, redirect_uri: 'https://acme.example/other' });
      expect(wrong.body.error).toBe('invalid_grant');
      const missing = await requestToken(server, client, grant);
      expect([200, 400]).toContain(missing.status);
    });
  });

  it('reject a bearer token in both the header and the body (RFC 6750, section 2)', async () => {
    const { accessToken } = await openTokenFamily(server, client, account.email, {}, browser);
    const headers = { authorization: `Bearer ${accessToken}` };
    const twice = await postForm(server, '/oauth/userinfo', { access_token: accessToken }, { headers });
    expect([twice.status, twice.json.error]).toEqual([400, 'invalid_request']);
    expect((await postForm(server, '/oauth/userinfo', { access_token: accessToken })).json.sub).toBe(account.id);
  });

  it('return the error and the required scope in WWW-Authenticate (RFC 6750, section 3; RFC 9728)', async () => {
    const anonymous = await sendRequest(server, 'GET', '/oauth/userinfo');
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers['www-authenticate']).toMatch(/^Bearer/);
    const wrong = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: 'Bearer invalid' });
    expect([wrong.status, wrong.json.error]).toEqual([401, 'invalid_token']);
    expect(wrong.headers['www-authenticate']).toMatch(/error="invalid_token"/);
    const obtained = await obtainCode(server, client, account.email, { scope: 'profile', nonce: '' }, browser);
    const { body } = await redeemCode(server, client, obtained);
    const narrow = await sendRequest(server, 'GET', '/oauth/userinfo', {
      authorization: `Bearer ${body.access_token}`,
    });
    expect(narrow.status).toBe(403);
    expect(narrow.headers['www-authenticate']).toMatch(/error="insufficient_scope".*scope="openid"/);
    const { json } = await sendRequest(server, 'GET', '/.well-known/oauth-protected-resource/api/v1');
    expect(json).toMatchObject({ resource: `${server.issuer}/api/v1`, authorization_servers: [server.issuer] });
  });
});
