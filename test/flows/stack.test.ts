// Apps of the kind "stack": `token` and `refreshToken`, refreshed by the body; a token that comes
// twice ends the family.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type TestServer } from '../support/server.js';

describe('a stack client', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
  });
  afterAll(() => server.close());

  async function post(path: string, body: object) {
    const response = await fetch(`${server.origin}/api/v1/auth/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, never> };
  }

  const statusOf = async (token: string) =>
    (await fetch(`${server.origin}/api/v1/auth/me`, { headers: { Authorization: `Bearer ${token}` } })).status;

  it('registers, logs in, refreshes by body, and loses the family when a token is used again', async () => {
    const account = { email: 'jane@startup.com', password: 'securepassword123' };
    const registered = await post('register', { name: 'Jane Doe', ...account });
    expect(registered.status).toBe(201);
    expect(registered.body).toMatchObject({
      token: expect.stringMatching(/^eyJ/),
      refreshToken: expect.any(String),
      user: { id: expect.any(String), email: 'jane@startup.com', name: 'Jane Doe' },
    });

    const login = await post('login', account);
    expect(login.status).toBe(200);
    expect(login.body.user).toMatchObject({ companyId: expect.stringMatching(/^co_/), org_role: 'owner' });
    const { token, refreshToken } = login.body;

    const refreshed = await post('refresh', { refreshToken });
    expect(refreshed.status).toBe(200);
    expect(refreshed.body).toMatchObject({
      token: expect.any(String),
      refreshToken: expect.any(String),
      user: login.body.user,
    });
    expect(refreshed.body.refreshToken).not.toBe(refreshToken);

    const reused = await post('refresh', { refreshToken });
    expect([reused.status, reused.body.error]).toEqual([401, 'invalid_token']);
    for (const dead of [token, refreshed.body.token!]) expect(await statusOf(dead!)).toBe(401);
    expect((await post('refresh', { refreshToken: refreshed.body.refreshToken })).status).toBe(401);
    expect(await statusOf(registered.body.token!)).toBe(200); // another session is not affected
  });
});
