// OpenID Connect RP-Initiated Logout 1.0, by openid-client and a browser.
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, discover, isLogin, signIn } from '../support/openid-client.js';
import { registerDynamically } from '../support/registration.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const GOODBYE = 'https://acme.example/goodbye';

describe.each(stores)('logout requested by an app, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Signs a new user in to a new app. */
  async function signInToApp() {
    const account = await server.account();
    const client = await server.client({ post_logout_redirect_uris: [GOODBYE] });
    const config = await discover(server, client);
    const browser = browserFor(server);
    return { account, client, config, browser, tokens: await signIn(config, browser, account.email) };
  }

  const isActive = (config: oidc.Configuration, accessToken: string) =>
    oidc.fetchUserInfo(config, accessToken, oidc.skipSubjectCheck).then(
      () => true,
      () => false,
    );

  const logoutUrl = (config: oidc.Configuration, idToken: string, more: Record<string, string> = {}) =>
    oidc.buildEndSessionUrl(config, {
      id_token_hint: idToken,
      post_logout_redirect_uri: GOODBYE,
      state: 'bye',
      ...more,
    });

  it('asks the user, ends the session and redirects to the app', async () => {
    const { config, browser, tokens } = await signInToApp();
    const page = await browser.open(logoutUrl(config, tokens.id_token!));
    expect(page.html).toContain('Do you want to sign out');
    expect(page.html).toContain('Acme');
    expect(await isActive(config, tokens.access_token)).toBe(true); // not confirmed yet

    const { url } = await browser.submit(page, { logout: 'yes' });
    expect(url.href).toBe(`${GOODBYE}?state=bye`);
    expect(isLogin(await browser.open('/account'))).toBe(true);
    expect(await isActive(config, tokens.access_token)).toBe(false);
    await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  it('keeps tokens with offline access', async () => {
    const { account, config, browser, tokens } = await signInToApp();
    const offline = await signIn(config, browser, account.email, { scope: 'openid offline_access', prompt: 'consent' });
    await browser.submit(await browser.open(logoutUrl(config, tokens.id_token!)), { logout: 'yes' });
    expect(await isActive(config, tokens.access_token)).toBe(false);
    expect(await isActive(config, offline.access_token)).toBe(true);
    const renewed = await oidc.refreshTokenGrant(config, offline.refresh_token!);
    expect(await isActive(config, renewed.access_token)).toBe(true);
  });

  it('keeps the sessions of other browsers', async () => {
    const { account, config, browser, tokens } = await signInToApp();
    const otherBrowser = browserFor(server);
    const other = await signIn(config, otherBrowser, account.email);
    await browser.submit(await browser.open(logoutUrl(config, tokens.id_token!)), { logout: 'yes' });
    expect(await isActive(config, other.access_token)).toBe(true);
    expect((await otherBrowser.open('/account')).url.pathname).toBe('/account');
  });

  it('changes nothing when the user cancels', async () => {
    const { config, browser, tokens } = await signInToApp();
    await browser.submit(await browser.open(logoutUrl(config, tokens.id_token!)));
    expect(await isActive(config, tokens.access_token)).toBe(true);
    expect((await browser.open('/account')).url.pathname).toBe('/account');
  });

  it('can be posted by a form of the app', async () => {
    const { config, browser, tokens } = await signInToApp();
    const { pathname, searchParams } = logoutUrl(config, tokens.id_token!);
    const page = await browser.open(pathname, { method: 'POST', body: searchParams });
    const { url } = await browser.submit(page, { logout: 'yes' });
    expect(url.href).toBe(`${GOODBYE}?state=bye`);
  });

  it('shows a page of the server without a post_logout_redirect_uri', async () => {
    const { config, browser, tokens } = await signInToApp();
    const url = oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token! });
    const page = await browser.submit(await browser.open(url), { logout: 'yes' });
    expect(page.url.origin).toBe(server.origin);
    expect(page.html).toContain('You are signed out');
  });

  it('rejects an unregistered post_logout_redirect_uri', async () => {
    const { config, browser, tokens } = await signInToApp();
    const url = logoutUrl(config, tokens.id_token!, { post_logout_redirect_uri: 'https://evil.example/' });
    const page = await browser.open(url);
    expect(page.status).toBe(400);
    expect(page.url.origin).toBe(server.origin);
    expect(await isActive(config, tokens.access_token)).toBe(true);
  });

  it('redirects a signed-out visitor to a verified app, and shows a link to an unverified one', async () => {
    const verified = await server.client({ post_logout_redirect_uris: [GOODBYE] });
    const unverified = await registerDynamically(server, { post_logout_redirect_uris: [GOODBYE] });
    const open = async (id: string) => {
      const query = new URLSearchParams({ client_id: id, post_logout_redirect_uri: GOODBYE, state: 'bye' });
      const browser = browserFor(server);
      return browser.submit(await browser.open(`/oauth/logout?${query}`)); // a script submits it
    };
    expect((await open(verified.id)).url.href).toBe(`${GOODBYE}?state=bye`);
    const page = await open(unverified.id);
    expect([page.url.origin, page.status, page.headers.get('location')]).toEqual([server.origin, 200, null]);
    expect(page.html).toContain('You are signed out');
    expect(page.html).toContain(`href="${GOODBYE}?state=bye"`);
    expect(page.html).toContain('It is not verified.');
  });

  it('redirects to an unverified app after the user has confirmed', async () => {
    const { email } = await server.account();
    const unverified = await registerDynamically(server, { post_logout_redirect_uris: [GOODBYE] });
    const browser = browserFor(server);
    await browser.signIn(email, PASSWORD);
    const query = new URLSearchParams({ client_id: unverified.id, post_logout_redirect_uri: GOODBYE });
    const page = await browser.open(`/oauth/logout?${query}`);
    expect((await browser.submit(page, { logout: 'yes' })).url.href).toBe(GOODBYE);
  });

  it('rejects a confirmation without the CSRF token', async () => {
    const { config, browser, tokens } = await signInToApp();
    const page = await browser.open(logoutUrl(config, tokens.id_token!));
    expect((await browser.submit(page, { logout: 'yes', xsrf: 'guessed' })).status).toBe(400);
    expect(await isActive(config, tokens.access_token)).toBe(true);
  });
});
