import { callApi } from '../../support/request.js';
// The cookies of browser apps, each rule of them attacked.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { cookiesOf, logInWithCookies, type SetCookie } from '../../support/api-cookies.js';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, pkce } from '../../support/relying-party.js';
import { FORM, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };
const LISTED = 'https://app.example';
const EVIL = 'https://evil.example';
const PROFILE = '/auth/me/profile';
const patch = { timezone: 'Europe/Vienna' };

/** What a browser of a foreign page would say, if it let the request out at all. */
const FOREIGN: Record<string, Record<string, string>> = {
  'a foreign origin': { origin: EVIL, 'sec-fetch-site': 'cross-site' },
  'a foreign origin, told by an old browser': { origin: EVIL },
  'a foreign page, told by a browser that sends no Origin': { 'sec-fetch-site': 'cross-site' },
  'another origin of the same site that is not listed': { origin: 'http://localhost:1', 'sec-fetch-site': 'same-site' },
  'the same site without an Origin': { 'sec-fetch-site': 'same-site' },
  'a sandboxed frame': { origin: 'null', 'sec-fetch-site': 'cross-site' },
  'an origin that nobody names': { origin: 'null' },
  'an origin that begins like a listed one': { origin: `${LISTED}.evil.example`, 'sec-fetch-site': 'cross-site' },
  'a listed host by http': { origin: LISTED.replace('https', 'http'), 'sec-fetch-site': 'cross-site' },
  'a listed origin on another port': { origin: `${LISTED}:8443`, 'sec-fetch-site': 'cross-site' },
};

describe('the cookies of browser apps', () => {
  let server: TestServer;
  let email: string;
  beforeAll(async () => {
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED } });
    email = (await server.account()).email;
  });
  afterAll(() => server.close());

  const me = (headers: Record<string, string>) => callApi(server, 'GET', '/auth/me', { headers });
  const change = (headers: Record<string, string>) => callApi(server, 'PATCH', PROFILE, { headers, body: patch });
  const isAlive = async (headers: Record<string, string>) => (await me(headers)).status === 200;
  const refusal = ({ status, json }: { status: number; json: Record<string, unknown> }) => [status, json.error];
  const NO_CSRF = [403, 'csrf_validation_failed'];

  describe('as they are set', () => {
    it('say what the contract says: HttpOnly but for one, SameSite=Strict, as narrow as can be', async () => {
      const { set, response } = await logInWithCookies(server, email);
      expect(Object.fromEntries(set.map(({ name, attributes }) => [name, shapeOf(attributes)]))).toEqual({
        cap_access: { httponly: true, samesite: 'strict', path: '/' },
        cap_refresh: { httponly: true, samesite: 'strict', path: '/api/v1/auth' },
        cap_csrf: { samesite: 'strict', path: '/' },
      });
      expect(response.json.csrf_token).toBe(set.find(({ name }) => name === 'cap_csrf')!.value);
      expect(response.headers['cache-control']).toBe('no-store');
    });

    it('live as long as what they hold', async () => {
      const { set } = await logInWithCookies(server, email);
      const inSeconds = Object.fromEntries(
        set.map(({ name, attributes }) => [name, (Date.parse(String(attributes.expires)) - Date.now()) / 1000]),
      );
      expect(inSeconds.cap_access).toBeCloseTo(15 * 60, -1);
      expect(inSeconds.cap_refresh).toBeCloseTo(7 * 86_400, -1);
      expect(inSeconds.cap_csrf).toBeCloseTo(7 * 86_400, -1);
    });

    it('have Secure where the issuer has https, and there is none where http leaves this machine', async () => {
      for (const [issuer, names] of [
        ['https://id.example', ['cap_access', 'cap_refresh', 'cap_csrf']],
        ['http://id.example', []],
      ] as const) {
        const other = await startServer({ settings: { ISSUER: issuer } });
        const { email: there } = await other.account();
        const { set, response } = await logInWithCookies(other, there);
        expect(response.status).toBe(200);
        expect(set.map(({ name }) => name)).toEqual(names);
        for (const { attributes } of set) expect(attributes.secure).toBe(true);
        await other.close();
      }
    });

    it('are named after API_COOKIE_PREFIX, and no other name will do then', async () => {
      const other = await startServer({ settings: { API_COOKIE_PREFIX: 'acme' } });
      const { email: there } = await other.account();
      const { set, access } = await logInWithCookies(other, there);
      expect(set.map(({ name }) => name)).toEqual(['acme_access', 'acme_refresh', 'acme_csrf']);
      expect((await callApi(other, 'GET', '/auth/me', { headers: { cookie: `acme_access=${access}` } })).status).toBe(
        200,
      );
      expect((await callApi(other, 'GET', '/auth/me', { headers: { cookie: `cap_access=${access}` } })).status).toBe(
        401,
      );
      const { text } = await sendRequest(other, 'GET', '/api/openapi.json');
      expect(text).toContain('acme_access');
      await other.close();
    });

    it('are never named like those of the pages', () => {
      for (const prefix of ['signet', 'a b', 'a;b', '__Hóst'])
        expect(() => readConfig({ API_COOKIE_PREFIX: prefix }), prefix).toThrow('API_COOKIE_PREFIX');
    });

    it.each([SAME_ORIGIN, { origin: LISTED, 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'none' }])(
      'are for pages of ours and of listed origins: %o',
      async (headers) => {
        expect((await logInWithCookies(server, email, headers)).set).toHaveLength(3);
      },
    );

    it('are not for a program that says nothing of where it comes from: it gets its tokens', async () => {
      const { response, set } = await logInWithCookies(server, email, {});
      expect(response.status).toBe(200);
      expect(response.json).toMatchObject({ access_token: expect.any(String), csrf_token: expect.any(String) });
      expect(set).toEqual([]);
    });

    it.each(['/auth/login-json', '/auth/register'])('are set by no other way in: %s', async (path) => {
      const body = path.endsWith('register') ? { email: `new-${Date.now()}@example.com` } : { email };
      const response = await callApi(server, 'POST', path, {
        headers: SAME_ORIGIN,
        body: { ...body, password: PASSWORD },
      });
      expect(response.status).toBeLessThan(300);
      expect(response.cookies).toEqual([]);
    });
  });

  describe.each(Object.entries(FOREIGN))('from %s', (_name, headers) => {
    it('nobody is signed in, by JSON or by a form', async () => {
      const fields = { email, password: PASSWORD };
      const json = await callApi(server, 'POST', '/auth/login', { headers, body: fields });
      const form = await sendRequest(
        server,
        'POST',
        '/api/v1/auth/login',
        { 'content-type': FORM, ...headers },
        `${new URLSearchParams(fields)}`,
      );
      for (const response of [json, form]) {
        expect(refusal(response)).toEqual(NO_CSRF);
        expect(response.cookies).toEqual([]);
        expect(response.text).not.toContain('access_token');
      }
    });

    it('no refresh token is spent', async () => {
      const { refresh } = await logInWithCookies(server, email);
      const cookie = `cap_refresh=${refresh}`;
      const refused = await callApi(server, 'POST', '/auth/refresh', { headers: { cookie, ...headers } });
      expect(refusal(refused)).toEqual(NO_CSRF);
      expect(refused.cookies).toEqual([]);
      expect((await callApi(server, 'POST', '/auth/refresh', { headers: { cookie, ...SAME_ORIGIN } })).status).toBe(
        200,
      );
    });

    it('nothing is changed by cookie alone', async () => {
      const { access, csrf } = await logInWithCookies(server, email);
      const cookie = `cap_access=${access}; cap_csrf=${csrf}`;
      for (const [method, path] of [
        ['PATCH', PROFILE],
        ['POST', '/auth/logout'],
        ['DELETE', '/auth/sessions'],
      ] as const) {
        expect(refusal(await callApi(server, method, path, { headers: { cookie, ...headers } }))).toEqual(NO_CSRF);
      }
      expect(await isAlive({ cookie })).toBe(true);
    });
  });

  describe('the CSRF token', () => {
    it('lets a change by cookie through; reading needs none', async () => {
      const { access, csrf } = await logInWithCookies(server, email);
      const cookie = `cap_access=${access}; cap_csrf=${csrf}`;
      expect((await me({ cookie: `cap_access=${access}` })).status).toBe(200);
      const changed = await change({ cookie, 'x-csrf-token': csrf });
      expect([changed.status, changed.json.timezone]).toEqual([200, 'Europe/Vienna']);
    });

    it('is for the token of a login: a key in the cookie is refused, also where nothing is changed', async () => {
      const { bearer } = await logInWithCookies(server, email);
      const headers = { ...bearer, 'content-type': 'application/json' };
      const made = await sendRequest(server, 'POST', '/api/v1/api-keys', headers, JSON.stringify({ name: 'K' }));
      expect((await me({ 'x-api-key': String(made.json.api_key) })).status).toBe(200);
      expect(refusal(await me({ cookie: `cap_access=${made.json.api_key}` }))).toEqual([401, 'invalid_token']);
    });

    it('stays the same when the cookies are refreshed, so that no other tab is shut out', async () => {
      const { refresh, csrf } = await logInWithCookies(server, email);
      const refreshed = await callApi(server, 'POST', '/auth/refresh', {
        headers: {
          cookie: `cap_refresh=${refresh}`,
          ...SAME_ORIGIN,
        },
      });
      expect(Object.keys(refreshed.json).sort()).toEqual(['csrf_token', 'user']);
      expect(refreshed.json.csrf_token).toBe(csrf);
      const set = cookiesOf(refreshed);
      const access = set.find(({ name }) => name === 'cap_access')!.value;
      const cookie = `cap_access=${access}; cap_csrf=${csrf}`;
      expect((await change({ cookie, 'x-csrf-token': csrf })).status).toBe(200);
    });

    it('is refused when it is missing, in one place only, or altered', async () => {
      const { access, csrf } = await logInWithCookies(server, email);
      const flipped = (csrf.startsWith('A') ? 'B' : 'A') + csrf.slice(1);
      const [login, both] = [`cap_access=${access}`, `cap_access=${access}; cap_csrf=${csrf}`];
      const attempts: Record<string, string>[] = [
        { cookie: login },
        { cookie: both },
        { cookie: login, 'x-csrf-token': csrf },
        { cookie: both, 'x-csrf-token': '' },
        { cookie: both, 'x-csrf-token': flipped },
        { cookie: both, 'x-csrf-token': csrf.slice(0, -1) },
        { cookie: both, 'x-csrf-token': `${csrf}, ${csrf}` },
        { cookie: `${login}; cap_csrf=`, 'x-csrf-token': '' },
        { cookie: `${login}; cap_csrf=undefined`, 'x-csrf-token': 'undefined' },
        { cookie: `${login}; cap_csrf=${flipped}`, 'x-csrf-token': csrf },
      ];
      for (const headers of attempts) expect(refusal(await change(headers)), JSON.stringify(headers)).toEqual(NO_CSRF);
    });

    it('of another login is refused, even where somebody planted it in both places', async () => {
      const mine = await logInWithCookies(server, email);
      const other = await logInWithCookies(server, (await server.account()).email);
      const second = await logInWithCookies(server, email);
      for (const { csrf } of [other, second]) {
        const cookie = `cap_access=${mine.access}; cap_csrf=${csrf}`;
        expect(refusal(await change({ cookie, 'x-csrf-token': csrf }))).toEqual(NO_CSRF);
      }
    });

    it('of a login that ended helps neither the old login nor a new one', async () => {
      const old = await logInWithCookies(server, email);
      const cookie = `cap_access=${old.access}; cap_csrf=${old.csrf}`;
      expect(
        (await callApi(server, 'POST', '/auth/logout', { headers: { cookie, 'x-csrf-token': old.csrf } })).status,
      ).toBe(200);
      expect(refusal(await change({ cookie, 'x-csrf-token': old.csrf }))).toEqual([401, 'invalid_token']);
      const { access } = await logInWithCookies(server, email);
      const mixed = { cookie: `cap_access=${access}; cap_csrf=${old.csrf}`, 'x-csrf-token': old.csrf };
      expect(refusal(await change(mixed))).toEqual(NO_CSRF);
    });

    it('is worth nothing by itself', async () => {
      const { csrf } = await logInWithCookies(server, email);
      expect(refusal(await change({ cookie: `cap_csrf=${csrf}`, 'x-csrf-token': csrf }))).toEqual([401, 'no_auth']);
      expect(refusal(await me({ authorization: `Bearer ${csrf}` }))).toEqual([401, 'invalid_token']);
    });
  });

  describe('beside a credential in a header', () => {
    it('are not looked at: what the header says is done, without a CSRF token', async () => {
      const [mine, other] = [
        await logInWithCookies(server, email),
        await logInWithCookies(server, (await server.account()).email),
      ];
      const headers = { ...mine.bearer, cookie: `cap_access=${other.access}; cap_csrf=${other.csrf}` };
      expect((await me(headers)).json.email).toBe(email);
      expect((await change(headers)).status).toBe(200);
    });

    it.each(['Bearer unknown', 'Basic amFuZTpzZWNyZXQ=', 'Bearer', 'x'])(
      'do not help a header that is none: %s',
      async (authorization) => {
        const { access } = await logInWithCookies(server, email);
        const cookie = `cap_access=${access}`;
        expect(refusal(await me({ authorization, cookie }))).toEqual([401, 'invalid_token']);
        expect(refusal(await me({ 'x-api-key': 'unknown', cookie }))).toEqual([401, 'invalid_token']);
      },
    );

    it('two of one name are refused, whichever comes first', async () => {
      const { bearer } = await logInWithCookies(server, email);
      for (const authorization of [
        [bearer.authorization, 'Bearer unknown'],
        ['Bearer unknown', bearer.authorization],
        [bearer.authorization, bearer.authorization],
      ]) {
        const response = await sendRequest(server, 'GET', '/api/v1/auth/me', { authorization });
        expect(refusal(response)).toEqual([401, 'invalid_token']);
      }
    });

    it('two headers that differ are refused, two that agree are one', async () => {
      const [a, b] = [await logInWithCookies(server, email), await logInWithCookies(server, email)];
      const key = (login: typeof a) => String(login.response.json.access_token);
      expect(refusal(await me({ ...a.bearer, 'x-api-key': key(b) }))).toEqual([401, 'invalid_token']);
      expect((await me({ ...a.bearer, 'x-api-key': key(a) })).status).toBe(200);
    });
  });

  describe('the refresh cookie', () => {
    it('rotates, and its second use past the retry ends the login', async () => {
      const { refresh } = await logInWithCookies(server, email);
      const again = (token: string) =>
        callApi(server, 'POST', '/auth/refresh', { headers: { cookie: `cap_refresh=${token}`, ...SAME_ORIGIN } });
      const refreshed = cookiesOf(await again(refresh));
      const next = (name: string) => refreshed.find((cookie) => cookie.name === name)!.value;
      expect((await again(next('cap_refresh'))).status).toBe(200);
      expect(refusal(await again(refresh))).toEqual([401, 'invalid_token']); // its successor was used: this is theft
      expect(await isAlive({ cookie: `cap_access=${next('cap_access')}` })).toBe(false);
    });

    it('gives a program that says nothing of where it comes from its tokens, and no cookies', async () => {
      const { refresh } = await logInWithCookies(server, email);
      const response = await callApi(server, 'POST', '/auth/refresh', {
        headers: { cookie: `cap_refresh=${refresh}` },
      });
      expect(response.json).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) });
      expect(response.cookies).toEqual([]);
    });

    it('is no access token, and an access token is none for refreshing', async () => {
      const { access, refresh } = await logInWithCookies(server, email);
      expect(refusal(await me({ cookie: `cap_access=${refresh}` }))).toEqual([401, 'invalid_token']);
      const response = await callApi(server, 'POST', '/auth/refresh', {
        headers: {
          cookie: `cap_refresh=${access}`,
          ...SAME_ORIGIN,
        },
      });
      expect(refusal(response)).toEqual([401, 'invalid_token']);
    });

    it('comes last: a token in the body or in a header is taken instead', async () => {
      const [mine, other] = [
        await logInWithCookies(server, email),
        await logInWithCookies(server, (await server.account()).email),
      ];
      const cookie = `cap_refresh=${other.refresh}`;
      const byBody = await callApi(server, 'POST', '/auth/refresh', {
        headers: { cookie, ...SAME_ORIGIN },
        body: { refreshToken: mine.refresh },
      });
      expect(byBody.json.email).toBe(email);
      const byHeader = await callApi(server, 'POST', '/auth/refresh', {
        headers: { cookie, ...SAME_ORIGIN, ...mine.bearer },
      });
      expect(Object.keys(byHeader.json).sort()).toEqual(['access_token', 'expires_in', 'token', 'token_type']);
      for (const { cookies } of [byBody, byHeader]) expect(cookies).toEqual([]);
    });
  });

  it('are all cleared by logging out, and refused from then on', async () => {
    const { access, refresh, csrf } = await logInWithCookies(server, email);
    const cookie = `cap_access=${access}; cap_refresh=${refresh}; cap_csrf=${csrf}`;
    const response = await callApi(server, 'POST', '/auth/logout', { headers: { cookie, 'x-csrf-token': csrf } });
    expect(response.json).toMatchObject({ ok: true, message: expect.any(String) });
    const cleared = cookiesOf(response);
    expect(cleared.map(({ name }) => name).sort()).toEqual(['cap_access', 'cap_csrf', 'cap_refresh']);
    for (const { value, attributes } of cleared) {
      expect(value).toBe('');
      expect(Date.parse(String(attributes.expires))).toBeLessThan(Date.now());
    }
    expect(cleared.find(({ name }) => name === 'cap_refresh')!.attributes.path).toBe('/api/v1/auth');
    expect(await isAlive({ cookie })).toBe(false);
    const refreshed = await callApi(server, 'POST', '/auth/refresh', { headers: { cookie, ...SAME_ORIGIN } });
    expect(refusal(refreshed)).toEqual([401, 'invalid_token']);
  });

  describe('and the pages', () => {
    it('do not know each other: the API signs nobody in there', async () => {
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

    it('do not know each other: a page signs nobody in at the API', async () => {
      const browser = new Browser(server.origin);
      await browser.signIn(email, PASSWORD);
      const login = browser.cookies.get('signet_login')!.value;
      expect([...browser.cookies.keys()].filter((name) => name.startsWith('cap_'))).toEqual([]);
      const attempts: Record<string, string>[] = [
        { cookie: `signet_login=${login}` },
        { cookie: `cap_access=${login}` },
        { authorization: `Bearer ${login}` },
      ];
      for (const headers of attempts) expect((await me(headers)).status).toBe(401);
    });
  });
});

/** Without what depends on the clock. */
function shapeOf({ expires: _expires, 'max-age': _maxAge, ...rest }: SetCookie['attributes']) {
  return rest;
}
