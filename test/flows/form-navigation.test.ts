// No form is answered with a redirect that can leave this origin: Chromium would apply the
// `form-action` of our page to all redirects that follow, also to those of an app behind a broker.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, type Page } from '../support/browser.js';
import { SETTINGS } from '../support/fake-providers.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, redeemCode } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const PRIVATE_USE = 'com.example.app:/callback';

describe('a form', () => {
  let server: TestServer;
  const formResponses: { path: string; status: number; location: string | undefined }[] = [];
  beforeAll(async () => {
    server = await startServer({ settings: SETTINGS });
  });
  afterAll(() => server.close());

  /** A browser whose responses to forms are recorded. */
  function recordingBrowser(): Browser {
    const browser = new Browser(server.origin);
    browser.onResponse = (method, { pathname: path }, status, headers) => {
      if (method === 'POST') formResponses.push({ path, status, location: headers.get('location') ?? undefined });
    };
    formResponses.length = 0;
    return browser;
  }

  function expectNoRedirect(...paths: (string | RegExp)[]) {
    expect(formResponses).toEqual(
      paths.map((path) => ({
        path: typeof path === 'string' ? path : expect.stringMatching(path),
        status: 200,
        location: undefined,
      })),
    );
  }

  const start = (client: { id: string }, more: Record<string, string> = {}) => {
    const { challenge, verifier } = pkce();
    return { url: authorizeUrl(server, client, challenge, more), verifier };
  };

  it.each(['https://broker.example/callback', PRIVATE_USE, 'http://[::1]:49152/callback'])(
    'of the sign-in and the consent is not answered with a redirect to %s',
    async (uri) => {
      const app = await registerDynamically(server, {
        redirect_uris: [uri],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      });
      const { email } = await server.account();
      const browser = recordingBrowser();
      const { url, verifier } = start(app, { redirect_uri: uri });
      const consent = await browser.signIn(email, PASSWORD, await browser.open(url));
      expect(consent.headers.get('content-security-policy')).toMatch(/form-action 'self'(;|$)/);
      const back = await browser.submit(consent, { decision: 'allow' });
      expect(back.url.href.startsWith(uri)).toBe(true);
      const code = back.url.searchParams.get('code')!;
      const { status } = await redeemCode(server, app, { code, verifier }, { redirect_uri: uri });
      expect(status).toBe(200);
      expectNoRedirect('/login', /^\/interaction\//);
    },
  );

  it('of a denied consent is not answered with a redirect', async () => {
    const app = await registerDynamically(server, { redirect_uris: [PRIVATE_USE] });
    const { email } = await server.account();
    const browser = recordingBrowser();
    const consent = await browser.signIn(
      email,
      PASSWORD,
      await browser.open(start(app, { redirect_uri: PRIVATE_USE }).url),
    );
    const back = await browser.submit(consent, { decision: 'deny' });
    expect(back.url.searchParams.get('error')).toBe('access_denied');
    expectNoRedirect('/login', /^\/interaction\//);
  });

  it('of a logout is not answered with a redirect to the app', async () => {
    const home = 'https://app.example/bye';
    const client = await server.client({ post_logout_redirect_uris: [home] });
    const { email } = await server.account();
    const browser = recordingBrowser();
    await browser.signIn(email, PASSWORD);
    formResponses.length = 0;
    const query = new URLSearchParams({ client_id: client.id, post_logout_redirect_uri: home, state: 's' });
    const page = await browser.open(`/oauth/logout?${query}`);
    const back = await browser.submit(page, { logout: 'yes' });
    expect(back.url.href).toBe(`${home}?state=s`);
    expectNoRedirect('/oauth/logout/confirm');
  });

  it('that starts a sign-in with a provider is not answered with a redirect', async () => {
    const browser = recordingBrowser();
    const page = await browser.open('/login');
    const form = [...page.html.matchAll(/<form[^>]*action="([^"]*)"/g)].findIndex(([, action]) =>
      action!.includes('/login/with/github'),
    );
    const { url } = await browser.submit(page, {}, form);
    expect(url.hostname).not.toBe('localhost');
    expectNoRedirect(/^\/login\/with\/github/);
  });

  it('of an account page is answered with a redirect to an account page', async () => {
    const { email } = await server.account();
    const browser = recordingBrowser();
    await browser.signIn(email, PASSWORD);
    expect(formResponses).toEqual([{ path: '/login', status: 303, location: '/account' }]);
  });

  it('with an authorization request of an app is redirected to the same request', async () => {
    const client = await server.client();
    const browser = recordingBrowser();
    const { searchParams } = new URL(start(client).url);
    await browser.open('/oauth/authorize', { method: 'POST', body: searchParams });
    expect(formResponses[0]).toMatchObject({ path: '/oauth/authorize', status: 303 });
  });

  it('that sends the response to the app (form_post) can lead to any site', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const browser = recordingBrowser();
    const page: Page = await browser.submit(
      await browser.signIn(email, PASSWORD, await browser.open(start(client, { response_mode: 'form_post' }).url)),
      { decision: 'allow' },
    );
    expect(page.html).toContain('name="code"');
    const policy = page.headers.get('content-security-policy')!;
    expect(policy).not.toContain('form-action');
    expect(policy).toMatch(/script-src 'sha256-/);
  });
});
