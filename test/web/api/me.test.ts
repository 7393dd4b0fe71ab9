import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSignedInAccount, getMe, logIn } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { callApi, postForm } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

describe('the account endpoints of the JSON API', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const register = (body: object) => callApi(server, 'POST', '/auth/register', { body });

  it('return tokens and the user after a registration, with the field names of all supported clients', async () => {
    const { status, json } = await register({ email: ' Jane@Example.com ', password: PASSWORD, name: 'Jane Q. Doe' });
    expect(status).toBe(201);
    expect(json).toEqual({
      token: json.access_token,
      access_token: expect.stringMatching(/^eyJ/),
      refreshToken: json.refresh_token,
      refresh_token: expect.stringMatching(/^[\w-]{43}$/),
      token_type: 'bearer',
      expires_in: 28_800,
      id: expect.any(String),
      email: 'jane@example.com',
      user: {
        id: json.id,
        email: 'jane@example.com',
        name: 'Jane Q. Doe',
        full_name: 'Jane Q. Doe',
        companyId: expect.stringMatching(/^co_/),
        role: 'viewer',
        org_role: 'owner',
        email_verified: false,
        plan: 'free',
        picture: null,
      },
    });
    const { user } = json as { user: { companyId: string } };
    expect((await getMe(server, String(json.token))).json).toEqual({
      ...user,
      organizations: [{ id: user.companyId, name: 'Jane Q. Doe', role: 'owner' }],
      projects: [],
      tools: [],
    });
  });

  it('name each invalid field of a registration and create no account', async () => {
    const before = await server.base.db.account.count();
    for (const [body, fields] of [
      [{}, ['email', 'password']],
      [{ email: 'not-an-address', password: PASSWORD }, ['email']],
      [{ email: 'a@example.com', password: 'short' }, ['password']],
      [{ email: 'a@example.com', password: 'password' }, ['password']],
      [{ email: 'a@example.com', password: PASSWORD, name: 7 }, ['name']],
      [{ email: ['a@example.com'], password: PASSWORD }, ['email']],
      [{ email: 'a@example.com', password: PASSWORD, full_name: `A${'\u202e'}B` }, ['name']],
    ] as const) {
      const { status, json } = await register(body);
      expect([status, json.error, Object.keys(json.fields as object)]).toEqual([400, 'invalid_request', fields]);
    }
    expect(await server.base.db.account.count()).toBe(before);
  });

  it('ignore fields that only an administrator can set', async () => {
    const adminFields = {
      role: 'admin',
      plan: 'pro',
      email_verified: true,
      status: 'active',
      org_role: 'owner',
      id: 'x',
    };
    const { json } = await register({ email: 'newcomer@example.com', password: PASSWORD, ...adminFields });
    expect(json.user).toMatchObject({ role: 'viewer', plan: 'free', email_verified: false });
    expect(json.id).not.toBe('x');
    const patched = await callApi(server, 'PATCH', '/auth/me/profile', {
      body: adminFields,
      token: String(json.token),
    });
    expect(patched.status).toBe(200);
    expect((await getMe(server, String(json.token))).json).toMatchObject({ role: 'viewer', plan: 'free' });
  });

  it('accept a form at the login endpoint only', async () => {
    const { email } = await server.account();
    const fields = { username: email, password: PASSWORD };
    const login = await postForm(server, '/api/v1/auth/login', fields);
    expect([login.status, login.cookies]).toEqual([200, []]); // no cookies, because the request has no origin
    expect(login.json).toMatchObject({ email, csrf_token: expect.any(String) });
    expect((await postForm(server, '/api/v1/auth/login-json', fields)).status).toBe(415);
  });

  it('reject a form that contains a field twice', async () => {
    const { email } = await server.account();
    const { status, json } = await postForm(server, '/api/v1/auth/login', [
      ['username', email],
      ['password', PASSWORD],
      ['username', email],
    ]);
    expect([status, json.error, json.fields]).toEqual([400, 'invalid_request', { username: 'Send this field once.' }]);
  });

  it('name all missing fields of a login', async () => {
    const login = (body: object) => callApi(server, 'POST', '/auth/login-json', { body });
    expect(Object.keys((await login({})).json.fields as object).sort()).toEqual(['email', 'password']);
    expect((await login([])).status).toBe(400);
  });

  it('clear the parts of a name together with the name', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const patched = await callApi(server, 'PATCH', '/auth/me/profile', { body: { name: null }, token });
    expect(patched.json).toMatchObject({ name: null, full_name: null, given_name: null, family_name: null });
  });

  it('have no registration if sign-up is disabled', async () => {
    const closed = await startServer({ settings: { SIGNUP: 'closed' } });
    try {
      const body = { email: 'a@example.com', password: PASSWORD };
      expect((await callApi(closed, 'POST', '/auth/register', { body })).status).toBe(404);
    } finally {
      await closed.close();
    }
  });

  it('store preferences and reject invalid ones by field', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const patch = (body: object) => callApi(server, 'PATCH', '/auth/me/profile', { body, token });
    const getProfile = async () => (await callApi(server, 'GET', '/auth/me/profile', { token })).json;
    expect(await getProfile()).toEqual({
      name: 'Jane Developer',
      full_name: 'Jane Developer',
      given_name: 'Jane',
      family_name: 'Developer',
      picture: null,
      timezone: null,
      language: null,
      notifications: {},
    });
    const preferences = {
      timezone: 'Europe/Vienna',
      language: 'de-AT',
      notifications: { news: false, security: true },
    };
    expect((await patch(preferences)).json).toMatchObject(preferences);
    expect((await patch({ full_name: 'Maria Anna Mozart' })).json).toMatchObject({
      name: 'Maria Anna Mozart',
      given_name: 'Maria Anna',
      family_name: 'Mozart',
      ...preferences,
    });
    expect((await patch({ given_name: 'Nannerl', timezone: null })).json).toMatchObject({
      name: 'Maria Anna Mozart',
      given_name: 'Nannerl',
      timezone: null,
    });
    const before = await getProfile();
    for (const [body, field] of [
      [{ timezone: 'Mars/Olympus' }, 'timezone'],
      [{ language: 'no language' }, 'language'],
      [{ picture: 'http://example.com/a.png' }, 'picture'],
      [{ picture: 'javascript:alert(1)' }, 'picture'],
      [{ given_name: 'x'.repeat(300) }, 'given_name'],
      [{ notifications: { news: 'yes' } }, 'notifications.news'],
      [{ notifications: Object.fromEntries(Array.from({ length: 60 }, (_, n) => [n, true])) }, 'notifications'],
    ] as const) {
      const { status, json } = await patch(body);
      expect([status, Object.keys(json.fields as object)]).toEqual([400, [field]]);
    }
    expect(await getProfile()).toEqual(before);
  });

  it('list the sessions of the account, revoke one, and revoke all others', async () => {
    const { access_token: token, email, accountId } = await createSignedInAccount(server);
    const other = await logIn(server, email);
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const list = async () => JSON.parse((await callApi(server, 'GET', '/auth/sessions', { token })).text);
    const all = await list();
    expect(all).toHaveLength(3);
    expect(all.filter(({ current }: { current: boolean }) => current)).toEqual([
      expect.objectContaining({ channel: 'json', amr: ['pwd'], ip_address: expect.any(String) }),
    ]);
    expect(JSON.stringify(all)).not.toMatch(/hash|token/i);

    const browserSession = all.find(({ channel }: { channel: string }) => channel === 'browser');
    expect((await callApi(server, 'DELETE', `/auth/sessions/${browserSession.id}`, { token })).json.ok).toBe(true);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await callApi(server, 'DELETE', `/auth/sessions/${browserSession.id}`, { token })).status).toBe(404);

    expect((await callApi(server, 'DELETE', '/auth/sessions', { token })).json.ok).toBe(true);
    expect((await getMe(server, other.access_token)).status).toBe(401);
    expect(await list()).toHaveLength(1);
    const events = await server.core.audit.list({ accountId, action: 'session.ended' });
    expect(events).toHaveLength(2);
  });
});
