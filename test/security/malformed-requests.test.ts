// Malformed and ambiguous requests that were found by fuzzing and by hand.

import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { requestRegistration } from '../support/registration.js';
import { authorizeUrl, pkce, signInAndConsent, type TestClient } from '../support/relying-party.js';
import { FORM, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';

describe('malformed requests', () => {
  let server: TestServer;
  let client: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
    ({ browser, ...account } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const start = (app: { id: string }, more: Record<string, string> = {}) =>
    authorizeUrl(server, app, pkce().challenge, more);
  const pathOf = (url: string) => url.slice(server.origin.length);

  it.each([
    ['GET', '/login?return_to=%00&login_hint=a%00@b'],
    ['GET', '/register?login_hint=%00'],
    ['GET', '/setup?token=%00'],
    ['GET', '/account%00'],
    ['GET', '/interaction/%00'],
    ['GET', '/oauth/authorize/%00'],
    ['GET', '/device/%00'],
    ['GET', '/device?user_code=%00'],
    ['GET', '/oauth/logout?id_token_hint=%00&client_id=%00&state=%00'],
    ['GET', '/oauth/authorize?client_id=%00'],
    ['GET', '/oauth/clients/register/%00'],
    ['POST', '/oauth/token', 'grant_type=authorization_code&client_id=%00&code=%00&code_verifier=%00'],
    ['POST', '/oauth/introspect', 'token=%00&client_id=%00'],
    ['POST', '/oauth/revoke', 'token=%00&client_id=%00'],
    ['POST', '/oauth/par', 'client_id=%00'],
    ['POST', '/oauth/device', 'client_id=%00'],
    ['POST', '/oauth/userinfo', 'access_token=%00'],
    ['POST', '/device', 'user_code=%00&xsrf=%00'],
    ['POST', '/oauth/logout/confirm', 'xsrf=%00&logout=%00'],
    ['POST', '/login', 'csrf=%00&email=%00&password=%00'],
  ])('with a NUL cause no 5xx response: %s %s', async (method, path, body?: string) => {
    const response = await sendRequest(
      server,
      method,
      path,
      { ...(body && { 'content-type': FORM }), accept: 'text/html' },
      body,
    );
    expect(response.status).toBeLessThan(500);
  });

  it('with a NUL in stored values are rejected', async () => {
    const newBrowser = new Browser(server.origin);
    const page = await newBrowser.open('/register');
    const register = (fields: Record<string, string>) =>
      newBrowser.submit(page, { name: 'New', email: 'nul@example.com', password: PASSWORD, ...fields });
    expect((await register({ name: 'N\u0000w' })).status).toBe(400);
    expect((await register({ email: 'n\u0000l@example.com' })).status).toBe(400);
    const login = await newBrowser.open('/login');
    expect([400, 401]).toContain((await newBrowser.submit(login, { email: 'a\u0000b', password: 'x\u0000' })).status);
    for (const metadata of [
      { client_name: 'A\u0000' },
      { redirect_uris: ['https://acme.example/\u0000'] },
      { contacts: ['a\u0000@b.example'] },
      { scope: 'openid\u0000' },
      { software_id: '\u0000' },
      { 'client_name#de': '\u0000' },
    ]) {
      const response = await requestRegistration(server, metadata);
      expect(response.status, JSON.stringify(metadata)).toBeLessThan(500);
      expect(JSON.stringify(response.json), JSON.stringify(metadata)).not.toContain('\\u0000');
    }
    const started = await browser.open(start(client, { state: 'a\u0000b', nonce: 'c\u0000d' }));
    expect(started.status).toBe(400);
  });

  it('with HEAD do not create an authorization code', async () => {
    await signInAndConsent(browser, start(client), account.email); // consented
    const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
    const before = await server.base.db.oidcArtifact.count({ where: { kind: 'AuthorizationCode' } });
    const response = await sendRequest(server, 'HEAD', pathOf(start(client)), { cookie });
    expect(response.headers.location ?? '').not.toContain('code=');
    expect(await server.base.db.oidcArtifact.count({ where: { kind: 'AuthorizationCode' } })).toBe(before);
  });

  it.each([
    '/LOGIN',
    '/Account',
    '/oauth/Authorize',
    '/OAUTH/TOKEN',
    '/Api/V1/oauth/token',
    '/.Well-Known/openid-configuration',
    '/oauth/userINFO',
  ])('with a path in another case get 404: %s', async (path) => {
    expect((await sendRequest(server, 'GET', path, { accept: 'text/html' })).status).toBe(404);
    expect((await sendRequest(server, 'POST', path, { 'content-type': FORM }, 'x=y')).status).toBe(404);
  });

  it.each([
    '/login',
    '/oauth/token',
    '/api/v1/oauth/token',
    '/oauth/introspect',
    '/oauth/authorize',
    '/device',
    '/oauth/clients/register',
  ])('with a compressed body get 415: %s', async (path) => {
    const type = path.endsWith('/clients/register') ? 'application/json' : FORM;
    for (const encoding of ['gzip', 'br', 'deflate']) {
      const response = await sendRequest(
        server,
        'POST',
        path,
        { 'content-type': type, 'content-encoding': encoding },
        gzipSync('a=b'),
      );
      expect(response.status, encoding).toBe(415);
    }
  });

  it.each([
    '',
    'xsrf=x',
    'user_code=XXXX-XXXX&confirm=yes',
    'xsrf=&user_code=',
    'abort=yes',
    'xsrf=undefined&user_code=XXXX-XXXX',
  ])('of a browser that did not open the page do not connect a device: %j', async (body) => {
    const response = await sendRequest(server, 'POST', '/device', { 'content-type': FORM, accept: 'text/html' }, body);
    expect(response.status).toBeLessThan(500);
    expect(response.text).not.toMatch(/is connected/);
  });

  it('with both Content-Length and Transfer-Encoding get one 400 response (request smuggling)', async () => {
    const smuggled =
      `POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n` +
      `0\r\n\r\nGET /account HTTP/1.1\r\nHost: x\r\n\r\n`;
    const response = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(server.port, '127.0.0.1', () => socket.end(smuggled));
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
    });
    expect(response).toMatch(/^HTTP\/1\.1 400/);
    expect(response.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });
});
