// No request of a signed-out browser leads to a self-registered client without a user action
// (RFC 9700, section 4.11.2). The exception is `prompt=none`: redirects.test.ts.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf, type Page } from '../support/browser.js';
import { authorizeDevice, DEVICE_GRANT } from '../support/device.js';
import { SETTINGS } from '../support/fake-providers.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, obtainCode, pkce, redeemCode } from '../support/relying-party.js';
import { postForm, sendJson } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const CALLBACK = 'https://evil.example/cb';
const GOODBYE = 'https://evil.example/bye';
const METADATA = {
  redirect_uris: [CALLBACK],
  post_logout_redirect_uris: [GOODBYE],
  grant_types: ['authorization_code', DEVICE_GRANT],
};

describe('a signed-out browser', () => {
  let server: TestServer;
  let app: Awaited<ReturnType<typeof registerDynamically>>;
  beforeAll(async () => {
    server = await startServer({ settings: SETTINGS });
    app = await registerDynamically(server, METADATA);
  });
  afterAll(() => server.close());

  const start = (more: Record<string, string> = {}) =>
    authorizeUrl(server, app, pkce().challenge, { redirect_uri: CALLBACK, ...more });
  const at = (path: string, query: Record<string, string>) => `${path}?${new URLSearchParams(query)}`;
  const logout = (more: Record<string, string> = {}, id = app.id) =>
    at('/oauth/logout', { client_id: id, post_logout_redirect_uri: GOODBYE, state: 'bye', ...more });

  /** Opens a URL, and submits the forms that a script would submit. */
  async function visit(
    target: string,
    init: Parameters<Browser['open']>[1] = {},
    browser = new Browser(server.origin),
  ) {
    const page = await browser.open(target, init);
    return page.html.includes('document.forms[0].submit()') ? submitForm(browser, page) : page;
  }

  function submitForm(browser: Browser, page: Page): Promise<Page> {
    expectOwnForms(page);
    return browser.submit(page);
  }

  function expectOwnForms({ html, url }: Page) {
    for (const { action } of formsOf(html)) expect(new URL(action, url).origin).toBe(server.origin);
  }

  function expectStays(page: Page) {
    expect([page.url.origin, page.headers.get('location'), page.headers.get('refresh')]).toEqual([
      server.origin,
      null,
      null,
    ]);
    expect(page.html).not.toMatch(/http-equiv="?refresh/i);
    expectOwnForms(page);
  }

  const REQUESTS: Record<string, string>[] = [
    { response_type: 'token' },
    { response_type: 'nonsense' },
    { prompt: 'nonsense' },
    { prompt: 'none login' },
    { prompt: 'create' },
    { prompt: 'select_account' },
    { scope: 'nonsense' },
    { code_challenge_method: 'plain' },
    { resource: 'https://unknown.example' },
    { request: 'a.b.c' },
    { request_uri: 'https://evil.example/request' },
    { request_uri: 'urn:ietf:params:oauth:request_uri:unknown' },
    { claims: '{' },
    { max_age: '-1' },
    { id_token_hint: 'nonsense' },
    { registration: '{}' },
    { authorization_details: '[' },
  ];

  it.each(REQUESTS)('is not redirected by an authorization request with %o', async (error) => {
    for (const response_mode of ['query', 'fragment', 'form_post', 'nonsense']) {
      const url = new URL(start({ ...error, response_mode }));
      expectStays(await visit(url.href));
      expectStays(await visit('/oauth/authorize', { method: 'POST', body: url.searchParams }));
    }
  });

  it('is not redirected by a repeated or missing parameter', async () => {
    for (const name of ['prompt', 'response_type', 'scope', 'state', 'redirect_uri', 'response_mode']) {
      const url = new URL(start({ prompt: 'login' }));
      url.searchParams.append(name, 'none');
      expectStays(await visit(url.href));
      url.searchParams.delete(name);
      expectStays(await visit(url.href));
    }
  });

  it.each(['login', 'consent'])(
    'is asked to sign in by a valid request with prompt=%s, also when it is resumed',
    async (prompt) => {
      const browser = new Browser(server.origin);
      const page = await visit(start({ prompt }), {}, browser);
      expectStays(page);
      const uid = [...browser.cookies.values()].map(({ path }) => /^\/interaction\/(.+)/.exec(path)?.[1]).find(Boolean);
      expect(uid).toBeDefined();
      for (const path of [`/oauth/authorize/${uid}`, `/interaction/${uid}`, `/oauth/authorize/${uid}?error=x`]) {
        expectStays(await visit(path, {}, browser));
        expectStays(await visit(path));
      }
    },
  );

  it('is not redirected by a pushed authorization request, valid or used', async () => {
    const params = Object.fromEntries(new URL(start()).searchParams);
    const { json } = await postForm(server, '/oauth/par', params, { client: app });
    const query = { client_id: app.id, request_uri: String(json.request_uri) };
    for (let i = 0; i < 2; i += 1) expectStays(await visit(at('/oauth/authorize', query)));
  });

  it('is not redirected after a logout, with a link that keeps the state', async () => {
    const { email } = await server.account();
    const obtained = await obtainCode(server, app, email, { redirect_uri: CALLBACK });
    const { body } = await redeemCode(server, app, obtained, { redirect_uri: CALLBACK });
    const form = new URL(logout(), server.origin).searchParams;
    const pages = [
      await visit(logout()),
      await visit(logout({ id_token_hint: body.id_token! })), // of the attacker, in the browser of a visitor
      await visit('/oauth/logout', { method: 'POST', body: form }),
    ];
    for (const page of pages) {
      expectStays(page);
      expect(page.html).toContain(`href="${GOODBYE}?state=bye"`);
    }
    expectStays(await visit(at('/oauth/logout/success', { client_id: app.id, post_logout_redirect_uri: GOODBYE })));
  });

  it('is not redirected after a logout if the app was deleted in the meantime', async () => {
    const deleted = await registerDynamically(server, METADATA);
    const browser = new Browser(server.origin);
    const page = await browser.open(logout({}, deleted.id));
    const headers = { authorization: `Bearer ${deleted.managementToken}` };
    await sendJson(server, 'DELETE', `/oauth/clients/register/${deleted.id}`, { headers });
    expectStays(await submitForm(browser, page));
  });

  it('is not redirected by the device pages', async () => {
    const { userCode } = await authorizeDevice(server, app);
    for (const user_code of [userCode, 'WXYZ-WXYZ']) {
      const browser = new Browser(server.origin);
      const page = await visit(at('/device', { user_code, client_id: app.id, redirect_uri: CALLBACK }), {}, browser);
      expectStays(page);
      expectStays(await submitForm(browser, page));
    }
  });

  it('is not redirected by the callback of a provider', async () => {
    for (const provider of ['github', 'google', 'linkedin', 'unknown']) {
      const path = `/login/with/${provider}/callback`;
      for (const [name, value] of [
        ['error', 'access_denied'],
        ['code', 'x'],
        ['error_uri', CALLBACK],
      ] as const) {
        const query = { redirect_uri: CALLBACK, return_to: CALLBACK, state: 'x', [name]: value };
        expectStays(await visit(at(path, query)));
      }
    }
  });

  it('is not redirected by a page that is asked to return to an invalid authorization request', async () => {
    const { pathname, search } = new URL(start({ response_type: 'token' }));
    for (const path of ['/login', '/register', '/logout', '/login/otp', '/account', '/forgot-password']) {
      for (const target of [pathname + search, CALLBACK]) expectStays(await visit(at(path, { return_to: target })));
    }
  });
});
