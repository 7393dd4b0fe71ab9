// The account of whoever asks: its names, its preferences, its logins; and what registration and
// login read and answer.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSignedInAccount, getMe, logIn } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { callApi, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

describe('the JSON API', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const register = (body: object) => callApi(server, 'POST', '/auth/register', { body });

  it('answers a registration with all that each dialect looks for', async () => {
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

  it('says by field what is wrong with a registration, and makes nothing', async () => {
    const before = await server.base.db.account.count();
    for (const [body, fields] of [
      [{}, ['email', 'password']],
      [{ email: 'nobody', password: PASSWORD }, ['email']],
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

  it('cannot be told at registration what only a keeper may say', async () => {
    const rights = { role: 'admin', plan: 'pro', email_verified: true, status: 'active', org_role: 'owner', id: 'x' };
    const { json } = await register({ email: 'climber@example.com', password: PASSWORD, ...rights });
    expect(json.user).toMatchObject({ role: 'viewer', plan: 'free', email_verified: false });
    expect(json.id).not.toBe('x');
    const patched = await callApi(server, 'PATCH', '/auth/me/profile', { body: rights, token: String(json.token) });
    expect(patched.status).toBe(200);
    expect((await getMe(server, String(json.token))).json).toMatchObject({ role: 'viewer', plan: 'free' });
  });

  it('takes a login as a form as well, and only there', async () => {
    const { email } = await server.account();
    const form = new URLSearchParams({ username: email, password: PASSWORD }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const login = await sendRequest(server, 'POST', '/api/v1/auth/login', headers, form);
    expect([login.status, login.cookies]).toEqual([200, []]); // it did not say where it comes from
    expect(login.json).toMatchObject({ email, csrf_token: expect.any(String) });
    expect((await sendRequest(server, 'POST', '/api/v1/auth/login-json', headers, form)).status).toBe(415);
  });

  it('takes no field of a form twice', async () => {
    const { email } = await server.account();
    const form = `username=${email}&password=${encodeURIComponent(PASSWORD)}&username=${email}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const { status, json } = await sendRequest(server, 'POST', '/api/v1/auth/login', headers, form);
    expect([status, json.error, json.fields]).toEqual([400, 'invalid_request', { username: 'Send this field once.' }]);
  });

  it('names all that is missing', async () => {
    const login = (body: object) => callApi(server, 'POST', '/auth/login-json', { body });
    expect(Object.keys((await login({})).json.fields as object).sort()).toEqual(['email', 'password']);
    expect((await login([])).status).toBe(400);
  });

  it('forgets the parts of a name with the name', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const patched = await callApi(server, 'PATCH', '/auth/me/profile', { body: { name: null }, token });
    expect(patched.json).toMatchObject({ name: null, full_name: null, given_name: null, family_name: null });
  });

  it('has no registration where nobody may sign up', async () => {
    const closed = await startServer({ settings: { SIGNUP: 'closed' } });
    try {
      const body = { email: 'a@example.com', password: PASSWORD };
      expect((await callApi(closed, 'POST', '/auth/register', { body })).status).toBe(404);
    } finally {
      await closed.close();
    }
  });

  it('keeps preferences, and tells what cannot be one', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const patch = (body: object) => callApi(server, 'PATCH', '/auth/me/profile', { body, token });
    const show = async () => (await callApi(server, 'GET', '/auth/me/profile', { token })).json;
    expect(await show()).toEqual({
      name: 'Jane Developer',
      full_name: 'Jane Developer',
      given_name: 'Jane',
      family_name: 'Developer',
      picture: null,
      timezone: null,
      language: null,
      notifications: {},
    });
    const wishes = { timezone: 'Europe/Vienna', language: 'de-AT', notifications: { news: false, security: true } };
    expect((await patch(wishes)).json).toMatchObject(wishes);
    expect((await patch({ full_name: 'Maria Anna Mozart' })).json).toMatchObject({
      name: 'Maria Anna Mozart',
      given_name: 'Maria Anna',
      family_name: 'Mozart',
      ...wishes,
    });
    expect((await patch({ given_name: 'Nannerl', timezone: null })).json).toMatchObject({
      name: 'Maria Anna Mozart',
      given_name: 'Nannerl',
      timezone: null,
    });
    const before = await show();
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
    expect(await show()).toEqual(before);
  });

  it('lists the logins of an account, ends one, and ends all others', async () => {
    const here = await createSignedInAccount(server);
    const { access_token: token, email, accountId } = here;
    const there = await logIn(server, email);
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const list = async () => JSON.parse((await callApi(server, 'GET', '/auth/sessions', { token })).text);
    const all = await list();
    expect(all).toHaveLength(3);
    expect(all.filter(({ current }: { current: boolean }) => current)).toEqual([
      expect.objectContaining({ channel: 'json', amr: ['pwd'], ip_address: expect.any(String) }),
    ]);
    expect(JSON.stringify(all)).not.toMatch(/hash|token/i);

    const page = all.find(({ channel }: { channel: string }) => channel === 'browser');
    expect((await callApi(server, 'DELETE', `/auth/sessions/${page.id}`, { token })).json.ok).toBe(true);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await callApi(server, 'DELETE', `/auth/sessions/${page.id}`, { token })).status).toBe(404);

    expect((await callApi(server, 'DELETE', '/auth/sessions', { token })).json.ok).toBe(true);
    expect((await getMe(server, there.access_token)).status).toBe(401);
    expect(await list()).toHaveLength(1);
    const events = await server.core.audit.list({ accountId, action: 'session.ended' });
    expect(events).toHaveLength(2);
  });
});
