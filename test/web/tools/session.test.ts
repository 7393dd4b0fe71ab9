// Sessions of the tools API: the cookie, the token, the second factor, and cross-site requests.

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cookiesOf } from '../../support/api-cookies.js';
import { enrol } from '../../support/authenticator.js';
import { callApi, callTools, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { createToolsAccount, requestToolsToken, validateToken } from '../../support/tools-api.js';

const LISTED = 'https://app.example';
const WEEK_SECONDS = 7 * 86_400;

describe('the tools API', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED } });
  });
  afterAll(() => server.close());

  const logIn = (email: string, headers: Record<string, string> = {}) =>
    callTools(server, 'POST', '/login', { body: { email, password: PASSWORD }, headers });
  const cookieOf = ({ cookies }: TestResponse) => ({ cookie: cookies[0]!.split(';')[0]! });

  it('logs a browser in with a cookie that scripts and other sites cannot use, and out again', async () => {
    const { id, email } = await server.account();
    const response = await logIn(email, { origin: server.issuer });
    const user = { id, name: 'Jane Developer', email, role: 'viewer' };
    expect([response.status, response.json]).toEqual([200, { ok: true, user }]);
    const [cookie] = cookiesOf(response);
    expect(cookie).toMatchObject({ name: 'tools_session' });
    expect(Object.keys(cookie!.attributes).sort()).toEqual(['expires', 'httponly', 'path', 'samesite']);
    expect(cookie!.attributes).toMatchObject({ path: '/api', samesite: 'strict', httponly: true });
    const lifetimeSeconds = (Date.parse(String(cookie!.attributes.expires)) - Date.now()) / 1000;
    expect(Math.abs(lifetimeSeconds - WEEK_SECONDS)).toBeLessThan(60);

    const headers = cookieOf(response);
    expect((await callTools(server, 'GET', '/me', { headers })).json.user).toEqual(user);
    expect((await callTools(server, 'POST', '/validate', { headers })).json).toEqual({ valid: true, user });
    const loggedOut = await callTools(server, 'POST', '/logout', { headers: { ...headers, origin: server.issuer } });
    expect([loggedOut.status, loggedOut.json]).toEqual([200, { ok: true }]);
    expect(cookiesOf(loggedOut)[0]).toMatchObject({ name: 'tools_session', value: '' });
    expect((await callTools(server, 'GET', '/me', { headers })).status).toBe(401);
  });

  it('sets a Secure cookie if the issuer uses https, named by TOOLS_COOKIE', async () => {
    const secure = await startServer({ settings: { ISSUER: 'https://id.example.com', TOOLS_COOKIE: 'ops' } });
    const { email } = await secure.account();
    const [cookie] = cookiesOf(await callTools(secure, 'POST', '/login', { body: { email, password: PASSWORD } }));
    expect(cookie).toMatchObject({ name: 'ops', attributes: { secure: true, httponly: true, samesite: 'strict' } });
    await secure.close();
  });

  it('rejects logins and cookie requests from other origins', async () => {
    const { email } = await server.account();
    const headers = cookieOf(await logIn(email));
    const otherOrigins: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'null', 'sec-fetch-site': 'same-site' },
      { origin: server.issuer.replace('http:', 'https:') },
    ];
    for (const origin of otherOrigins) {
      const name = JSON.stringify(origin);
      for (const path of ['/logout', '/validate', '/keys', '/me/password']) {
        const { status, json } = await callTools(server, 'POST', path, { headers: { ...headers, ...origin } });
        expect([status, json.error], `${path} ${name}`).toEqual([403, 'csrf_validation_failed']);
      }
      const login = await logIn(email, origin);
      expect([login.status, login.json.error, login.cookies], name).toEqual([403, 'csrf_validation_failed', []]);
    }
    expect((await callTools(server, 'GET', '/me', { headers })).status).toBe(200);
  });

  it.each([
    ['a listed origin', () => ({ origin: LISTED })],
    ['the origin of the issuer', () => ({ origin: server.issuer })],
    ['the same origin by Fetch Metadata', () => ({ 'sec-fetch-site': 'same-origin' })],
    ['a program without origin headers', () => ({})],
  ])('accepts cookie requests from %s', async (_case, originHeaders) => {
    const { email } = await server.account();
    const headers = { ...cookieOf(await logIn(email)), ...originHeaders() };
    expect((await callTools(server, 'POST', '/validate', { headers })).status).toBe(200);
  });

  it('ignores the cookie if a header contains a credential', async () => {
    const { email } = await server.account();
    const cookie = cookieOf(await logIn(email));
    const credentials: Record<string, string>[] = [{ authorization: 'Bearer unknown' }, { 'x-api-key': 'cb_none' }];
    for (const header of credentials) {
      const { json } = await callTools(server, 'POST', '/validate', { headers: { ...cookie, ...header } });
      expect(json).toMatchObject({ valid: false, error: 'invalid_token' });
    }
  });

  it('does not share cookies with the JSON API', async () => {
    const { email } = await server.account();
    const headers = cookieOf(await logIn(email));
    const asApiCookie = { cookie: headers.cookie.replace('tools_session', 'cap_access') };
    expect((await callTools(server, 'GET', '/me', { headers: asApiCookie })).json.error).toBe('no_auth');
    expect((await callApi(server, 'GET', '/auth/me', { headers })).json.error).toBe('no_auth');
  });

  it('issues a token to programs for a week, which the JSON API accepts too', async () => {
    const { id, email } = await server.account();
    const { cookies, json } = await callTools(server, 'POST', '/token', { body: { email, password: PASSWORD } });
    expect(cookies).toEqual([]);
    expect(json).toEqual({
      token: expect.any(String),
      user: { id, name: 'Jane Developer', email, role: 'viewer' },
    });
    const token = String(json.token);
    const { exp, iat, aud, client_id: clientId } = decodeJwt(token);
    expect([exp! - iat!, aud, clientId]).toEqual([WEEK_SECONDS, `${server.issuer}/api/v1`, 'signet']);
    expect((await callApi(server, 'GET', '/auth/me', { token })).json.id).toBe(id);
  });

  it('requires the second factor of an enrolled account', async () => {
    const now = new Date();
    const { account, app } = await enrol(server, now);
    const body = { email: account.email, password: PASSWORD };
    for (const path of ['/login', '/token']) {
      expect((await callTools(server, 'POST', path, { body })).json.error).toBe('mfa_required');
      const wrong = { ...body, otp: app.wrongCode(now) };
      const rejected = await callTools(server, 'POST', path, { body: wrong });
      expect([rejected.json.error, rejected.cookies]).toEqual(['invalid_otp', []]);
    }
    const login = await callTools(server, 'POST', '/login', { body: { ...body, otp: app.code(now, 1) } });
    expect([login.status, login.cookies.length]).toEqual([200, 1]);
  });

  it('counts wrong passwords together with those at the JSON API', async () => {
    const { email } = await server.account();
    for (let n = 0; n < 10; n += 1) {
      const path = ['/login', '/token', '/v1/auth/login-json'][n % 3]!;
      expect((await callTools(server, 'POST', path, { body: { email, password: 'wrong' } })).status).toBe(401);
    }
    expect((await logIn(email)).json.error).toBe('auth_rate_limited');
  });

  it('changes the password if the current one is right, and revokes all other sessions', async () => {
    const { email, token } = await createToolsAccount(server);
    const other = await requestToolsToken(server, email);
    const change = (method: string, currentPassword: string, newPassword: string) =>
      callTools(server, method, '/me/password', {
        token,
        body: { current_password: currentPassword, new_password: newPassword },
      });
    expect((await change('PUT', 'wrong', 'nine unrelated lanterns')).json.error).toBe('invalid_credentials');
    expect((await change('PUT', PASSWORD, 'short')).json.fields).toHaveProperty('new_password');
    expect((await change('PUT', PASSWORD, 'nine unrelated lanterns')).json).toEqual({ ok: true });
    expect((await validateToken(server, other)).status).toBe(401);
    expect((await validateToken(server, token)).status).toBe(200);
    expect((await change('POST', 'nine unrelated lanterns', 'ten unrelated lanterns')).json).toEqual({ ok: true });
  });
});
