// A single-page app on oidc-client-ts in Chromium, on another origin of the same site.

import { readFileSync } from 'node:fs';
import type { User, UserManager, UserManagerSettings } from 'oidc-client-ts';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { DEVICE_GRANT } from '../support/device.js';
import { bodyOf, type HttpServer, openHttpServer } from '../support/http-server.js';
import { authorizeUrl, isActive, pkce } from '../support/relying-party.js';
import { postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const LIBRARY = readFileSync(
  new URL('../../node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url),
);
/** The pages of the app with the scripts that they run on load. */
const SCRIPTS: Record<string, string> = {
  '/': '',
  '/callback': '',
  '/goodbye': '',
  '/silent': 'new oidc.UserManager({}).signinSilentCallback();',
  '/popup': 'new oidc.UserManager({}).signinPopupCallback();',
};

declare global {
  interface Window {
    oidc: { UserManager: new (settings: UserManagerSettings) => UserManager };
    manager: UserManager;
  }
}

describe('a single-page app on oidc-client-ts', () => {
  let server: TestServer;
  let app: HttpServer;
  let origin: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    server = await startServer();
    app = await openHttpServer(async (req, res) => {
      const { pathname } = new URL(req.url!, 'http://app');
      if (pathname === '/library.js') return res.setHeader('content-type', 'text/javascript').end(LIBRARY);
      if (pathname === '/form-post') {
        const form = new URLSearchParams(await bodyOf(req));
        return res
          .setHeader('content-type', 'text/html')
          .end(`<title>${req.method}</title><p id="response">${form}</p>`);
      }
      const script = SCRIPTS[pathname];
      if (script === undefined) return res.writeHead(204).end();
      res.setHeader('content-type', 'text/html');
      return res.end(`<!doctype html><title>App</title><script src="/library.js"></script><script>${script}</script>`);
    });
    browser = await launchChromium();
  });
  beforeEach(async () => {
    ({ context, complaints } = await openContext(browser));
    origin = app.origin;
    page = await context.newPage();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await server.close();
    await app.close();
  });

  /** Creates a public client of the app, and an account. */
  async function createClientAndAccount(metadata: Record<string, unknown> = {}) {
    const client = await server.client({
      client_name: 'Browser app',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['/callback', '/silent', '/popup', '/form-post'].map((path) => origin + path),
      post_logout_redirect_uris: [`${origin}/goodbye`],
      ...metadata,
    });
    return { client, account: await server.account() };
  }

  /** Opens a page of the app and creates its user manager. */
  async function openApp(client: { id: string }, path = '/') {
    await page.goto(origin + path);
    await setUp(client);
  }

  async function setUp(client: { id: string }) {
    const settings = {
      authority: server.issuer,
      client_id: client.id,
      redirect_uri: `${origin}/callback`,
      silent_redirect_uri: `${origin}/silent`,
      popup_redirect_uri: `${origin}/popup`,
      post_logout_redirect_uri: `${origin}/goodbye`,
      scope: 'openid profile email',
      loadUserInfo: true,
      automaticSilentRenew: false,
      silentRequestTimeoutInSeconds: 8,
    };
    await page.evaluate((managerSettings) => {
      window.manager = new window.oidc.UserManager(managerSettings);
    }, settings);
  }

  const currentUser = () => page.evaluate(() => window.manager.getUser());

  async function signIn(on: Page, email: string) {
    await on.waitForURL(`${server.issuer}/login*`);
    await on.fill('[name=email]', email);
    await on.fill('[name=password]', PASSWORD);
    await on.click('button[type=submit]');
  }

  async function allow(on: Page) {
    await on.waitForURL(`${server.issuer}/interaction/*`);
    await on.click('button[value=allow]');
  }

  /** Signs in at the server, consents, and returns to the app. */
  async function signInByRedirect(client: { id: string }, email: string): Promise<User> {
    await openApp(client);
    await page.evaluate(() => void window.manager.signinRedirect());
    await signIn(page, email);
    await allow(page);
    await page.waitForURL(`${origin}/callback*`);
    await setUp(client);
    return page.evaluate(() => window.manager.signinRedirectCallback());
  }

  it('signs a user in and requests userinfo from another origin', async () => {
    const { client, account } = await createClientAndAccount();
    const user = await signInByRedirect(client, account.email);
    expect(user.profile).toMatchObject({ sub: account.id, email: account.email, plan: 'free' });
    expect(user.token_type).toBe('Bearer');

    const status = await page.evaluate(
      async ([url, token]) => (await fetch(url!, { headers: { authorization: `Bearer ${token}` } })).status,
      [`${server.issuer}/oauth/userinfo`, user.access_token],
    );
    expect(status).toBe(200);
    expect(complaints).toEqual([]);
  });

  it('renews its tokens with a refresh token, without a frame', async () => {
    const { client, account } = await createClientAndAccount();
    const before = await signInByRedirect(client, account.email);
    await page.evaluate(() => window.manager.signinSilent());
    const after = await currentUser();
    expect(after!.access_token).not.toBe(before.access_token);
    expect(after!.refresh_token).not.toBe(before.refresh_token);
    expect(page.frames()).toHaveLength(1);
    expect(complaints).toEqual([]);
  });

  it('renews its tokens in a frame (prompt=none) without a refresh token', async () => {
    const { client, account } = await createClientAndAccount({ grant_types: ['authorization_code'] });
    const before = await signInByRedirect(client, account.email);
    expect(before.refresh_token).toBeUndefined();
    await page.evaluate(() => window.manager.signinSilent());
    const after = await currentUser();
    expect(after!.access_token).not.toBe(before.access_token);
    expect(after!.profile.sub).toBe(account.id);
    expect(complaints).toEqual([]);
  });

  it('receives login_required in a frame when no user is signed in', async () => {
    const { client } = await createClientAndAccount({ grant_types: ['authorization_code'] });
    await openApp(client);
    const error = await page.evaluate(() => window.manager.signinSilent().catch((reason) => reason.error));
    expect(error).toBe('login_required');
    expect(complaints).toEqual([]);
  });

  it('renews its tokens on another site only with a refresh token, because browsers send no cookie in the frame', async () => {
    origin = app.origin.replace('localhost', '127.0.0.1');
    const { client, account } = await createClientAndAccount();
    const before = await signInByRedirect(client, account.email);
    await page.evaluate(() => window.manager.signinSilent());
    expect((await currentUser())!.access_token).not.toBe(before.access_token);

    await page.evaluate(() => window.manager.removeUser());
    const error = await page.evaluate(() => window.manager.signinSilent().catch((reason) => reason.error));
    expect(error).toBe('login_required');
    expect(complaints).toEqual([]);
  });

  it('cannot show the sign-in page in a frame', async () => {
    await openApp({ id: 'any' });
    await page.evaluate((url) => {
      const frame = document.createElement('iframe');
      frame.src = url;
      document.body.append(frame);
      return new Promise((resolve) => frame.addEventListener('load', resolve));
    }, `${server.issuer}/login`);
    expect(complaints.join()).toContain('frame-ancestors');
    expect(page.frames()[1]!.url()).not.toContain('/login');
  });

  it('signs a user in in a popup', async () => {
    const { client, account } = await createClientAndAccount();
    await openApp(client);
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      page.evaluate(() => {
        (window as unknown as { done: Promise<unknown> }).done = window.manager.signinPopup();
      }),
    ]);
    await signIn(popup, account.email);
    await allow(popup);
    const user = await page.evaluate(() => (window as unknown as { done: Promise<User> }).done);
    expect(user.profile).toMatchObject({ sub: account.id, email: account.email });
    await expect.poll(() => popup.isClosed()).toBe(true);
    expect(complaints).toEqual([]);
  });

  it('keeps the opener of a popup through all steps of the sign-in', async () => {
    const { client, account } = await createClientAndAccount();
    await page.goto(origin);
    const redirect_uri = `${origin}/callback`;
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      page.evaluate((url) => void window.open(url), authorizeUrl(server, client, pkce().challenge, { redirect_uri })),
    ]);
    await signIn(popup, account.email);
    await allow(popup);
    await popup.waitForURL(`${redirect_uri}*`);
    expect(await popup.evaluate(() => window.opener?.document.title)).toBe('App');
  });

  it('signs the user out at the server, who then returns to the app', async () => {
    const { client, account } = await createClientAndAccount();
    const user = await signInByRedirect(client, account.email);
    await page.evaluate(() => void window.manager.signoutRedirect({ state: 'bye' }));
    await page.waitForURL(`${server.issuer}/oauth/logout*`);
    await page.click('button[value=yes]');
    await page.waitForURL(`${origin}/goodbye*`);
    await setUp(client);
    expect(await page.evaluate(() => window.manager.signoutRedirectCallback())).toMatchObject({ userState: 'bye' });
    expect(await isActive(server, user.access_token)).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('receives its authorization response in a posted form (form_post)', async () => {
    const { client, account } = await createClientAndAccount();
    const redirect_uri = `${origin}/form-post`;
    await page.goto(authorizeUrl(server, client, pkce().challenge, { redirect_uri, response_mode: 'form_post' }));
    await signIn(page, account.email);
    await allow(page);
    await page.waitForURL(redirect_uri);
    expect(await page.title()).toBe('POST');
    expect(await page.textContent('#response')).toMatch(/code=.*iss=/);
    expect(complaints).toEqual([]);
  });

  it('receives access_denied when the user denies consent', async () => {
    const { client, account } = await createClientAndAccount();
    await openApp(client);
    await page.evaluate(() => void window.manager.signinRedirect());
    await signIn(page, account.email);
    await page.waitForURL(`${server.issuer}/interaction/*`);
    await page.click('button[value=deny]');
    await page.waitForURL(`${origin}/callback*`);
    expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied');
    expect(complaints).toEqual([]);
  });

  it('connects a device with verification_uri_complete, which needs no typing', async () => {
    const { account } = await createClientAndAccount();
    const { id } = await server.client({
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
    });
    const { json } = await postForm(server, '/oauth/device', { client_id: id, scope: 'openid email' });
    expect(json.user_code).toBeTruthy();
    await page.goto(String(json.verification_uri_complete));
    await page.click('button[name=confirm]');
    await signIn(page, account.email);
    await allow(page);
    await page.waitForSelector('text=Your device is connected');
    expect(complaints).toEqual([]);
  });
});
