// Browsers of the kind "console": three cookies, a CSRF token, refresh by cookie; and scripts of it
// that bring no cookie at all.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cookieJar } from '../support/api.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe('a console client', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** A browser's page on our own origin. */
  function page() {
    const cookies = cookieJar();
    return {
      jar: cookies.jar,
      async send(method: string, path: string, body?: unknown, csrf?: string) {
        const answer = await callApi(server, method, path, {
          body,
          headers: {
            origin: server.issuer,
            'sec-fetch-site': 'same-origin',
            cookie: cookies.header(),
            ...(csrf && { 'x-csrf-token': csrf }),
          },
        });
        cookies.keep(answer);
        return answer;
      },
    };
  }

  it('logs in to cookies, changes something only with the CSRF token, refreshes, and logs out', async () => {
    const { email } = await server.account();
    const { send, jar } = page();
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
    const without = await send('PATCH', '/auth/me/profile', change);
    expect([without.status, without.json.error]).toEqual([403, 'csrf_validation_failed']);
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
      const answer = await callApi(server, 'GET', '/auth/me', { headers: { cookie: cookie.join('; ') } });
      expect(answer.status).toBe(401);
    }
  });

  it('is told that its token has expired by the refresh it may then ask for, and is at home again', async () => {
    const { email } = await server.account();
    const { send, jar } = page();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    jar.delete('cap_access'); // as a browser does when its time is over
    expect((await send('GET', '/auth/me')).json.error).toBe('no_auth');
    expect((await send('POST', '/auth/refresh')).status).toBe(200);
    expect((await send('GET', '/auth/me')).status).toBe(200);
  });

  it('logs out though its access token has expired, but not for another site', async () => {
    const { email } = await server.account();
    const { send, jar } = page();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    const cookie = `cap_refresh=${jar.get('cap_refresh')}`;
    jar.delete('cap_access');
    expect((await send('POST', '/auth/logout')).json.error).toBe('csrf_validation_failed');
    expect((await send('POST', '/auth/logout', undefined, jar.get('cap_csrf'))).status).toBe(200);
    expect(jar.size).toBe(0);
    const headers = { origin: server.issuer, cookie };
    expect((await callApi(server, 'POST', '/auth/refresh', { headers })).status).toBe(401);
  });

  it('loses the family when a refresh cookie is used twice', async () => {
    const { email } = await server.account();
    const { send, jar } = page();
    await send('POST', '/auth/login', { email, password: PASSWORD });
    const stolen = jar.get('cap_refresh')!;
    await send('POST', '/auth/refresh');
    await send('POST', '/auth/refresh');
    const headers = { origin: server.issuer, cookie: `cap_refresh=${stolen}` };
    expect((await callApi(server, 'POST', '/auth/refresh', { headers })).status).toBe(401);
    expect((await send('GET', '/auth/me')).status).toBe(401);
    expect((await send('POST', '/auth/refresh')).status).toBe(401);
  });
});
