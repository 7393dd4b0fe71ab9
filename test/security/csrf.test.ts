// Cross-site request forgery (RFC 9700, section 4.7).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../src/base/paging.js';
import { Browser, formsOf, type Page } from '../support/browser.js';
import { authorizeDevice, DEVICE_CLIENT } from '../support/device.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, type TestClient } from '../support/relying-party.js';
import { postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { introspect, openTokenFamily } from '../support/token-family.js';

describe('cross-site request forgery', () => {
  let server: TestServer;
  let client: TestClient;
  let device: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  let metadata: Record<string, unknown>;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: ['https://acme.example/bye'] });
    device = await server.client(DEVICE_CLIENT);
    ({ browser, ...account } = await signedInBrowser(server));
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
  });
  afterAll(() => server.close());

  const userCode = async () => (await authorizeDevice(server, device)).userCode;

  it('is prevented for clients by PKCE, which the metadata advertises', () => {
    expect(metadata.code_challenge_methods_supported).toEqual(['S256']);
  });

  /** Submits a form in the browser of the user, as a page of another site does. */
  async function forge(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
    const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
    return postForm(server, path, fields, { headers: { cookie, accept: 'text/html', ...headers } });
  }

  const csrfTokenOf = (page: Page) => formsOf(page.html)[0]!.fields.csrf!;

  it.each<[string, Record<string, string>]>([
    ['/login', { email: 'evil@example.com', password: PASSWORD }],
    ['/register', { email: 'new@example.com', password: PASSWORD, name: 'New' }],
    ['/logout', {}],
    ['/setup', { token: 'x', email: 'new@example.com', password: PASSWORD }],
    ['/account/apps/remove', { client_id: 'x' }],
    ['/account/logins/x/end', {}],
    ['/interaction/unknown', { decision: 'allow' }],
  ])('is rejected at %s', async (path, fields) => {
    const ownToken = csrfTokenOf(await browser.open('/logout'));
    const otherToken = csrfTokenOf(await new Browser(server.origin).open('/login'));
    for (const csrf of ['', 'x', otherToken, ownToken.slice(1), `${ownToken} `]) {
      expect((await forge(path, { ...fields, csrf })).status, csrf).toBe(403);
    }
    if (!path.startsWith('/interaction')) expect((await forge(path, fields)).status).toBeGreaterThanOrEqual(400);
    for (const headers of [
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: server.issuer.replace('http:', 'https:') },
    ]) {
      expect((await forge(path, { ...fields, csrf: ownToken }, headers as never)).status).toBe(403);
    }
    expect((await browser.open('/account')).url.pathname).toBe('/account');
  });

  it('is rejected at the consent form with the token of another browser and without one', async () => {
    const app = await registerDynamically(server);
    const page = await browser.open(authorizeUrl(server, app, pkce().challenge));
    const { action, fields } = formsOf(page.html)[0]!;
    const csrf = csrfTokenOf(await new Browser(server.origin).open('/login'));
    expect((await forge(action, { decision: 'allow', csrf })).status).toBe(403);
    expect((await forge(action, { decision: 'allow' })).status).toBeGreaterThanOrEqual(400);
    expect((await forge(action, { ...fields, decision: 'allow' }, { origin: 'https://evil.example' })).status).toBe(
      403,
    );
    expect(
      (await server.core.consents.list(account.id, FIRST_PAGE)).items.map(({ clientId }) => clientId),
    ).not.toContain(app.id);
  });

  it('neither signs out of an app nor connects a device', async () => {
    const newBrowser = new Browser(server.origin);
    const family = await openTokenFamily(server, client, account.email, {}, newBrowser);
    await newBrowser.open('/oauth/logout');
    const cookie = [...newBrowser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
    const send = (path: string, fields: Record<string, string>) =>
      postForm(server, path, fields, { headers: { cookie, accept: 'text/html' } });
    for (const xsrf of ['', 'x', 'undefined']) {
      expect((await send('/oauth/logout/confirm', { xsrf, logout: 'yes' })).status).toBe(400);
    }
    const code = await userCode();
    await newBrowser.open('/device');
    for (const xsrf of ['', 'x', 'undefined']) {
      const response = await send('/device', { xsrf, user_code: code, confirm: 'yes' });
      expect(response.text).not.toContain('Your device is connected');
    }
    expect((await newBrowser.open('/account')).url.pathname).toBe('/account');
    expect((await introspect(server, client, family.accessToken)).body.active).toBe(true);
  });

  it('is limited by SameSite and HttpOnly cookies', async () => {
    const cookies: string[] = [];
    const login = await sendRequest(server, 'GET', '/login');
    cookies.push(...login.cookies);
    const start = authorizeUrl(server, client, pkce().challenge).slice(server.origin.length);
    cookies.push(...(await sendRequest(server, 'GET', start)).cookies);
    const csrf = /name="csrf" value="([^"]*)"/.exec(login.text)![1]!;
    const cookie = login.cookies[0]!.split(';')[0]!;
    const signIn = await postForm(
      server,
      '/login',
      { csrf, email: account.email, password: PASSWORD },
      { headers: { cookie } },
    );
    expect(signIn.status).toBe(303);
    cookies.push(...signIn.cookies);
    expect(cookies.length).toBeGreaterThanOrEqual(4);
    for (const line of cookies) {
      expect(line).toMatch(/; httponly/i);
      expect(line).toMatch(/; samesite=(lax|strict)/i);
      expect(line).not.toMatch(/; domain=/i);
    }
  });
});
