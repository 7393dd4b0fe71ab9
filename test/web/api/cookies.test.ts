// The cookies of browser apps at the JSON API. csrf.test.ts covers their protection against
// cross-site requests.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { cookiesOf, logInWithCookies, type SetCookie } from '../../support/api-cookies.js';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, pkce } from '../../support/relying-party.js';
import { callApi, sendRequest, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };
const LISTED = 'https://app.example';
const INVALID_TOKEN = [401, 'invalid_token'];

let server: TestServer;
let email: string;
beforeAll(async () => {
  server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED } });
  email = (await server.account()).email;
});
afterAll(() => server.close());

const getMe = (headers: Record<string, string>) => callApi(server, 'GET', '/auth/me', { headers });
const refreshByCookie = (refreshToken: string, headers: Record<string, string> = SAME_ORIGIN) =>
  callApi(server, 'POST', '/auth/refresh', { headers: { cookie: `cap_refresh=${refreshToken}`, ...headers } });
const errorOf = ({ status, json }: TestResponse) => [status, json.error];

async function logInAsAnotherUser() {
  const other = await server.account();
  return logInWithCookies(server, other.email);
}

describe('a login at the JSON API', () => {
  it('sets cookies with SameSite=Strict and a narrow path, HttpOnly except for the CSRF token', async () => {
    const { set, response } = await logInWithCookies(server, email);
    expect(Object.fromEntries(set.map(({ name, attributes }) => [name, withoutExpiry(attributes)]))).toEqual({
      cap_access: { httponly: true, samesite: 'strict', path: '/' },
      cap_refresh: { httponly: true, samesite: 'strict', path: '/api/v1/auth' },
      cap_csrf: { samesite: 'strict', path: '/' },
    });
    expect(response.json.csrf_token).toBe(set.find(({ name }) => name === 'cap_csrf')!.value);
    expect(response.headers['cache-control']).toBe('no-store');
  });

  it('sets cookies that expire with their tokens', async () => {
    const { set } = await logInWithCookies(server, email);
    const inSeconds = Object.fromEntries(
      set.map(({ name, attributes }) => [name, (Date.parse(String(attributes.expires)) - Date.now()) / 1000]),
    );
    expect(inSeconds.cap_access).toBeCloseTo(15 * 60, -1);
    expect(inSeconds.cap_refresh).toBeCloseTo(7 * 86_400, -1);
    expect(inSeconds.cap_csrf).toBeCloseTo(7 * 86_400, -1);
  });

  it.each([
    ['Secure cookies for an https issuer', 'https://id.example', ['cap_access', 'cap_refresh', 'cap_csrf']],
    ['no cookies for an http issuer on another host', 'http://id.example', []],
  ])('sets %s', async (_case, issuer, names) => {
    const otherServer = await startServer({ settings: { ISSUER: issuer } });
    const account = await otherServer.account();
    const { set, response } = await logInWithCookies(otherServer, account.email);
    expect(response.status).toBe(200);
    expect(set.map(({ name }) => name)).toEqual(names);
    for (const { attributes } of set) expect(attributes.secure).toBe(true);
    await otherServer.close();
  });

  it('uses the cookie names of API_COOKIE_PREFIX only', async () => {
    const otherServer = await startServer({ settings: { API_COOKIE_PREFIX: 'acme' } });
    const account = await otherServer.account();
    const { set, access } = await logInWithCookies(otherServer, account.email);
    expect(set.map(({ name }) => name)).toEqual(['acme_access', 'acme_refresh', 'acme_csrf']);
    const statusWith = async (cookie: string) =>
      (await callApi(otherServer, 'GET', '/auth/me', { headers: { cookie } })).status;
    expect(await statusWith(`acme_access=${access}`)).toBe(200);
    expect(await statusWith(`cap_access=${access}`)).toBe(401);
    expect((await sendRequest(otherServer, 'GET', '/api/openapi.json')).text).toContain('acme_access');
    await otherServer.close();
  });

  it.each(['signet', 'a b', 'a;b', '__Hóst'])('rejects %s as API_COOKIE_PREFIX', (prefix) => {
    expect(() => readConfig({ API_COOKIE_PREFIX: prefix })).toThrow('API_COOKIE_PREFIX');
  });

  it.each([SAME_ORIGIN, { origin: LISTED, 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'none' }])(
    'sets cookies for a request with %o',
    async (headers) => {
      expect((await logInWithCookies(server, email, headers)).set).toHaveLength(3);
    },
  );

  it('returns tokens and sets no cookies for a request without origin headers', async () => {
    const { response, set } = await logInWithCookies(server, email, {});
    expect(response.status).toBe(200);
    expect(response.json).toMatchObject({ access_token: expect.any(String), csrf_token: expect.any(String) });
    expect(set).toEqual([]);
  });

  it.each([
    ['/auth/login-json', () => ({ email })],
    ['/auth/register', () => ({ email: `new-${Date.now()}@example.com` })],
  ])('sets no cookies at %s', async (path, fields) => {
    const body = { ...fields(), password: PASSWORD };
    const response = await callApi(server, 'POST', path, { headers: SAME_ORIGIN, body });
    expect(response.status).toBeLessThan(300);
    expect(response.cookies).toEqual([]);
  });
});

describe('the access cookie', () => {
  it('authenticates reads without a CSRF token', async () => {
    const { access } = await logInWithCookies(server, email);
    expect((await getMe({ cookie: `cap_access=${access}` })).status).toBe(200);
  });

  it('does not accept an API key', async () => {
    const { bearer } = await logInWithCookies(server, email);
    const created = await callApi(server, 'POST', '/api-keys', { headers: bearer, body: { name: 'CI' } });
    expect((await getMe({ 'x-api-key': String(created.json.api_key) })).status).toBe(200);
    expect(errorOf(await getMe({ cookie: `cap_access=${created.json.api_key}` }))).toEqual(INVALID_TOKEN);
  });

  it('is ignored if the request has a credential in a header', async () => {
    const { bearer } = await logInWithCookies(server, email);
    const other = await logInAsAnotherUser();
    const headers = { ...bearer, cookie: `cap_access=${other.access}; cap_csrf=${other.csrf}` };
    expect((await getMe(headers)).json.email).toBe(email);
    const body = { timezone: 'Europe/Vienna' };
    expect((await callApi(server, 'PATCH', '/auth/me/profile', { headers, body })).status).toBe(200);
  });

  it.each(['Bearer unknown', 'Basic amFuZTpzZWNyZXQ=', 'Bearer', 'x'])(
    'does not replace the invalid credential %s',
    async (authorization) => {
      const { access } = await logInWithCookies(server, email);
      const cookie = `cap_access=${access}`;
      expect(errorOf(await getMe({ authorization, cookie }))).toEqual(INVALID_TOKEN);
      expect(errorOf(await getMe({ 'x-api-key': 'unknown', cookie }))).toEqual(INVALID_TOKEN);
    },
  );
});

describe('a request with two credentials in headers', () => {
  it('is rejected for two Authorization headers, in any order', async () => {
    const { bearer } = await logInWithCookies(server, email);
    for (const authorization of [
      [bearer.authorization, 'Bearer unknown'],
      ['Bearer unknown', bearer.authorization],
      [bearer.authorization, bearer.authorization],
    ]) {
      const response = await sendRequest(server, 'GET', '/api/v1/auth/me', { authorization });
      expect(errorOf(response)).toEqual(INVALID_TOKEN);
    }
  });

  it('is accepted only if Authorization and X-API-Key are equal', async () => {
    const [first, second] = [await logInWithCookies(server, email), await logInWithCookies(server, email)];
    const tokenOf = ({ response }: typeof first) => String(response.json.access_token);
    expect(errorOf(await getMe({ ...first.bearer, 'x-api-key': tokenOf(second) }))).toEqual(INVALID_TOKEN);
    expect((await getMe({ ...first.bearer, 'x-api-key': tokenOf(first) })).status).toBe(200);
  });
});

describe('the refresh cookie', () => {
  it('is rotated, and its reuse revokes the session', async () => {
    const { refresh } = await logInWithCookies(server, email);
    const refreshed = cookiesOf(await refreshByCookie(refresh));
    const cookieValue = (name: string) => refreshed.find((cookie) => cookie.name === name)!.value;
    expect((await refreshByCookie(cookieValue('cap_refresh'))).status).toBe(200);
    // The successor was used, so this is reuse and not a retry.
    expect(errorOf(await refreshByCookie(refresh))).toEqual(INVALID_TOKEN);
    expect((await getMe({ cookie: `cap_access=${cookieValue('cap_access')}` })).status).toBe(401);
  });

  it('yields tokens and no cookies for a request without origin headers', async () => {
    const { refresh } = await logInWithCookies(server, email);
    const response = await refreshByCookie(refresh, {});
    expect(response.json).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) });
    expect(response.cookies).toEqual([]);
  });

  it('is not interchangeable with the access cookie', async () => {
    const { access, refresh } = await logInWithCookies(server, email);
    expect(errorOf(await getMe({ cookie: `cap_access=${refresh}` }))).toEqual(INVALID_TOKEN);
    expect(errorOf(await refreshByCookie(access))).toEqual(INVALID_TOKEN);
  });

  it('is ignored if the body or a header contains a token', async () => {
    const { refresh, bearer } = await logInWithCookies(server, email);
    const other = await logInAsAnotherUser();
    const headers = { cookie: `cap_refresh=${other.refresh}`, ...SAME_ORIGIN };
    const byBody = await callApi(server, 'POST', '/auth/refresh', { headers, body: { refreshToken: refresh } });
    expect(byBody.json.email).toBe(email);
    const byHeader = await callApi(server, 'POST', '/auth/refresh', { headers: { ...headers, ...bearer } });
    expect(Object.keys(byHeader.json).sort()).toEqual(['access_token', 'expires_in', 'token', 'token_type']);
    for (const { cookies } of [byBody, byHeader]) expect(cookies).toEqual([]);
  });
});

describe('a logout at the JSON API', () => {
  it('deletes the cookies and revokes their tokens', async () => {
    const { access, refresh, csrf } = await logInWithCookies(server, email);
    const cookie = `cap_access=${access}; cap_refresh=${refresh}; cap_csrf=${csrf}`;
    const response = await callApi(server, 'POST', '/auth/logout', { headers: { cookie, 'x-csrf-token': csrf } });
    expect(response.json).toMatchObject({ ok: true, message: expect.any(String) });
    const deleted = cookiesOf(response);
    expect(deleted.map(({ name }) => name).sort()).toEqual(['cap_access', 'cap_csrf', 'cap_refresh']);
    for (const { value, attributes } of deleted) {
      expect(value).toBe('');
      expect(Date.parse(String(attributes.expires))).toBeLessThan(Date.now());
    }
    expect(deleted.find(({ name }) => name === 'cap_refresh')!.attributes.path).toBe('/api/v1/auth');
    expect((await getMe({ cookie })).status).toBe(401);
    expect(errorOf(await refreshByCookie(refresh))).toEqual(INVALID_TOKEN);
  });
});

describe('the sessions of the API and of the pages', () => {
  it('are separate: cookies of the API do not sign in to the pages', async () => {
    const { access, refresh, csrf } = await logInWithCookies(server, email);
    const client = await server.client();
    const browser = new Browser(server.origin);
    for (const [name, value] of Object.entries({
      cap_access: access,
      cap_refresh: refresh,
      cap_csrf: csrf,
      signet_login: access,
    }))
      browser.cookies.set(name, { value, path: '/' });
    const page = await browser.open(authorizeUrl(server, client, pkce().challenge));
    expect(page.url.pathname).toBe('/login');
    expect((await browser.open('/account')).url.pathname).toBe('/login');
  });

  it('are separate: the cookie of the pages does not authenticate API requests', async () => {
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const login = browser.cookies.get('signet_login')!.value;
    expect([...browser.cookies.keys()].filter((name) => name.startsWith('cap_'))).toEqual([]);
    const attempts: Record<string, string>[] = [
      { cookie: `signet_login=${login}` },
      { cookie: `cap_access=${login}` },
      { authorization: `Bearer ${login}` },
    ];
    for (const headers of attempts) expect((await getMe(headers)).status).toBe(401);
  });
});

function withoutExpiry({ expires: _expires, 'max-age': _maxAge, ...rest }: SetCookie['attributes']) {
  return rest;
}
