// First-party apps and scripts of the kind "studio": register, who am I, refresh by bearer, log
// out; its own words, unchanged.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type TestServer } from '../support/server.js';

const PASSWORD = 'SecurePass123!';

describe('a studio client', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  async function send(method: string, path: string, { json, token }: { json?: object; token?: string } = {}) {
    const response = await fetch(`${server.origin}${path}`, {
      method,
      headers: {
        ...(json && { 'Content-Type': 'application/json' }),
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: json && JSON.stringify(json),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  it('registers, asks who it is, refreshes by bearer and logs out, after which the old token is refused', async () => {
    const registered = await send('POST', '/api/v1/auth/register', {
      json: { email: 'user@example.com', password: PASSWORD, full_name: 'John Doe' },
    });
    expect(registered.status).toBe(201);
    expect(registered.body).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email: 'user@example.com',
      access_token: expect.stringMatching(/^eyJ/),
      token_type: 'bearer',
      expires_in: 28800,
    });
    const token = String(registered.body.access_token);

    const me = await send('GET', '/api/v1/auth/me', { token });
    expect(me.status).toBe(200);
    expect(me.body).toMatchObject({ id: registered.body.id, email: 'user@example.com', full_name: 'John Doe' });

    const refreshed = await send('POST', '/api/v1/auth/refresh', { token });
    expect(refreshed.status).toBe(200);
    expect(refreshed.body).toEqual({
      access_token: expect.stringMatching(/^eyJ/),
      token: refreshed.body.access_token,
      token_type: 'bearer',
      expires_in: 28800,
    });
    const renewed = String(refreshed.body.access_token);
    expect((await send('GET', '/api/v1/auth/me', { token: renewed })).status).toBe(200);

    const loggedOut = await send('POST', '/api/v1/auth/logout', { token: renewed });
    expect([loggedOut.status, loggedOut.body.ok]).toEqual([200, true]);
    for (const old of [token, renewed]) {
      const refused = await send('GET', '/api/v1/auth/me', { token: old });
      expect([refused.status, refused.body.error]).toEqual([401, 'invalid_token']);
      expect((await send('POST', '/api/v1/auth/refresh', { token: old })).status).toBe(401);
    }
  });

  it('logs in with a username, which is its e-mail address', async () => {
    await send('POST', '/api/v1/auth/register', { json: { email: 'name@example.com', password: PASSWORD } });
    const login = await send('POST', '/api/v1/auth/login-json', {
      json: { username: 'Name@Example.com', password: PASSWORD },
    });
    expect(login.status).toBe(200);
    expect(login.body).toMatchObject({ access_token: expect.any(String), token_type: 'bearer', expires_in: 28800 });
  });

  it('is told what is wrong in one shape', async () => {
    const answers = [
      [await send('GET', '/api/v1/auth/me'), 401, 'no_auth'],
      [await send('GET', '/api/v1/auth/me', { token: 'xyz' }), 401, 'invalid_token'],
      [await send('POST', '/api/v1/auth/login-json', { json: {} }), 400, 'invalid_request'],
      [
        await send('POST', '/api/v1/auth/login-json', {
          json: { username: 'unknown@example.com', password: PASSWORD },
        }),
        401,
        'invalid_credentials',
      ],
      [
        await send('POST', '/api/v1/auth/register', { json: { email: 'user@example.com', password: PASSWORD } }),
        409,
        'conflict',
      ],
      [await send('GET', '/api/v1/auth/login'), 405, 'method_not_allowed'],
      [await send('GET', '/api/v1/nothing'), 404, 'not_found'],
    ] as const;
    for (const [{ status, body }, expected, code] of answers) {
      expect([status, body.error]).toEqual([expected, code]);
      expect(body).toMatchObject({ error_description: expect.any(String), request_id: expect.any(String) });
    }
  });
});
