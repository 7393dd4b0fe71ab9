// Clients of the JSON API that read `access_token`, and refresh with the access token itself.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, type JsonRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const PASSWORD = 'SecurePass123!';

describe('a client of the JSON API with bearer tokens', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const send = (method: string, path: string, request?: JsonRequest) =>
    callApi(server, method, `/auth${path}`, request);

  it('registers, refreshes with its access token, and loses all its tokens when it signs out', async () => {
    const registered = await send('POST', '/register', {
      body: { email: 'user@example.com', password: PASSWORD, full_name: 'John Doe' },
    });
    expect(registered.status).toBe(201);
    expect(registered.json).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email: 'user@example.com',
      access_token: expect.stringMatching(/^eyJ/),
      token_type: 'bearer',
      expires_in: 28800,
    });
    const token = String(registered.json.access_token);

    const me = await send('GET', '/me', { token });
    expect(me.status).toBe(200);
    expect(me.json).toMatchObject({ id: registered.json.id, email: 'user@example.com', full_name: 'John Doe' });

    const refreshed = await send('POST', '/refresh', { token });
    expect(refreshed.status).toBe(200);
    expect(refreshed.json).toEqual({
      access_token: expect.stringMatching(/^eyJ/),
      token: refreshed.json.access_token,
      token_type: 'bearer',
      expires_in: 28800,
    });
    const renewed = String(refreshed.json.access_token);
    expect((await send('GET', '/me', { token: renewed })).status).toBe(200);

    const loggedOut = await send('POST', '/logout', { token: renewed });
    expect([loggedOut.status, loggedOut.json.ok]).toEqual([200, true]);
    for (const old of [token, renewed]) {
      const rejected = await send('GET', '/me', { token: old });
      expect([rejected.status, rejected.json.error]).toEqual([401, 'invalid_token']);
      expect((await send('POST', '/refresh', { token: old })).status).toBe(401);
    }
  });

  it('signs in with its e-mail address as the username', async () => {
    await send('POST', '/register', { body: { email: 'name@example.com', password: PASSWORD } });
    const login = await send('POST', '/login-json', {
      body: { username: 'Name@Example.com', password: PASSWORD },
    });
    expect(login.status).toBe(200);
    expect(login.json).toMatchObject({ access_token: expect.any(String), token_type: 'bearer', expires_in: 28800 });
  });

  it('receives all errors in the same format', async () => {
    const responses = [
      [await send('GET', '/me'), 401, 'no_auth'],
      [await send('GET', '/me', { token: 'xyz' }), 401, 'invalid_token'],
      [await send('POST', '/login-json', { body: {} }), 400, 'invalid_request'],
      [
        await send('POST', '/login-json', {
          body: { username: 'unknown@example.com', password: PASSWORD },
        }),
        401,
        'invalid_credentials',
      ],
      [await send('POST', '/register', { body: { email: 'user@example.com', password: PASSWORD } }), 409, 'conflict'],
      [await send('GET', '/login'), 405, 'method_not_allowed'],
      [await callApi(server, 'GET', '/unknown'), 404, 'not_found'],
    ] as const;
    for (const [{ status, json }, expected, code] of responses) {
      expect([status, json.error]).toEqual([expected, code]);
      expect(json).toMatchObject({ error_description: expect.any(String), request_id: expect.any(String) });
    }
  });
});
