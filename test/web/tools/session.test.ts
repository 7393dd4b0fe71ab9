// Signing in to the *tools* dialect: the cookie and what it is good for, the token, the second
// factor, and pages elsewhere.

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cookiesOf } from '../../support/api-cookies.js';
import { enrol } from '../../support/authenticator.js';
import { callTools, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { createToolsAccount, requestToolsToken, validateToken } from '../../support/tools-api.js';

const LISTED = 'https://app.example';
const WEEK_SECONDS = 7 * 86_400;

describe('the *tools* dialect', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED } });
  });
  afterAll(() => server.close());

  const login = (email: string, headers: Record<string, string> = {}) =>
    callTools(server, 'POST', '/login', { body: { email, password: PASSWORD }, headers });
  const cookieOf = (answer: TestResponse) => ({ cookie: answer.cookies[0]!.split(';')[0]! });

  it('signs a browser in by a cookie that no script and no other site gets at', async () => {
    const { id, email } = await server.account();
    const answer = await login(email, { origin: server.issuer });
    const user = { id, name: 'Jane Developer', email, role: 'viewer' };
    expect([answer.status, answer.json]).toEqual([200, { ok: true, user }]);
    const [cookie] = cookiesOf(answer);
    expect(cookie).toMatchObject({ name: 'tools_session' });
    expect(Object.keys(cookie!.attributes).sort()).toEqual(['expires', 'httponly', 'path', 'samesite']);
    expect(cookie!.attributes).toMatchObject({ path: '/api', samesite: 'strict', httponly: true });
    const lasts = (Date.parse(String(cookie!.attributes.expires)) - Date.now()) / 1000;
    expect(Math.abs(lasts - WEEK_SECONDS)).toBeLessThan(60);

    const headers = cookieOf(answer);
    expect((await callTools(server, 'GET', '/me', { headers })).json.user).toEqual(user);
    expect((await callTools(server, 'POST', '/validate', { headers })).json).toEqual({ valid: true, user });
    const out = await callTools(server, 'POST', '/logout', { headers: { ...headers, origin: server.issuer } });
    expect([out.status, out.json]).toEqual([200, { ok: true }]);
    expect(cookiesOf(out)[0]).toMatchObject({ name: 'tools_session', value: '' });
    expect((await callTools(server, 'GET', '/me', { headers })).status).toBe(401);
  });

  it('marks the cookie as one for https where that is spoken', async () => {
    const secure = await startServer({ settings: { ISSUER: 'https://id.example.com', TOOLS_COOKIE: 'ops' } });
    const { email } = await secure.account();
    const [cookie] = cookiesOf(await callTools(secure, 'POST', '/login', { body: { email, password: PASSWORD } }));
    expect(cookie).toMatchObject({ name: 'ops', attributes: { secure: true, httponly: true, samesite: 'strict' } });
    await secure.close();
  });

  it('takes no change by cookie, and no login, from a page elsewhere', async () => {
    const { email } = await server.account();
    const headers = cookieOf(await login(email));
    const otherBrowser: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' }, // the tool beside us
      { origin: 'null', 'sec-fetch-site': 'same-site' },
      { origin: server.issuer.replace('http:', 'https:') },
    ];
    for (const from of otherBrowser) {
      const name = JSON.stringify(from);
      for (const path of ['/logout', '/validate', '/keys', '/me/password']) {
        const { status, json } = await callTools(server, 'POST', path, { headers: { ...headers, ...from } });
        expect([status, json.error], `${path} ${name}`).toEqual([403, 'csrf_validation_failed']);
      }
      const entered = await login(email, from);
      expect([entered.status, entered.json.error, entered.cookies], name).toEqual([403, 'csrf_validation_failed', []]);
    }
    const ours: Record<string, string>[] = [
      { origin: LISTED },
      { origin: server.issuer },
      { 'sec-fetch-site': 'same-origin' },
      {},
    ];
    for (const from of ours)
      expect((await callTools(server, 'POST', '/validate', { headers: { ...headers, ...from } })).status).toBe(200);
    expect((await callTools(server, 'GET', '/me', { headers })).status).toBe(200);
  });

  it('does not look at the cookie where a header carries a credential, nor at those of other doors', async () => {
    const { email } = await server.account();
    const headers = cookieOf(await login(email));
    const bad = { ...headers, authorization: 'Bearer nothing' };
    expect((await callTools(server, 'POST', '/validate', { headers: bad })).json.error).toBe('invalid_token');
    const asConsole = { cookie: headers.cookie.replace('tools_session', 'cap_access') };
    expect((await callTools(server, 'GET', '/me', { headers: asConsole })).json.error).toBe('no_auth');
    expect((await callTools(server, 'GET', '/v1/auth/me', { headers })).json.error).toBe('no_auth');
    const mine = await callTools(server, 'POST', '/validate', { headers: { ...headers, 'x-api-key': 'cb_none' } });
    expect(mine.json).toMatchObject({ valid: false, error: 'invalid_token' });
  });

  it('gives programs a token that is good for a week, also at the other door', async () => {
    const { id, email } = await server.account();
    const answer = await callTools(server, 'POST', '/token', { body: { email, password: PASSWORD } });
    expect(answer.cookies).toEqual([]);
    expect(answer.json).toEqual({
      token: expect.any(String),
      user: { id, name: 'Jane Developer', email, role: 'viewer' },
    });
    const token = String(answer.json.token);
    const { exp, iat, aud, client_id: client } = decodeJwt(token);
    expect([exp! - iat!, aud, client]).toEqual([WEEK_SECONDS, `${server.issuer}/api/v1`, 'signet']);
    expect((await callTools(server, 'GET', '/v1/auth/me', { token })).json.id).toBe(id);
  });

  it('asks for the second factor, as every door does', async () => {
    const now = new Date();
    const { account, app } = await enrol(server, now);
    const body = { email: account.email, password: PASSWORD };
    for (const path of ['/login', '/token']) {
      expect((await callTools(server, 'POST', path, { body })).json.error).toBe('mfa_required');
      const wrong = { ...body, otp: app.wrongCode(now) };
      const refused = await callTools(server, 'POST', path, { body: wrong });
      expect([refused.json.error, refused.cookies]).toEqual(['invalid_otp', []]);
    }
    const entered = await callTools(server, 'POST', '/login', { body: { ...body, otp: app.code(now, 1) } });
    expect([entered.status, entered.cookies.length]).toEqual([200, 1]);
  });

  it('counts guesses with those of the other doors', async () => {
    const { email } = await server.account();
    for (let n = 0; n < 10; n += 1) {
      const path = ['/login', '/token', '/v1/auth/login-json'][n % 3]!;
      expect((await callTools(server, 'POST', path, { body: { email, password: 'wrong' } })).status).toBe(401);
    }
    expect((await login(email)).json.error).toBe('auth_rate_limited');
  });

  it('changes the password for whoever knows it, and ends all other logins', async () => {
    const { email, token } = await createToolsAccount(server);
    const other = await requestToolsToken(server, email);
    const change = (method: string, current: string, next: string) =>
      callTools(server, method, '/me/password', { token, body: { current_password: current, new_password: next } });
    expect((await change('PUT', 'wrong', 'nine unrelated lanterns')).json.error).toBe('invalid_credentials');
    expect((await change('PUT', PASSWORD, 'short')).json.fields).toHaveProperty('new_password');
    expect((await change('PUT', PASSWORD, 'nine unrelated lanterns')).json).toEqual({ ok: true });
    expect((await validateToken(server, other)).status).toBe(401);
    expect((await validateToken(server, token)).status).toBe(200);
    expect((await change('POST', 'nine unrelated lanterns', 'ten unrelated lanterns')).json).toEqual({ ok: true });
  });
});
