// Cross-site requests with the cookies of the JSON API.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cookiesOf, logInWithCookies } from '../../support/api-cookies.js';
import { callApi, postForm, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };
const LISTED = 'https://app.example';
const EVIL = 'https://evil.example';
const PROFILE = '/auth/me/profile';
const CSRF_ERROR = [403, 'csrf_validation_failed'];
const INVALID_TOKEN = [401, 'invalid_token'];

/** The headers that a browser would send from a page that is not allowed to use the cookies. */
const CROSS_SITE: Record<string, Record<string, string>> = {
  'an unlisted origin': { origin: EVIL, 'sec-fetch-site': 'cross-site' },
  'an unlisted origin without Fetch Metadata': { origin: EVIL },
  'another site without Origin': { 'sec-fetch-site': 'cross-site' },
  'an unlisted origin of the same site': { origin: 'http://localhost:1', 'sec-fetch-site': 'same-site' },
  'the same site without Origin': { 'sec-fetch-site': 'same-site' },
  'a sandboxed frame': { origin: 'null', 'sec-fetch-site': 'cross-site' },
  'an opaque origin': { origin: 'null' },
  'an origin that starts like a listed one': { origin: `${LISTED}.evil.example`, 'sec-fetch-site': 'cross-site' },
  'a listed host over http': { origin: LISTED.replace('https', 'http'), 'sec-fetch-site': 'cross-site' },
  'a listed host on another port': { origin: `${LISTED}:8443`, 'sec-fetch-site': 'cross-site' },
};

let server: TestServer;
let email: string;
beforeAll(async () => {
  server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED } });
  email = (await server.account()).email;
});
afterAll(() => server.close());

const getMe = (headers: Record<string, string>) => callApi(server, 'GET', '/auth/me', { headers });
const changeProfile = (headers: Record<string, string>) =>
  callApi(server, 'PATCH', PROFILE, { headers, body: { timezone: 'Europe/Vienna' } });
const refresh = (headers: Record<string, string>) => callApi(server, 'POST', '/auth/refresh', { headers });
const errorOf = ({ status, json }: TestResponse) => [status, json.error];

describe.each(Object.entries(CROSS_SITE))('a request from %s', (_origin, headers) => {
  it('cannot log in, neither with JSON nor with a form', async () => {
    const fields = { email, password: PASSWORD };
    for (const response of [
      await callApi(server, 'POST', '/auth/login', { headers, body: fields }),
      await postForm(server, '/api/v1/auth/login', fields, { headers }),
    ]) {
      expect(errorOf(response)).toEqual(CSRF_ERROR);
      expect(response.cookies).toEqual([]);
      expect(response.text).not.toContain('access_token');
    }
  });

  it('does not consume the refresh token', async () => {
    const login = await logInWithCookies(server, email);
    const cookie = `cap_refresh=${login.refresh}`;
    const rejected = await refresh({ cookie, ...headers });
    expect(errorOf(rejected)).toEqual(CSRF_ERROR);
    expect(rejected.cookies).toEqual([]);
    expect((await refresh({ cookie, ...SAME_ORIGIN })).status).toBe(200);
  });

  it('cannot change anything without the X-CSRF-Token header', async () => {
    const { access, csrf } = await logInWithCookies(server, email);
    const cookie = `cap_access=${access}; cap_csrf=${csrf}`;
    for (const [method, path] of [
      ['PATCH', PROFILE],
      ['POST', '/auth/logout'],
      ['DELETE', '/auth/sessions'],
    ] as const) {
      expect(errorOf(await callApi(server, method, path, { headers: { cookie, ...headers } }))).toEqual(CSRF_ERROR);
    }
    expect((await getMe({ cookie })).status).toBe(200);
  });
});

describe('the CSRF token', () => {
  it('allows a change that is authenticated by a cookie', async () => {
    const { access, csrf } = await logInWithCookies(server, email);
    const cookie = `cap_access=${access}; cap_csrf=${csrf}`;
    const changed = await changeProfile({ cookie, 'x-csrf-token': csrf });
    expect([changed.status, changed.json.timezone]).toEqual([200, 'Europe/Vienna']);
  });

  it('stays the same after a refresh, so that other tabs can continue', async () => {
    const login = await logInWithCookies(server, email);
    const refreshed = await refresh({ cookie: `cap_refresh=${login.refresh}`, ...SAME_ORIGIN });
    expect(Object.keys(refreshed.json).sort()).toEqual(['csrf_token', 'user']);
    expect(refreshed.json.csrf_token).toBe(login.csrf);
    const access = cookiesOf(refreshed).find(({ name }) => name === 'cap_access')!.value;
    const cookie = `cap_access=${access}; cap_csrf=${login.csrf}`;
    expect((await changeProfile({ cookie, 'x-csrf-token': login.csrf })).status).toBe(200);
  });

  it('is rejected if it is missing, only in the cookie or the header, or altered', async () => {
    const { access, csrf } = await logInWithCookies(server, email);
    const altered = (csrf.startsWith('A') ? 'B' : 'A') + csrf.slice(1);
    const [accessCookie, bothCookies] = [`cap_access=${access}`, `cap_access=${access}; cap_csrf=${csrf}`];
    const attempts: Record<string, string>[] = [
      { cookie: accessCookie },
      { cookie: bothCookies },
      { cookie: accessCookie, 'x-csrf-token': csrf },
      { cookie: bothCookies, 'x-csrf-token': '' },
      { cookie: bothCookies, 'x-csrf-token': altered },
      { cookie: bothCookies, 'x-csrf-token': csrf.slice(0, -1) },
      { cookie: bothCookies, 'x-csrf-token': `${csrf}, ${csrf}` },
      { cookie: `${accessCookie}; cap_csrf=`, 'x-csrf-token': '' },
      { cookie: `${accessCookie}; cap_csrf=undefined`, 'x-csrf-token': 'undefined' },
      { cookie: `${accessCookie}; cap_csrf=${altered}`, 'x-csrf-token': csrf },
    ];
    for (const headers of attempts)
      expect(errorOf(await changeProfile(headers)), JSON.stringify(headers)).toEqual(CSRF_ERROR);
  });

  it('of another session is rejected, even if an attacker has set it as the cookie too', async () => {
    const own = await logInWithCookies(server, email);
    const otherSession = await logInWithCookies(server, email);
    const otherUser = await logInWithCookies(server, (await server.account()).email);
    for (const { csrf } of [otherUser, otherSession]) {
      const cookie = `cap_access=${own.access}; cap_csrf=${csrf}`;
      expect(errorOf(await changeProfile({ cookie, 'x-csrf-token': csrf }))).toEqual(CSRF_ERROR);
    }
  });

  it('of an ended session is rejected, also for a new session', async () => {
    const old = await logInWithCookies(server, email);
    const oldHeaders = { cookie: `cap_access=${old.access}; cap_csrf=${old.csrf}`, 'x-csrf-token': old.csrf };
    expect((await callApi(server, 'POST', '/auth/logout', { headers: oldHeaders })).status).toBe(200);
    expect(errorOf(await changeProfile(oldHeaders))).toEqual(INVALID_TOKEN);
    const { access } = await logInWithCookies(server, email);
    const mixedHeaders = { cookie: `cap_access=${access}; cap_csrf=${old.csrf}`, 'x-csrf-token': old.csrf };
    expect(errorOf(await changeProfile(mixedHeaders))).toEqual(CSRF_ERROR);
  });

  it('is not a credential', async () => {
    const { csrf } = await logInWithCookies(server, email);
    const headers = { cookie: `cap_csrf=${csrf}`, 'x-csrf-token': csrf };
    expect(errorOf(await changeProfile(headers))).toEqual([401, 'no_auth']);
    expect(errorOf(await getMe({ authorization: `Bearer ${csrf}` }))).toEqual(INVALID_TOKEN);
  });
});
