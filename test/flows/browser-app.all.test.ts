import { readFileSync } from 'node:fs';
import type { User, UserManager, UserManagerSettings } from 'oidc-client-ts';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { bodyOf, type HttpServer, openHttpServer } from '../support/http-server.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const LIBRARY = readFileSync(
  new URL('../../node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url),
);
/** What each page of the app does when it has loaded; the rest is done by the tests. */
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

describe('an app that lives in the browser (oidc-client-ts in Chromium)', () => {
  let server: TestServer;
  let app: HttpServer;
  /** Where the app is: on another port, which is another origin of the same site. */
  let origin: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** Whatever a browser complained about, on any page: errors, warnings, violations of a policy. */
  let complaints: string[];

  beforeAll(async () => {
    server = await startServer();
    app = await openHttpServer(async (req, res) => {
      const { pathname } = new URL(req.url!, 'http://app');
      if (pathname === '/library.js') return res.setHeader('content-type', 'text/javascript').end(LIBRARY);
      if (pathname === '/form-post') {
        const form = new URLSearchParams(await bodyOf(req));
        return res.setHeader('content-type', 'text/html').end(`<title>${req.method}</title><p id="answer">${form}</p>`);
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

  /** A public client of the app, and a person. */
  async function provisioning(metadata: Record<string, unknown> = {}) {
    const client = await server.client({
      client_name: 'Browser app',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['/callback', '/silent', '/popup', '/form-post'].map((path) => origin + path),
      post_logout_redirect_uris: [`${origin}/goodbye`],
      ...metadata,
    });
    return { client, account: await server.account() };
  }

  /** Opens a page of the app and sets its library up, as the app would on every page. */
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
    await page.evaluate((given) => {
      window.manager = new window.oidc.UserManager(given);
    }, settings);
  }

  const userNow = () => page.evaluate(() => window.manager.getUser());

  /** The person, in front of our sign-in and consent pages. */
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

  /** Leaves for the house, signs in, allows, and comes back. */
  async function signInByRedirect(client: { id: string }, email: string): Promise<User> {
    await openApp(client);
    await page.evaluate(() => void window.manager.signinRedirect());
    await signIn(page, email);
    await allow(page);
    await page.waitForURL(`${origin}/callback*`);
    await setUp(client);
    return page.evaluate(() => window.manager.signinRedirectCallback());
  }

  it('signs a person in, and reads who it is from another origin', async () => {
    const { client, account } = await provisioning();
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

  it('renews its tokens by refresh token, unseen', async () => {
    const { client, account } = await provisioning();
    const before = await signInByRedirect(client, account.email);
    await page.evaluate(() => window.manager.signinSilent());
    const after = await userNow();
    expect(after!.access_token).not.toBe(before.access_token);
    expect(after!.refresh_token).not.toBe(before.refresh_token);
    expect(page.frames()).toHaveLength(1);
    expect(complaints).toEqual([]);
  });

  it('renews its tokens in a frame (prompt=none) when it has no refresh token', async () => {
    const { client, account } = await provisioning({ grant_types: ['authorization_code'] });
    const before = await signInByRedirect(client, account.email);
    expect(before.refresh_token).toBeUndefined();
    await page.evaluate(() => window.manager.signinSilent());
    const after = await userNow();
    expect(after!.access_token).not.toBe(before.access_token);
    expect(after!.profile.sub).toBe(account.id);
    expect(complaints).toEqual([]);
  });

  it('learns in a frame that nobody is signed in', async () => {
    const { client } = await provisioning({ grant_types: ['authorization_code'] });
    await openApp(client);
    const error = await page.evaluate(() => window.manager.signinSilent().catch((reason) => reason.error));
    expect(error).toBe('login_required');
    expect(complaints).toEqual([]);
  });

  it('cannot renew in a frame on another site, where browsers keep our cookie back; a refresh token does it there', async () => {
    origin = app.origin.replace('localhost', '127.0.0.1');
    const { client, account } = await provisioning();
    const before = await signInByRedirect(client, account.email);
    await page.evaluate(() => window.manager.signinSilent());
    expect((await userNow())!.access_token).not.toBe(before.access_token);

    await page.evaluate(() => window.manager.removeUser());
    const error = await page.evaluate(() => window.manager.signinSilent().catch((reason) => reason.error));
    expect(error).toBe('login_required');
    expect(complaints).toEqual([]);
  });

  it('cannot show our pages in a frame', async () => {
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

  it('signs a person in in a popup', async () => {
    const { client, account } = await provisioning();
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

  it('is still known to the window that opened it, after all steps of the sign-in', async () => {
    const { client, account } = await provisioning();
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

  it('signs the person out, and gets them back', async () => {
    const { client, account } = await provisioning();
    const user = await signInByRedirect(client, account.email);
    await page.evaluate(() => void window.manager.signoutRedirect({ state: 'bye' }));
    await page.waitForURL(`${server.issuer}/oauth/logout*`);
    await page.click('button[value=yes]');
    await page.waitForURL(`${origin}/goodbye*`);
    await setUp(client);
    expect(await page.evaluate(() => window.manager.signoutRedirectCallback())).toMatchObject({ userState: 'bye' });
    const userinfo = await fetch(`${server.issuer}/oauth/userinfo`, {
      headers: { authorization: `Bearer ${user.access_token}` },
    });
    expect(userinfo.status).toBe(401);
    expect(complaints).toEqual([]);
  });

  it('gets its answer by a posted form (form_post)', async () => {
    const { client, account } = await provisioning();
    const redirect_uri = `${origin}/form-post`;
    await page.goto(authorizeUrl(server, client, pkce().challenge, { redirect_uri, response_mode: 'form_post' }));
    await signIn(page, account.email);
    await allow(page);
    await page.waitForURL(redirect_uri);
    expect(await page.title()).toBe('POST');
    expect(await page.textContent('#answer')).toMatch(/code=.*iss=/);
    expect(complaints).toEqual([]);
  });

  it('is told when the person says no', async () => {
    const { client, account } = await provisioning();
    await openApp(client);
    await page.evaluate(() => void window.manager.signinRedirect());
    await signIn(page, account.email);
    await page.waitForURL(`${server.issuer}/interaction/*`);
    await page.click('button[value=deny]');
    await page.waitForURL(`${origin}/callback*`);
    expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied');
    expect(complaints).toEqual([]);
  });

  it('may be an app on a television: the address with the code in it leads to the question', async () => {
    const { account } = await provisioning();
    const grant = 'urn:ietf:params:oauth:grant-type:device_code';
    const { id } = await server.client({ token_endpoint_auth_method: 'none', grant_types: [grant], redirect_uris: [] });
    const started = await fetch(`${server.issuer}/oauth/device`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: id, scope: 'openid email' }),
    });
    const { user_code: code, verification_uri_complete: address } = (await started.json()) as Record<string, string>;
    await page.goto(address!);
    await page.click('button[name=confirm]');
    await signIn(page, account.email);
    await allow(page);
    await page.waitForSelector('text=Your device is connected');
    expect(code).toBeTruthy();
    expect(complaints).toEqual([]);
  });
});
