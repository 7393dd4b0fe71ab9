// Browser clients of the JSON API that sign in with cookies: three cookies, a CSRF token, and
// refresh by cookie.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cookieJar } from '../support/api.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe('a browser client of the JSON API', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** Opens a page of the server's own origin. Each response changes its cookies. */
  function openPage() {
    const cookies = cookieJar();
    return {
      jar: cookies.jar,
      async send(method: string, path: string, body?: unknown, csrf?: string) {
        const response = await callApi(server, method, path, {
          body,
          headers: {
            origin: server.issuer,
            'sec-fetch-site': 'same-origin',
            cookie: cookies.header(),
            ...(csrf && { 'x-csrf-token': csrf }),
          },
        });
        cookies.keep(response);
        return response;
      },
    };
  }

  it('signs in with cookies, needs the CSRF token for changes, refreshes and signs out', async () => {
    const { email } = await server.account();
    const { send, jar } = openPage();
    const login = await send('POST', '/auth/login', { email, password: PASSWORD });
    expect(login.status).toBe(200);
    expect(login.json).toMatchObject({ user: { email, org_role: 'owner' }, csrf_token: jar.get('cap_csrf') });
    expect(login.cookies.map((line) => line.replace(/=[^;]+/, '=…').replace(/expires=[^;]+; /, '')).sort()).toEqual([
      'cap_access=…; path=/; samesite=strict; httponly',
      'cap_csrf=…; path=/; samesite=strict',
      'cap_refresh=…; path=/api/v1/auth; samesite=strict; httponly',
    ]);

    expect((await send('GET', '/auth/me')).json).toMatchObject({ email, organizations: [{ role: 'owner' }] });
    const change = { timezone: 'Europe/Vienna' };
    const withoutToken = await send('PATCH', '/auth/me/profile', change);
    expect([withoutToken.status, withoutToken.json.error]).toEqual([403, 'csrf_validation_failed']);
    const withToken = await send('PATCH', '/auth/me/profile', change, jar.get('cap_csrf'));
    expect([withToken.status, withToken.json.timezone]).toEqual([200, 'Europe/Vienna']);

    const before = new Map(jar);
    const refreshed = await send('POST', '/auth/refresh');
    expect(refreshed.status).toBe(200);
    expect(refreshed.json).toEqual({ csrf_token: jar.get('cap_csrf'), user: expect.objectContaining({ email }) });
    for (const name of ['cap_access', 'cap_refresh']) expect(jar.get(name)).not.toBe(before.get(name));

    expect((await send('POST', '/auth/logout')).status).toBe(403);
    expect((await send('POST', '/auth/logout', undefined, jar.get('cap_csrf'))).status).toBe(200);
    expect(jar.size).toBe(0);
    for (const cookie of [before, jar].map((cookies) => [...cookies].map(([name, value]) => `${name}=${value}`))) {
      const response = await callApi(server, 'GET', '/auth/me', { headers: { cookie: cookie.join('; ') } });
      expect(response.status).toBe(401);
    }
  });

  it('refreshes its session after its access cookie has expired', async () => {
    const { email } = await server.account();
    const { send, jar } = openPage();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    jar.delete('cap_access'); // expired
    expect((await send('GET', '/auth/me')).json.error).toBe('no_auth');
    expect((await send('POST', '/auth/refresh')).status).toBe(200);
    expect((await send('GET', '/auth/me')).status).toBe(200);
  });

  it('signs out after its access cookie has expired, but only with the CSRF token', async () => {
    const { email } = await server.account();
    const { send, jar } = openPage();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    const cookie = `cap_refresh=${jar.get('cap_refresh')}`;
    jar.delete('cap_access');
    expect((await send('POST', '/auth/logout')).json.error).toBe('csrf_validation_failed');
    expect((await send('POST', '/auth/logout', undefined, jar.get('cap_csrf'))).status).toBe(200);
    expect(jar.size).toBe(0);
    const headers = { origin: server.issuer, cookie };
    expect((await callApi(server, 'POST', '/auth/refresh', { headers })).status).toBe(401);
  });

  it('loses its session when a refresh cookie is reused', async () => {
    const { email } = await server.account();
    const { send, jar } = openPage();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    const replaced = jar.get('cap_refresh')!;
    await send('POST', '/auth/refresh');
    await send('POST', '/auth/refresh');
    const headers = { origin: server.issuer, cookie: `cap_refresh=${replaced}` };
    expect((await callApi(server, 'POST', '/auth/refresh', { headers })).status).toBe(401);
    expect((await send('GET', '/auth/me')).status).toBe(401);
    expect((await send('POST', '/auth/refresh')).status).toBe(401);
  });
});
