// Redirect URIs, redirects and authorization responses (RFC 9700, sections 2.1, 4.1 to 4.4, 4.11,
// 4.12 and 4.17).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf, type Page } from '../support/browser.js';
import { completeSignIn, isConsent, isLogin } from '../support/openid-client.js';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  REDIRECT_URI,
  redeemCode,
  signInAndConsent,
  type TestClient,
} from '../support/relying-party.js';
import { FORM, postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';

const EVIL = 'evil.example';
const PUBLIC = { token_endpoint_auth_method: 'none' };

describe('redirects and authorization responses', () => {
  let server: TestServer;
  let client: TestClient;
  let unverified: TestClient;
  let email: string;
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client();
    unverified = await registerDynamically(server);
    ({ email, browser } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const pathOf = (url: string) => url.slice(server.origin.length);

  /** Sends an authorization request. Returns the first page, or the redirect to the client. */
  function authorize(app: { id: string }, more: Record<string, string>, by = new Browser(server.origin)) {
    return by.open(authorizeUrl(server, app, pkce().challenge, more));
  }

  function expectErrorPage(page: Page) {
    expect([page.url.origin, page.status, page.headers.get('location')]).toEqual([server.origin, 400, null]);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.html).toContain('<h1>');
  }

  describe('the redirect URI comparison (RFC 9700, section 4.1.3)', () => {
    it.each([
      ['an extra path', `${REDIRECT_URI}/more`],
      ['a query', `${REDIRECT_URI}?x=1`],
      ['an empty query', `${REDIRECT_URI}?`],
      ['a path in another case', 'https://acme.example/CB'],
      ['a host in another case', 'https://ACME.example/cb'],
      ['a scheme in another case', 'HTTPS://acme.example/cb'],
      ['a trailing slash', `${REDIRECT_URI}/`],
      ['userinfo', 'https://x@acme.example/cb'],
      ['userinfo that looks like the host', `https://acme.example@${EVIL}/cb`],
      ['an encoded letter', 'https://acme.example/%63b'],
      ['an encoded slash', 'https://acme.example%2fcb'],
      ['an encoded host', 'https://%61cme.example/cb'],
      ['a subdomain', 'https://www.acme.example/cb'],
      ['the host as a subdomain of another', `https://acme.example.${EVIL}/cb`],
      ['a default port', 'https://acme.example:443/cb'],
      ['another port', 'https://acme.example:8443/cb'],
      ['a dot segment', 'https://acme.example/x/../cb'],
      ['an encoded dot segment', 'https://acme.example/x/%2e%2e/cb'],
      ['a doubled slash', 'https://acme.example//cb'],
      ['a backslash', `https://acme.example\\@${EVIL}/cb`],
      ['a fragment', `${REDIRECT_URI}#x`],
      ['another scheme', 'http://acme.example/cb'],
      ['a trailing dot of the host', 'https://acme.example./cb'],
      ['a look-alike letter', 'https://аcme.example/cb'],
      ['a trailing space', `${REDIRECT_URI} `],
      ['a trailing line feed', `${REDIRECT_URI}\n`],
      ['two URIs in one', `${REDIRECT_URI},https://${EVIL}/cb`],
    ])('rejects %s', async (_description, redirectUri) => {
      expectErrorPage(await authorize(client, { redirect_uri: redirectUri }, browser));
      expectErrorPage(await authorize(client, { redirect_uri: redirectUri, prompt: 'none' }, browser));
      const pushed = await postForm(
        server,
        '/oauth/par',
        { response_type: 'code', redirect_uri: redirectUri, code_challenge: pkce().challenge, scope: 'openid' },
        { client },
      );
      expect(pushed.status).toBe(400);
    });
  });

  describe('a loopback redirect URI (RFC 8252, section 7.3)', () => {
    const open = async (registered: string, requested: string) => {
      const app = await server.client({ ...PUBLIC, redirect_uris: [registered] });
      return authorize(app, { redirect_uri: requested });
    };

    it.each(['http://127.0.0.1', 'http://[::1]', 'http://localhost'])(
      'on %s matches any port, but not another path, scheme or host',
      async (host) => {
        expect(isLogin(await open(`${host}/cb`, `${host}:49152/cb`))).toBe(true);
        expectErrorPage(await open(`${host}/cb`, `${host}:49152/cb/x`));
        expectErrorPage(await open(`${host}/cb`, `${host}:49152/`));
        expectErrorPage(await open(`${host}/cb`, `${host.replace('http', 'https')}:49152/cb`));
        expectErrorPage(await open(`${host}/cb`, `${host}:49152@${EVIL}/cb`));
        expectErrorPage(await open(`${host}/cb`, `${host}.${EVIL}/cb`));
      },
    );
  });

  it.each([
    `http://${EVIL}/cb`,
    'http://acme.example/cb',
    'HTTP://acme.example/cb',
    'http://10.0.0.1/cb',
    'http://0.0.0.0/cb',
    'http://127.1/cb',
    'http://2130706433/cb',
    'http://0x7f.0.0.1/cb',
    `http://localhost.${EVIL}/cb`,
    `http://127.0.0.1.${EVIL}/cb`,
    'https:acme.example/cb',
    'https:/acme.example/cb',
    'https:///acme.example/cb',
    'ms-settings:x',
    'javascript:alert(1)',
  ])('registration rejects the redirect URI %s', async (uri) => {
    expect((await requestRegistration(server, { redirect_uris: [uri] })).json.error).toBe('invalid_redirect_uri');
  });

  describe('open redirection (RFC 9700, section 4.11.2)', () => {
    const TARGETS = [
      `https://${EVIL}/`,
      `//${EVIL}/`,
      `/\\${EVIL}/`,
      `\\\\${EVIL}/`,
      `/\t/${EVIL}/`,
      `/%09/${EVIL}/`,
      `/%2f${EVIL}/`,
      `/.//${EVIL}/`,
      `/..//${EVIL}/`,
      `http:${EVIL}/`,
      `///${EVIL}/`,
      `@${EVIL}/`,
      `.${EVIL}/`,
      'javascript:alert(1)',
      `data:text/html,<meta http-equiv=refresh content="0;url=https://${EVIL}">`,
      `/login?return_to=https://${EVIL}/`,
    ];
    const NAMES = 'return_to next redirect redirect_uri redirect_to url continue target rd state error_uri'.split(' ');

    /** Returns the origins to which the response sends a browser. */
    const redirectOrigins = (headers: Record<string, string | undefined>) =>
      [headers.location, headers.refresh?.split('url=')[1]].flatMap((target) =>
        target === undefined ? [] : [new URL(target, server.origin).origin],
      );

    it.each(['/', '/login', '/register', '/logout', '/setup', '/account', '/device', '/oauth/logout'])(
      'is not possible at %s',
      async (path) => {
        for (const target of TARGETS) {
          const query = new URLSearchParams([
            ...NAMES.map((name) => [name, target]),
            ['post_logout_redirect_uri', target],
          ]);
          const response = await sendRequest(server, 'GET', `${path}?${query}`, { accept: 'text/html' });
          expect(
            redirectOrigins(response.headers).every((origin) => origin === server.origin),
            target,
          ).toBe(true);
          for (const [, link = ''] of response.text.matchAll(/(?:href|action|src)="([^"]*)"/g)) {
            expect(new URL(link, server.origin).origin, `${path} ${target}: ${link}`).toBe(server.origin);
          }
        }
      },
    );

    it('is not possible after sign-in', async () => {
      for (const target of TARGETS) {
        const newBrowser = new Browser(server.origin);
        const page = await newBrowser.open(`/login?return_to=${encodeURIComponent(target)}`);
        const { url } = await newBrowser.signIn(email, PASSWORD, page);
        expect(url.origin, target).toBe(server.origin);
      }
    });

    it('is not possible after logout with an unregistered redirect URI', async () => {
      const obtained = await obtainCode(server, client, email, {}, browser);
      const { body } = await redeemCode(server, client, obtained);
      const query = { id_token_hint: body.id_token!, post_logout_redirect_uri: `https://${EVIL}/` };
      expectErrorPage(await browser.open(`/oauth/logout?${new URLSearchParams(query)}`));
    });
  });

  it('shows an error page for an invalid pair of client and redirect URI (RFC 6749, section 4.1.2.1)', async () => {
    const other = await server.client({ redirect_uris: ['https://other.example/cb'] });
    const start = (change: (query: URLSearchParams) => void) => {
      const url = new URL(authorizeUrl(server, client, pkce().challenge));
      change(url.searchParams);
      return browser.open(url);
    };
    expectErrorPage(await start((query) => query.set('client_id', 'unknown')));
    expectErrorPage(await start((query) => query.set('client_id', other.id)));
    expectErrorPage(await start((query) => query.delete('client_id')));
    expectErrorPage(await start((query) => query.append('client_id', other.id)));
    const twice = await start((query) => query.append('redirect_uri', 'https://other.example/cb'));
    expect([server.origin, 'https://acme.example']).toContain(twice.url.origin);
    expect(twice.url.searchParams.get('code')).toBeNull();
    expectErrorPage(await start((query) => query.set('redirect_uri', `https://${EVIL}/`)));
    expectErrorPage(await start((query) => query.set('redirect_uri', 'nonsense')));
  });

  describe('an invalid request of a self-registered client (RFC 9700, section 4.11.2)', () => {
    const INVALID: [string, Record<string, string>][] = [
      ['an unknown response type', { response_type: 'token' }],
      ['an unknown prompt', { prompt: 'nonsense' }],
      ['no PKCE', { code_challenge_method: 'plain' }],
      ['an unknown resource', { resource: 'https://unknown.example' }],
      ['malformed claims', { claims: '{' }],
      ['a request object', { request: 'a.b.c' }],
    ];

    it.each(INVALID)(
      'with %s shows our error page with a link if no user is signed in',
      async (_description, error) => {
        const page = await authorize(unverified, error);
        expect([page.url.origin, page.headers.get('location')]).toEqual([server.origin, null]);
        expect(page.status).toBe(400);
        expect(page.headers.get('refresh')).toBeNull();
        expect(page.html).not.toMatch(/http-equiv="?refresh|<script/i);
        const links = [...page.html.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href);
        expect(links.some((href) => href.startsWith(REDIRECT_URI))).toBe(true);
      },
    );

    it.each(INVALID)('with %s redirects if a user is signed in', async (_description, error) => {
      const { url } = await authorize(unverified, error, browser);
      expect(url.href).toMatch(/^https:\/\/acme\.example\/cb[?#]error=\w+/); // in the fragment if the response type requires it
    });

    it('with prompt=none redirects, because no page can be shown', async () => {
      const { url } = await authorize(unverified, { prompt: 'none' });
      expect([url.origin, url.searchParams.get('error')]).toEqual(['https://acme.example', 'login_required']);
    });

    it('does not affect valid requests, which show the sign-in page', async () => {
      expect(isLogin(await authorize(unverified, {}))).toBe(true);
    });
  });

  describe('consent before a redirect to an unverified URI (RFC 9700, section 4.1; RFC 8252, section 8.6)', () => {
    it('is required for self-registered clients and names the host of the redirect URI', async () => {
      const app = await registerDynamically(server, { client_uri: 'https://bank.example' });
      const page = await authorize(app, {}, browser);
      expect(isConsent(page)).toBe(true);
      const text = page.html.replace(/<a [^>]*>/g, '');
      expect(text).toContain('acme.example');
      expect(text).not.toContain('bank.example');
      expect(page.html).toContain('not verified');
      const silent = await authorize(app, { prompt: 'none' }, browser);
      expect(silent.url.searchParams.get('error')).toBe('consent_required');
    });

    it('is required again for a loopback redirect URI with another port', async () => {
      const app = await registerDynamically(server, { ...PUBLIC, redirect_uris: ['http://localhost/cb'] });
      const at = (port: number, more = {}) =>
        authorize(app, { redirect_uri: `http://localhost:${port}/cb`, ...more }, browser);
      await completeSignIn(browser, await at(1111), email);
      expect((await at(2222, { prompt: 'none' })).url.searchParams.get('code')).toBeNull();
      expect(isConsent(await at(2222))).toBe(true);
    });
  });

  it('repeats no form with credentials: status 303, or a page that goes on (RFC 9700, section 4.12)', async () => {
    const newBrowser = new Browser(server.origin);
    const { challenge } = pkce();
    const app = await server.client();
    const post = async (page: Page, fields: Record<string, string>) => {
      const form = formsOf(page.html)[0]!;
      const cookie = [...newBrowser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
      const { pathname, search } = new URL(form.action, page.url);
      const path = `${pathname}${search}`;
      const { status } = await postForm(server, path, { ...form.fields, ...fields }, { headers: { cookie } });
      return status;
    };
    const newAccount = { name: 'New', email: 'new@example.com', password: PASSWORD };
    expect(await post(await newBrowser.open('/register'), newAccount)).toBe(303);
    const login = await newBrowser.open(authorizeUrl(server, app, challenge));
    expect(await post(login, { email, password: PASSWORD })).toBe(200);
    const consent = await newBrowser.signIn(email, PASSWORD, login);
    expect(isConsent(consent)).toBe(true);
    expect(await post(consent, { decision: 'allow' })).toBe(200);
    expect(await post(await newBrowser.open('/logout'), {})).toBe(303);
    const query = new URLSearchParams(new URL(authorizeUrl(server, app, challenge)).search).toString();
    expect((await sendRequest(server, 'POST', '/oauth/authorize', { 'content-type': FORM }, query)).status).toBe(303);
  });

  it('includes iss in all authorization responses and advertises it (RFC 9207)', async () => {
    const app = await server.client();
    const code = await signInAndConsent(browser, authorizeUrl(server, app, pkce().challenge), email);
    const error = await authorize(app, { prompt: 'nonsense' });
    const consent = await authorize(await server.client(), {}, browser);
    const denied = await browser.submit(consent, { decision: 'deny' });
    for (const url of [code, error.url, denied.url]) {
      expect([url.origin, url.searchParams.get('iss')]).toEqual(['https://acme.example', server.issuer]);
    }
    const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
    expect(json.authorization_response_iss_parameter_supported).toBe(true);
  });

  it('loads no third-party resources and sends no Referer header (RFC 9700, section 4.2)', async () => {
    const decorated = await registerDynamically(server, {
      logo_uri: `https://${EVIL}/logo.png`,
      client_uri: `https://${EVIL}/`,
      policy_uri: `https://${EVIL}/policy`,
      tos_uri: `https://${EVIL}/tos`,
    });
    const pages = [
      await new Browser(server.origin).open('/login'),
      await new Browser(server.origin).open('/register'),
      await authorize(decorated, {}),
      await authorize(decorated, {}, browser),
      await authorize({ id: 'unknown' }, {}),
      await browser.open('/account'),
      await browser.open('/device'),
      await browser.open('/oauth/logout'),
      await browser.open('/logout'),
    ];
    for (const { html, headers, url } of pages) {
      expect(headers.get('referrer-policy'), url.pathname).toBe('no-referrer');
      expect(headers.get('content-security-policy'), url.pathname).toContain("default-src 'none'");
      const loaded = [...html.matchAll(/<(?:link|script|img|iframe|source|video|audio|object|embed)\b[^>]*/g)];
      expect(loaded.length, url.pathname).toBeGreaterThan(0);
      for (const [tag] of loaded) {
        const target = /(?:href|src|data|srcset)="([^"]*)"/.exec(tag)?.[1] ?? '';
        expect(new URL(target, server.origin).origin, tag).toBe(server.origin);
      }
      expect(html, url.pathname).not.toMatch(/@import|url\(/);
    }
  });

  it('rejects an access token in the query string (RFC 9700, section 4.3.2)', async () => {
    const { body } = await redeemCode(server, client, await obtainCode(server, client, email, {}, browser));
    const query = `/oauth/userinfo?access_token=${body.access_token}`;
    for (const method of ['GET', 'POST']) {
      const response = await sendRequest(server, method, query, { 'content-type': FORM });
      expect([response.status, response.json.sub]).toEqual([400, undefined]);
    }
    const right = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${body.access_token}` });
    expect(right.status).toBe(200);
  });

  it('allows CORS for public documents and registered origins, not for the authorization endpoint (RFC 9700, section 2.6)', async () => {
    const origin = `https://${EVIL}`;
    const start = pathOf(authorizeUrl(server, client, pkce().challenge));
    const preflight = { origin, 'access-control-request-method': 'GET' };
    for (const [method, headers] of [
      ['GET', { origin }],
      ['POST', { origin, 'content-type': FORM }],
      ['OPTIONS', preflight],
    ] as const) {
      const response = await sendRequest(server, method, start, headers);
      const names = Object.keys(response.headers).filter((name) => name.startsWith('access-control-'));
      expect(names, method).toEqual([]);
    }
    for (const path of [
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/oauth/jwks',
    ]) {
      expect((await sendRequest(server, 'GET', path, { origin })).headers['access-control-allow-origin']).toBe('*');
    }
    const rejected = await requestRegistration(server, { redirect_uris: [] }, { origin });
    expect(rejected.headers['access-control-allow-origin']).toBe('*');
    const app = await server.client(PUBLIC);
    const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI };
    const response = await postForm(server, '/oauth/token', params, {
      client: app,
      headers: { origin: 'https://acme.example' },
    });
    expect(response.headers['access-control-allow-origin']).toBe('https://acme.example');
  });

  it('does not support response_mode=web_message (RFC 9700, section 4.17)', async () => {
    const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
    expect(json.response_modes_supported).toEqual(expect.arrayContaining(['query', 'form_post']));
    expect(json.response_modes_supported).not.toContain('web_message');
    const page = await authorize(client, { response_mode: 'web_message' }, browser);
    expect(page.html).not.toContain('postMessage');
    expect(page.url.searchParams.get('code')).toBeNull();
    expect(page.status === 400 || page.url.searchParams.has('error')).toBe(true);
  });
});
