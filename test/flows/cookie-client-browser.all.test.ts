// Browser clients of the JSON API in Chromium: cookies, CSRF tokens and CORS, from the server's own
// origin and from an allowed one. And attacks from pages of other origins.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { type HttpServer, openHttpServer } from '../support/http-server.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

/** The part of a response that a script of the page reads. */
interface ReadableResponse {
  status: number;
  json: Record<string, unknown>;
}

interface RequestOptions {
  body?: object;
  headers?: Record<string, string>;
  mode?: RequestMode;
}

const UNREADABLE = 'unreadable';
const PROFILE = '/auth/me/profile';
/** A page whose Content Security Policy allows requests to its own origin. */
const OWN_PAGE = '/docs/api';
const COOKIE_ATTRIBUTES = {
  cap_access: { path: '/', httpOnly: true, secure: false, sameSite: 'Strict', domain: 'localhost' },
  cap_refresh: { path: '/api/v1/auth', httpOnly: true, secure: false, sameSite: 'Strict', domain: 'localhost' },
  cap_csrf: { path: '/', httpOnly: false, secure: false, sameSite: 'Strict', domain: 'localhost' },
};

describe('a browser client of the JSON API', () => {
  let server: TestServer;
  let allowedApp: HttpServer;
  let attackerApp: HttpServer;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];
  let email: string;

  beforeAll(async () => {
    [allowedApp, attackerApp] = await Promise.all([openEmptyPages(), openEmptyPages()]);
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: allowedApp.origin } });
    browser = await launchChromium();
  });
  beforeEach(async () => {
    ({ context, complaints } = await openContext(browser));
    ({ email } = await server.account());
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await allowedApp.close();
    await attackerApp.close();
  });

  const openEmptyPages = () =>
    openHttpServer((_req, res) => res.setHeader('content-type', 'text/html').end('<!doctype html><title>App</title>'));

  async function openPage(address: string): Promise<Page> {
    const page = await context.newPage();
    await page.goto(address);
    return page;
  }

  /** Sends a request to the API by a script of the page, with the cookies of the browser. */
  function send(page: Page, method: string, path: string, { body, headers = {}, mode = 'cors' }: RequestOptions = {}) {
    return page.evaluate(
      async ({ url, options, unreadable }) => {
        try {
          const response = await fetch(url, { ...options, credentials: 'include' });
          return response.type === 'opaque' ? unreadable : { status: response.status, json: await response.json() };
        } catch {
          return unreadable;
        }
      },
      {
        url: `${server.issuer}/api/v1${path}`,
        options: {
          method,
          mode,
          headers: { ...(body && mode === 'cors' && { 'content-type': 'application/json' }), ...headers },
          ...(body && { body: JSON.stringify(body) }),
        },
        unreadable: UNREADABLE,
      },
    ) as Promise<ReadableResponse | typeof UNREADABLE>;
  }

  async function read(...[page, method, path, sent]: Parameters<typeof send>): Promise<ReadableResponse> {
    const response = await send(page, method, path, sent);
    if (response === UNREADABLE) throw new Error(`the page cannot read ${method} ${path}: ${complaints.join('\n')}`);
    return response as ReadableResponse;
  }

  const logIn = (page: Page) => read(page, 'POST', '/auth/login', { body: { email, password: PASSWORD } });
  const cookiesOfScript = (page: Page) => page.evaluate(() => document.cookie);
  const withCsrf = (token: unknown) => ({ headers: { 'x-csrf-token': String(token) } });

  async function cookies() {
    const all = await context.cookies(`${server.issuer}/api/v1/auth/refresh`);
    return Object.fromEntries(all.map((cookie) => [cookie.name, cookie]));
  }

  /** Submits a form of the page to the API. Returns the status of the response. */
  async function submit(page: Page, path: string, fields: Record<string, string>, enctype = '') {
    const response = page.waitForResponse((candidate) => candidate.url().endsWith(path));
    await page.evaluate(
      ([action, members, type]) => {
        const form = Object.assign(document.createElement('form'), { action, method: 'post', enctype: type });
        for (const [name, value] of Object.entries(members))
          form.append(Object.assign(document.createElement('input'), { name, value }));
        document.body.append(form);
        form.submit();
      },
      [`${server.issuer}/api/v1${path}`, fields, enctype] as const,
    );
    const status = (await response).status();
    await page.waitForURL(`${server.issuer}/**`);
    return status;
  }

  /** Returns the requests that reached the server on a path, as `POST 200`, with preflights. */
  const receivedRequests = (path: string) =>
    server.lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line.path === `/api/v1${path}`)
      .map(({ method, status }) => `${method} ${status}`);

  describe.each([
    { from: 'the origin of the server', address: () => server.issuer + OWN_PAGE },
    { from: 'an allowed origin on the same site', address: () => allowedApp.origin },
  ])('from $from', ({ address }) => {
    it('signs in with three cookies, of which scripts can read only the CSRF token', async () => {
      const page = await openPage(address());
      const login = await logIn(page);
      expect(login).toMatchObject({ status: 200, json: { user: { email } } });
      expect(await cookies()).toMatchObject(COOKIE_ATTRIBUTES);
      expect(Object.keys(await cookies())).toHaveLength(3);
      expect(await cookiesOfScript(page)).toBe(`cap_csrf=${login.json.csrf_token}`);
      expect((await read(page, 'GET', '/auth/me')).json).toMatchObject({ email });
      expect(complaints).toEqual([]);
    });

    it('needs the CSRF token for a change, read from the cookie or from the response', async () => {
      const page = await openPage(address());
      const { csrf_token: fromResponse } = (await logIn(page)).json;
      const body = { timezone: 'Europe/Vienna' };
      for (const headers of [{}, withCsrf('x').headers, withCsrf(`${fromResponse}x`).headers]) {
        const { status, json } = await read(page, 'PATCH', PROFILE, { body, headers });
        expect([status, json.error]).toEqual([403, 'csrf_validation_failed']);
      }
      const fromCookie = (await cookiesOfScript(page)).split('=')[1];
      for (const token of [fromCookie, fromResponse]) {
        const { status, json } = await read(page, 'PATCH', PROFILE, { body, ...withCsrf(token) });
        expect([status, json.timezone]).toEqual([200, 'Europe/Vienna']);
      }
    });

    it('refreshes with the cookie and replaces all cookies', async () => {
      const page = await openPage(address());
      await logIn(page);
      const before = await cookies();
      const refreshed = await read(page, 'POST', '/auth/refresh');
      expect(refreshed).toMatchObject({ status: 200, json: { user: { email } } });
      const after = await cookies();
      expect(after).toMatchObject(COOKIE_ATTRIBUTES);
      for (const name of ['cap_access', 'cap_refresh']) expect(after[name]!.value).not.toBe(before[name]!.value);
      const change = await read(page, 'PATCH', PROFILE, {
        body: { language: 'de-AT' },
        ...withCsrf(refreshed.json.csrf_token),
      });
      expect(change.status).toBe(200);
      expect(complaints).toEqual([]);
    });

    it('signs out with the CSRF token and deletes all cookies', async () => {
      const page = await openPage(address());
      const { csrf_token } = (await logIn(page)).json;
      expect((await read(page, 'POST', '/auth/logout')).status).toBe(403);
      expect(Object.keys(await cookies())).toHaveLength(3);
      expect((await read(page, 'POST', '/auth/logout', withCsrf(csrf_token))).status).toBe(200);
      expect(await context.cookies()).toEqual([]);
      expect(await cookiesOfScript(page)).toBe('');
      expect((await read(page, 'GET', '/auth/me')).json.error).toBe('no_auth');
      expect((await read(page, 'POST', '/auth/refresh')).json.error).toBe('no_auth');
    });

    it('needs no CSRF token with a bearer token', async () => {
      const page = await openPage(address());
      const { access_token } = (await logIn(page)).json;
      await context.clearCookies();
      const options = { body: { language: 'de' }, headers: { authorization: `Bearer ${access_token}` } };
      expect((await read(page, 'PATCH', PROFILE, options)).json).toMatchObject({ language: 'de' });
      expect(await context.cookies()).toEqual([]);
    });

    it('signs in with a form', async () => {
      const page = await openPage(address());
      expect(await submit(page, '/auth/login', { email, password: PASSWORD })).toBe(200);
      expect(await cookies()).toMatchObject(COOKIE_ATTRIBUTES);
    });
  });

  // To a page on another port of the same host, a browser shows the CSRF token, and it sends the
  // SameSite=Strict cookies with the requests of that page.
  describe.each([
    { from: 'an origin on the same site that is not allowed', address: () => attackerApp.origin, isSameSite: true },
    {
      from: 'another site',
      address: () => attackerApp.origin.replace('localhost', '127.0.0.1'),
      isSameSite: false,
    },
  ])('from $from', ({ address, isSameSite }) => {
    let csrf: string;
    let access: string;
    let initialCookies: Awaited<ReturnType<typeof cookies>>;

    /** Opens the page of the attacker in a browser where the user is signed in. */
    async function visitSignedIn(): Promise<Page> {
      const login = await sendFromOwnOrigin('POST', '/auth/login', { email, password: PASSWORD });
      [csrf, access] = [String(login.csrf_token), String(login.access_token)];
      initialCookies = await cookies();
      server.lines.length = 0;
      return openPage(address());
    }

    /** Expects that the session, its cookies and the profile are unchanged. */
    async function expectUnchanged(): Promise<void> {
      expect(await cookies()).toEqual(initialCookies);
      expect(await sendFromOwnOrigin('GET', PROFILE)).toMatchObject({ timezone: null, name: 'Jane Developer' });
      expect(await sendFromOwnOrigin('POST', '/auth/refresh')).toMatchObject({ user: { email } });
    }

    /** Sends a request with the cookies of the browser and the origin of the server. */
    async function sendFromOwnOrigin(method: string, path: string, data?: object): Promise<Record<string, unknown>> {
      const headers = { origin: server.issuer };
      const response = await context.request.fetch(`${server.issuer}/api/v1${path}`, { method, headers, data });
      return response.json();
    }

    it('cannot read responses, although the user is signed in', async () => {
      const page = await visitSignedIn();
      for (const path of ['/auth/me', PROFILE, '/auth/sessions', '/nowhere'])
        expect(await send(page, 'GET', path)).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/me', { mode: 'no-cors' })).toBe(UNREADABLE);
      expect(receivedRequests('/auth/me')).toEqual(Array(2).fill(isSameSite ? 'GET 200' : 'GET 401'));
      expect(await cookiesOfScript(page)).toBe(isSameSite ? `cap_csrf=${csrf}` : '');
      expect(complaints.filter((text) => text.includes('blocked by CORS policy'))).toHaveLength(4);
      await expectUnchanged();
    });

    it('sends only preflights of a change, a CSRF token or a bearer token', async () => {
      const page = await visitSignedIn();
      const body = { timezone: 'Asia/Tokyo' };
      expect(await send(page, 'PATCH', PROFILE, { body, ...withCsrf(csrf) })).toBe(UNREADABLE);
      expect(await send(page, 'POST', '/auth/logout', withCsrf(csrf))).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/me', { headers: { authorization: `Bearer ${access}` } })).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/sessions', { headers: { 'x-api-key': access } })).toBe(UNREADABLE);
      for (const path of [PROFILE, '/auth/logout', '/auth/me', '/auth/sessions'])
        expect(receivedRequests(path)).toEqual([expect.stringMatching(/^OPTIONS /)]);
      await expectUnchanged();
    });

    it('changes nothing with requests that need no preflight', async () => {
      const page = await visitSignedIn();
      for (const path of ['/auth/refresh', '/auth/logout', '/auth/change-password', '/api-keys', '/organizations'])
        expect(await send(page, 'POST', path, { mode: 'no-cors', body: { name: 'Mine' } }), path).toBe(UNREADABLE);
      expect(await send(page, 'POST', '/auth/refresh', { mode: 'no-cors' })).toBe(UNREADABLE);
      const posts = ['/auth/refresh', '/auth/logout', '/api-keys', '/organizations'].flatMap(receivedRequests);
      expect(posts).toHaveLength(5);
      for (const post of posts) expect(post).toMatch(/^POST 4(01|03|15)$/);
      await expectUnchanged();
    });

    it.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data'])(
      'changes nothing with a form (%s)',
      async (enctype) => {
        for (const path of ['/auth/refresh', '/auth/logout', '/organizations']) {
          const page = await visitSignedIn();
          expect(await submit(page, path, { name: 'Mine', 'X-CSRF-Token': csrf }, enctype), path).toBeGreaterThan(400);
          await expectUnchanged();
        }
      },
    );

    it('cannot sign the user in with a form or a script', async () => {
      const credentials = { email, password: PASSWORD };
      const forms = { 'application/x-www-form-urlencoded': 403, 'text/plain': 415, 'multipart/form-data': 415 };
      for (const [enctype, status] of Object.entries(forms)) {
        expect(await submit(await openPage(address()), '/auth/login', credentials, enctype), enctype).toBe(status);
        expect(await context.cookies()).toEqual([]);
      }
      const page = await openPage(address());
      expect(await send(page, 'POST', '/auth/login', { body: credentials })).toBe(UNREADABLE);
      expect(await send(page, 'POST', '/auth/login', { body: credentials, mode: 'no-cors' })).toBe(UNREADABLE);
      expect(await context.cookies()).toEqual([]);
    });

    it('cannot replace the session of the user from a sandboxed frame without an origin', async () => {
      const page = await visitSignedIn();
      const other = await server.account();
      await page.evaluate(
        ([action, value, password]) => {
          const frame = Object.assign(document.createElement('iframe'), {
            srcdoc: `<form method="post" action="${action}"><input name="email" value="${value}">
              <input name="password" value="${password}"></form><script>document.forms[0].submit()</script>`,
          });
          frame.setAttribute('sandbox', 'allow-forms allow-scripts');
          document.body.append(frame);
        },
        [`${server.issuer}/api/v1/auth/login`, other.email, PASSWORD] as const,
      );
      await expect.poll(() => receivedRequests('/auth/login')).toEqual(['POST 403']);
      await expectUnchanged();
    });
  });
});
