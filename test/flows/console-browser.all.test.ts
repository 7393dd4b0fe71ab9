// The kind "console" in a real browser: its three cookies, its CSRF token and CORS, from our own
// origin and from a listed one; and what is left to a page that nobody listed, on the same site and
// on another.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { type HttpServer, openHttpServer } from '../support/http-server.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

/** What a script of a page reads of an answer. */
interface Read {
  status: number;
  json: Record<string, unknown>;
}

interface Sent {
  body?: object;
  headers?: Record<string, string>;
  mode?: RequestMode;
}

const UNREADABLE = 'unreadable';
const PROFILE = '/auth/me/profile';
/** The page of ours whose policy lets scripts ask our own origin. */
const OWN_PAGE = '/docs/api';
const COOKIES = {
  cap_access: { path: '/', httpOnly: true, secure: false, sameSite: 'Strict', domain: 'localhost' },
  cap_refresh: { path: '/api/v1/auth', httpOnly: true, secure: false, sameSite: 'Strict', domain: 'localhost' },
  cap_csrf: { path: '/', httpOnly: false, secure: false, sameSite: 'Strict', domain: 'localhost' },
};

describe('a console client in Chromium', () => {
  let server: TestServer;
  let listed: HttpServer;
  let stranger: HttpServer;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];
  let email: string;

  beforeAll(async () => {
    [listed, stranger] = await Promise.all([openEmptyPages(), openEmptyPages()]);
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: listed.origin } });
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
    await listed.close();
    await stranger.close();
  });

  const openEmptyPages = () =>
    openHttpServer((_req, res) => res.setHeader('content-type', 'text/html').end('<!doctype html><title>App</title>'));

  async function openPage(address: string): Promise<Page> {
    const page = await context.newPage();
    await page.goto(address);
    return page;
  }

  /** A script of the page asks the API, with whatever cookies its browser sends along. */
  function send(page: Page, method: string, path: string, { body, headers = {}, mode = 'cors' }: Sent = {}) {
    return page.evaluate(
      async ({ url, options, unreadable }) => {
        try {
          const answer = await fetch(url, { ...options, credentials: 'include' });
          return answer.type === 'opaque' ? unreadable : { status: answer.status, json: await answer.json() };
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
    ) as Promise<Read | typeof UNREADABLE>;
  }

  async function read(...[page, method, path, sent]: Parameters<typeof send>): Promise<Read> {
    const answer = await send(page, method, path, sent);
    if (answer === UNREADABLE) throw new Error(`the page may not read ${method} ${path}: ${complaints.join('\n')}`);
    return answer as Read;
  }

  const logIn = (page: Page) => read(page, 'POST', '/auth/login', { body: { email, password: PASSWORD } });
  const readableCookies = (page: Page) => page.evaluate(() => document.cookie);
  const withCsrf = (token: unknown) => ({ headers: { 'x-csrf-token': String(token) } });

  async function cookies() {
    const all = await context.cookies(`${server.issuer}/api/v1/auth/refresh`);
    return Object.fromEntries(all.map((cookie) => [cookie.name, cookie]));
  }

  /**
   * A form that the page submits, as it would to log its visitor in, or out, or to change something
   * of theirs.
   */
  async function submit(page: Page, path: string, fields: Record<string, string>, enctype = '') {
    const answered = page.waitForResponse((answer) => answer.url().endsWith(path));
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
    const status = (await answered).status();
    await page.waitForURL(`${server.issuer}/**`);
    return status;
  }

  /**
   * How the house answered what reached it on this path: `POST 200`. Preflights reach it as well.
   */
  const reached = (path: string) =>
    server.lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line.path === `/api/v1${path}`)
      .map(({ method, status }) => `${method} ${status}`);

  describe.each([
    { from: 'our own origin', address: () => server.issuer + OWN_PAGE },
    { from: 'a listed origin on the same site', address: () => listed.origin },
  ])('from $from', ({ address }) => {
    it('signs in to three cookies, of which a script sees the CSRF token alone', async () => {
      const page = await openPage(address());
      const login = await logIn(page);
      expect(login).toMatchObject({ status: 200, json: { user: { email } } });
      expect(await cookies()).toMatchObject(COOKIES);
      expect(Object.keys(await cookies())).toHaveLength(3);
      expect(await readableCookies(page)).toBe(`cap_csrf=${login.json.csrf_token}`);
      expect((await read(page, 'GET', '/auth/me')).json).toMatchObject({ email });
      expect(complaints).toEqual([]);
    });

    it('changes something with the CSRF token only, be it read from the cookie or from the answer', async () => {
      const page = await openPage(address());
      const { csrf_token: fromAnswer } = (await logIn(page)).json;
      const body = { timezone: 'Europe/Vienna' };
      for (const headers of [{}, withCsrf('x').headers, withCsrf(`${fromAnswer}x`).headers]) {
        const { status, json } = await read(page, 'PATCH', PROFILE, { body, headers });
        expect([status, json.error]).toEqual([403, 'csrf_validation_failed']);
      }
      const fromCookie = (await readableCookies(page)).split('=')[1];
      for (const token of [fromCookie, fromAnswer]) {
        const { status, json } = await read(page, 'PATCH', PROFILE, { body, ...withCsrf(token) });
        expect([status, json.timezone]).toEqual([200, 'Europe/Vienna']);
      }
    });

    it('refreshes by cookie, and goes on with what it gets', async () => {
      const page = await openPage(address());
      await logIn(page);
      const before = await cookies();
      const refreshed = await read(page, 'POST', '/auth/refresh');
      expect(refreshed).toMatchObject({ status: 200, json: { user: { email } } });
      const after = await cookies();
      expect(after).toMatchObject(COOKIES);
      for (const name of ['cap_access', 'cap_refresh']) expect(after[name]!.value).not.toBe(before[name]!.value);
      const change = await read(page, 'PATCH', PROFILE, {
        body: { language: 'de-AT' },
        ...withCsrf(refreshed.json.csrf_token),
      });
      expect(change.status).toBe(200);
      expect(complaints).toEqual([]);
    });

    it('logs out with the CSRF token, and nothing is left in the browser', async () => {
      const page = await openPage(address());
      const { csrf_token } = (await logIn(page)).json;
      expect((await read(page, 'POST', '/auth/logout')).status).toBe(403);
      expect(Object.keys(await cookies())).toHaveLength(3);
      expect((await read(page, 'POST', '/auth/logout', withCsrf(csrf_token))).status).toBe(200);
      expect(await context.cookies()).toEqual([]);
      expect(await readableCookies(page)).toBe('');
      expect((await read(page, 'GET', '/auth/me')).json.error).toBe('no_auth');
      expect((await read(page, 'POST', '/auth/refresh')).json.error).toBe('no_auth');
    });

    it('may send a token in the header instead, which needs no CSRF token', async () => {
      const page = await openPage(address());
      const { access_token } = (await logIn(page)).json;
      await context.clearCookies();
      const sent = { body: { language: 'de' }, headers: { authorization: `Bearer ${access_token}` } };
      expect((await read(page, 'PATCH', PROFILE, sent)).json).toMatchObject({ language: 'de' });
      expect(await context.cookies()).toEqual([]);
    });

    it('signs in by a form too', async () => {
      const page = await openPage(address());
      expect(await submit(page, '/auth/login', { email, password: PASSWORD })).toBe(200);
      expect(await cookies()).toMatchObject(COOKIES);
    });
  });

  // On another port of our host, a browser sends our SameSite=Strict cookies along and even shows
  // the page the CSRF token.
  describe.each([
    { from: 'an origin on the same site that is not listed', address: () => stranger.origin, isSameSite: true },
    {
      from: 'another site',
      address: () => stranger.origin.replace('localhost', '127.0.0.1'),
      isSameSite: false,
    },
  ])('from $from', ({ address, isSameSite }) => {
    let csrf: string;
    let access: string;
    let kept: Awaited<ReturnType<typeof cookies>>;

    /** The visitor is signed in, and then comes to a page that means harm. */
    async function visitSignedIn(): Promise<Page> {
      const signedIn = await fromHome('POST', '/auth/login', { email, password: PASSWORD });
      [csrf, access] = [String(signedIn.csrf_token), String(signedIn.access_token)];
      kept = await cookies();
      server.lines.length = 0;
      return openPage(address());
    }

    /** Still signed in, with the same cookies, and nothing of them was used up or changed. */
    async function expectUntouched(): Promise<void> {
      expect(await cookies()).toEqual(kept);
      expect(await fromHome('GET', PROFILE)).toMatchObject({ timezone: null, name: 'Jane Developer' });
      expect(await fromHome('POST', '/auth/refresh')).toMatchObject({ user: { email } });
    }

    /** The same browser, its cookies included, on a page of our own. */
    async function fromHome(method: string, path: string, data?: object): Promise<Record<string, unknown>> {
      const headers = { origin: server.issuer };
      const answer = await context.request.fetch(`${server.issuer}/api/v1${path}`, { method, headers, data });
      return answer.json();
    }

    it('reads nothing, though the visitor is signed in', async () => {
      const page = await visitSignedIn();
      for (const path of ['/auth/me', PROFILE, '/auth/sessions', '/nowhere'])
        expect(await send(page, 'GET', path)).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/me', { mode: 'no-cors' })).toBe(UNREADABLE);
      expect(reached('/auth/me')).toEqual(Array(2).fill(isSameSite ? 'GET 200' : 'GET 401'));
      expect(await readableCookies(page)).toBe(isSameSite ? `cap_csrf=${csrf}` : '');
      expect(complaints.filter((text) => text.includes('blocked by CORS policy'))).toHaveLength(4);
      await expectUntouched();
    });

    it('is refused before it asks: a change, a CSRF token and a token in the header never leave the browser', async () => {
      const page = await visitSignedIn();
      const body = { timezone: 'Asia/Tokyo' };
      expect(await send(page, 'PATCH', PROFILE, { body, ...withCsrf(csrf) })).toBe(UNREADABLE);
      expect(await send(page, 'POST', '/auth/logout', withCsrf(csrf))).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/me', { headers: { authorization: `Bearer ${access}` } })).toBe(UNREADABLE);
      expect(await send(page, 'GET', '/auth/sessions', { headers: { 'x-api-key': access } })).toBe(UNREADABLE);
      for (const path of [PROFILE, '/auth/logout', '/auth/me', '/auth/sessions'])
        expect(reached(path)).toEqual([expect.stringMatching(/^OPTIONS /)]);
      await expectUntouched();
    });

    it('changes nothing with what needs no preflight: the visitor’s cookies are not enough', async () => {
      const page = await visitSignedIn();
      for (const path of ['/auth/refresh', '/auth/logout', '/auth/change-password', '/api-keys', '/organizations'])
        expect(await send(page, 'POST', path, { mode: 'no-cors', body: { name: 'Mine' } }), path).toBe(UNREADABLE);
      expect(await send(page, 'POST', '/auth/refresh', { mode: 'no-cors' })).toBe(UNREADABLE);
      const posts = ['/auth/refresh', '/auth/logout', '/api-keys', '/organizations'].flatMap(reached);
      expect(posts).toHaveLength(5);
      for (const post of posts) expect(post).toMatch(/^POST 4(01|03|15)$/);
      await expectUntouched();
    });

    it.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data'])(
      'changes nothing by a form (%s)',
      async (enctype) => {
        for (const path of ['/auth/refresh', '/auth/logout', '/organizations']) {
          const page = await visitSignedIn();
          expect(await submit(page, path, { name: 'Mine', 'X-CSRF-Token': csrf }, enctype), path).toBeGreaterThan(400);
          await expectUntouched();
        }
      },
    );

    it('logs nobody in, neither by a form nor by a script', async () => {
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

    it('does not log somebody else in over a visitor who is signed in, not even from a frame without an origin', async () => {
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
      await expect.poll(() => reached('/auth/login')).toEqual(['POST 403']);
      await expectUntouched();
    });
  });
});
