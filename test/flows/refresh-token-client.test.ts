// Clients of the JSON API that read `token` and `refreshToken`, and refresh with a refresh token in
// the body.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getMe } from '../support/api.js';
import { callApi } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

describe('a client of the JSON API with refresh tokens', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
  });
  afterAll(() => server.close());

  const post = (path: string, body: object) => callApi(server, 'POST', `/auth/${path}`, { body });

  it('registers, signs in, refreshes, and loses its session when a refresh token is reused', async () => {
    const account = { email: 'jane@startup.com', password: 'securepassword123' };
    const registered = await post('register', { name: 'Jane Doe', ...account });
    expect(registered.status).toBe(201);
    expect(registered.json).toMatchObject({
      token: expect.stringMatching(/^eyJ/),
      refreshToken: expect.any(String),
      user: { id: expect.any(String), email: 'jane@startup.com', name: 'Jane Doe' },
    });

    const login = await post('login', account);
    expect(login.status).toBe(200);
    expect(login.json.user).toMatchObject({ companyId: expect.stringMatching(/^co_/), org_role: 'owner' });
    const { token, refreshToken } = login.json as Record<string, string>;

    const refreshed = await post('refresh', { refreshToken });
    expect(refreshed.status).toBe(200);
    expect(refreshed.json).toMatchObject({
      token: expect.any(String),
      refreshToken: expect.any(String),
      user: login.json.user,
    });
    expect(refreshed.json.refreshToken).not.toBe(refreshToken);

    const reused = await post('refresh', { refreshToken });
    expect([reused.status, reused.json.error]).toEqual([401, 'invalid_token']);
    for (const revoked of [token, refreshed.json.token])
      expect((await getMe(server, String(revoked))).status).toBe(401);
    expect((await post('refresh', { refreshToken: refreshed.json.refreshToken })).status).toBe(401);
    expect((await getMe(server, String(registered.json.token))).status).toBe(200); // another session
  });
});
