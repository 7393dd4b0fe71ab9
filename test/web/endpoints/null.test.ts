// Many clients send null for an absent value.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSignedInAccount, logIn } from '../../support/api.js';
import { callApi, callTools } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { createToolsAccount } from '../../support/tools-api.js';

describe('null in a JSON body', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const post = (path: string, body: object, token?: string) =>
    callApi(server, 'POST', path, { body, ...(token && { token }) });

  it('means the same as an absent member if the member is optional', async () => {
    const email = 'null@example.com';
    const registered = await post('/auth/register', { email, password: PASSWORD, name: null, full_name: 'Jane Doe' });
    expect([registered.status, (registered.json.user as { name: string }).name]).toEqual([201, 'Jane Doe']);
    const login = { email: null, username: email, password: PASSWORD, otp: null };
    expect((await post('/auth/login-json', login)).status).toBe(200);
    const { access_token: token } = await logIn(server, email);
    const key = { name: 'CI', scopes: null, role: null, organization_id: null, project_id: null, environment: null };
    const created = await post('/api-keys', key, token);
    expect(created.json).toMatchObject({ scopes: [], role: 'admin', project_id: null, prefix: 'sk_live' });
    expect(created.json.expires_at).not.toBeNull();
  });

  it('keeps its meaning for members that document one', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const permanent = await post('/api-keys', { name: 'CI', expires_in_days: null }, token);
    expect([permanent.status, permanent.json.expires_at]).toEqual([201, null]);
    const patched = await callApi(server, 'PATCH', '/auth/me/profile', {
      token,
      body: { name: null, notifications: null, timezone: null },
    });
    expect(patched.json).toMatchObject({ name: null, timezone: null, notifications: {} });
  });

  it('removes the name in an update by an administrator, and changes no other member', async () => {
    const { token } = await createToolsAccount(server, 'admin');
    const { id, email } = await server.account();
    const body = { name: null, email: null, role: null, status: null, password: null };
    const { status, json } = await callTools(server, 'PUT', `/users/${id}`, { body, token });
    expect([status, json.user]).toMatchObject([200, { email, name: null, role: 'viewer', status: 'active' }]);
    await logIn(server, email);
  });

  it('is rejected by field for a required member, in an array, and as the body', async () => {
    const login = await post('/auth/login-json', { email: null, username: null, password: null });
    expect([login.status, login.json.error]).toEqual([400, 'invalid_request']);
    expect(Object.keys(login.json.fields as object).sort()).toEqual(['email', 'password']);
    const { access_token: token } = await createSignedInAccount(server);
    const key = await post('/api-keys', { name: null, scopes: [null] }, token);
    expect([key.status, Object.keys(key.json.fields as object).sort()]).toEqual([400, ['name', 'scopes.0']]);
    for (const body of [null, [null]]) expect((await post('/auth/login-json', body as never)).status).toBe(400);
  });
});
