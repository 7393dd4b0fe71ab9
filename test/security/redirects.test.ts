// RFC 9700, redirects and responses: numbers 1 to 13 of the checklist, tried from outside. Of 4,
// the callback of a social provider joins when there is one.

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

const EVIL = 'evil.example';
const PUBLIC = { token_endpoint_auth_method: 'none' };

describe('redirects and responses', () => {
  let server: TestServer;
  let client: TestClient;
  let stranger: TestClient;
  let email: string;
  let person: Browser;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client();
    stranger = await registerDynamically(server);
    ({ email } = await server.account());
    person = new Browser(server.origin);
    await person.signIn(email, PASSWORD);
  });
  afterAll(() => server.close());

  const pathOf = (url: string) => url.slice(server.origin.length);

  /** The very first answer to an authorization request of somebody who may be signed in. */
  function authorize(app: { id: string }, more: Record<string, string>, browser = new Browser(server.origin)) {
    return browser.open(authorizeUrl(server, app, pkce().challenge, more));
  }

  function expectOwnErrorPage(page: Page) {
    expect([page.url.origin, page.status, page.headers.get('location')]).toEqual([server.origin, 400, null]);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.html).toContain('<h1>');
  }

  describe('1. a redirect URI is compared by exact string', () => {
    it.each([
      ['an extra path', `${REDIRECT_URI}/more`],
      ['a query', `${REDIRECT_URI}?x=1`],
      ['an empty query', `${REDIRECT_URI}?`],
      ['another case of the path', 'https://acme.example/CB'],
      ['another case of the host', 'https://ACME.example/cb'],
      ['another case of the scheme', 'HTTPS://acme.example/cb'],
      ['a trailing slash', `${REDIRECT_URI}/`],
      ['userinfo', 'https://x@acme.example/cb'],
      ['userinfo that looks like the host', `https://acme.example@${EVIL}/cb`],
      ['an encoded letter', 'https://acme.example/%63b'],
      ['an encoded slash', 'https://acme.example%2fcb'],
      ['an encoded host', 'https://%61cme.example/cb'],
      ['a sub-domain', 'https://www.acme.example/cb'],
      ['the host as a sub-domain of another', `https://acme.example.${EVIL}/cb`],
      ['a default port', 'https://acme.example:443/cb'],
      ['another port', 'https://acme.example:8443/cb'],
      ['a dot segment', 'https://acme.example/x/../cb'],
      ['an encoded dot segment', 'https://acme.example/x/%2e%2e/cb'],
      ['a doubled slash', 'https://acme.example//cb'],
      ['a backslash', `https://acme.example\\@${EVIL}/cb`],
      ['a fragment', `${REDIRECT_URI}#x`],
      ['another scheme', 'http://acme.example/cb'],
      ['a full stop after the host', 'https://acme.example./cb'],
      ['a letter that looks alike', 'https://аcme.example/cb'],
      ['a space after it', `${REDIRECT_URI} `],
      ['a line feed after it', `${REDIRECT_URI}\n`],
      ['two in one', `${REDIRECT_URI},https://${EVIL}/cb`],
    ])('refuses %s', async (_what, redirectUri) => {
      expectOwnErrorPage(await authorize(client, { redirect_uri: redirectUri }, person));
      expectOwnErrorPage(await authorize(client, { redirect_uri: redirectUri, prompt: 'none' }, person));
      const pushed = await postForm(
        server,
        '/oauth/par',
        { response_type: 'code', redirect_uri: redirectUri, code_challenge: pkce().challenge, scope: 'openid' },
        { client },
      );
      expect(pushed.status).toBe(400);
    });
  });

  describe('2. a loopback redirect URI takes any port, and nothing else', () => {
    const open = async (registered: string, asked: string) => {
      const app = await server.client({ ...PUBLIC, redirect_uris: [registered] });
      return authorize(app, { redirect_uri: asked });
    };

    it.each(['http://127.0.0.1', 'http://[::1]', 'http://localhost'])('on %s', async (host) => {
      expect(isLogin(await open(`${host}/cb`, `${host}:49152/cb`))).toBe(true);
      expectOwnErrorPage(await open(`${host}/cb`, `${host}:49152/cb/x`));
      expectOwnErrorPage(await open(`${host}/cb`, `${host}:49152/`));
      expectOwnErrorPage(await open(`${host}/cb`, `${host.replace('http', 'https')}:49152/cb`));
      expectOwnErrorPage(await open(`${host}/cb`, `${host}:49152@${EVIL}/cb`));
      expectOwnErrorPage(await open(`${host}/cb`, `${host}.${EVIL}/cb`));
    });
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
  ])('3. registration refuses the redirect URI %s', async (uri) => {
    expect((await requestRegistration(server, { redirect_uris: [uri] })).json.error).toBe('invalid_redirect_uri');
  });

  describe('4. there is no open redirector', () => {
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

    /** Where a browser would go from here, by whatever way. */
    const leadsTo = (headers: Record<string, string | undefined>) =>
      [headers.location, headers.refresh?.split('url=')[1]].flatMap((target) =>
        target === undefined ? [] : [new URL(target, server.origin).origin],
      );

    it.each(['/', '/login', '/register', '/logout', '/setup', '/account', '/device', '/oauth/logout'])(
      'at %s',
      async (path) => {
        for (const target of TARGETS) {
          const query = new URLSearchParams([
            ...NAMES.map((name) => [name, target]),
            ['post_logout_redirect_uri', target],
          ]);
          const answer = await sendRequest(server, 'GET', `${path}?${query}`, { accept: 'text/html' });
          expect(
            leadsTo(answer.headers).every((origin) => origin === server.origin),
            target,
          ).toBe(true);
          for (const [, link = ''] of answer.text.matchAll(/(?:href|action|src)="([^"]*)"/g)) {
            expect(new URL(link, server.origin).origin, `${path} ${target}: ${link}`).toBe(server.origin);
          }
        }
      },
    );

    it('behind the sign-in form', async () => {
      for (const target of TARGETS) {
        const browser = new Browser(server.origin);
        const page = await browser.open(`/login?return_to=${encodeURIComponent(target)}`);
        const { url } = await browser.signIn(email, PASSWORD, page);
        expect(url.origin, target).toBe(server.origin);
      }
    });

    it('behind signing out with an address that is not registered', async () => {
      const obtained = await obtainCode(server, client, email, {}, person);
      const { body } = await redeemCode(server, client, obtained);
      const query = { id_token_hint: body.id_token!, post_logout_redirect_uri: `https://${EVIL}/` };
      expectOwnErrorPage(await person.open(`/oauth/logout?${new URLSearchParams(query)}`));
    });
  });

  it('5. an invalid pair of client and redirect URI gets an error page, never a redirect', async () => {
    const other = await server.client({ redirect_uris: ['https://other.example/cb'] });
    const start = (change: (query: URLSearchParams) => void) => {
      const url = new URL(authorizeUrl(server, client, pkce().challenge));
      change(url.searchParams);
      return person.open(url);
    };
    expectOwnErrorPage(await start((query) => query.set('client_id', 'unknown')));
    expectOwnErrorPage(await start((query) => query.set('client_id', other.id)));
    expectOwnErrorPage(await start((query) => query.delete('client_id')));
    expectOwnErrorPage(await start((query) => query.append('client_id', other.id)));
    const twice = await start((query) => query.append('redirect_uri', 'https://other.example/cb'));
    expect([server.origin, 'https://acme.example']).toContain(twice.url.origin);
    expect(twice.url.searchParams.get('code')).toBeNull();
    expectOwnErrorPage(await start((query) => query.set('redirect_uri', `https://${EVIL}/`)));
    expectOwnErrorPage(await start((query) => query.set('redirect_uri', 'nonsense')));
  });

  describe('6. a person is signed in before any redirect of a client that nobody vouches for, also with an error', () => {
    const FAULTS: [string, Record<string, string>][] = [
      ['an unknown response type', { response_type: 'token' }],
      ['an unknown prompt', { prompt: 'nonsense' }],
      ['no PKCE', { code_challenge_method: 'plain' }],
      ['an unknown resource', { resource: 'https://unknown.example' }],
      ['malformed claims', { claims: '{' }],
      ['a request object', { request: 'a.b.c' }],
    ];

    it.each(FAULTS)('%s: our page with a link, where nobody is signed in', async (_what, error) => {
      const page = await authorize(stranger, error);
      expect([page.url.origin, page.headers.get('location')]).toEqual([server.origin, null]);
      expect(page.status).toBe(400);
      expect(page.headers.get('refresh')).toBeNull();
      expect(page.html).not.toMatch(/http-equiv="?refresh|<script/i);
      const links = [...page.html.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href);
      expect(links.some((href) => href.startsWith(REDIRECT_URI))).toBe(true);
    });

    it.each(FAULTS)('%s: a redirect, where somebody is', async (_what, error) => {
      const { url } = await authorize(stranger, error, person);
      expect(url.href).toMatch(/^https:\/\/acme\.example\/cb[?#]error=\w+/); // after a # where the response type wants it
    });

    it('prompt=none: a redirect, for nobody can be asked', async () => {
      const { url } = await authorize(stranger, { prompt: 'none' });
      expect([url.origin, url.searchParams.get('error')]).toEqual(['https://acme.example', 'login_required']);
    });

    it('an honest request: the sign-in page', async () => {
      expect(isLogin(await authorize(stranger, {}))).toBe(true);
    });
  });

  describe('7. nobody is sent on unasked to a redirect URI that nobody vouches for', () => {
    it('a client that registered itself meets the consent page first, which names the host it goes to', async () => {
      const app = await registerDynamically(server, { client_uri: 'https://bank.example' });
      const page = await authorize(app, {}, person);
      expect(isConsent(page)).toBe(true);
      const text = page.html.replace(/<a [^>]*>/g, '');
      expect(text).toContain('acme.example');
      expect(text).not.toContain('bank.example');
      expect(page.html).toContain('not verified');
      const silent = await authorize(app, { prompt: 'none' }, person);
      expect(silent.url.searchParams.get('error')).toBe('consent_required');
    });

    it('a public client on this machine gets no code unseen at another port than before', async () => {
      const app = await registerDynamically(server, { ...PUBLIC, redirect_uris: ['http://localhost/cb'] });
      const at = (port: number, more = {}) =>
        authorize(app, { redirect_uri: `http://localhost:${port}/cb`, ...more }, person);
      await completeSignIn(person, await at(1111), email);
      expect((await at(2222, { prompt: 'none' })).url.searchParams.get('code')).toBeNull();
      expect(isConsent(await at(2222))).toBe(true);
    });
  });

  it('8. after a form with a credential the browser is never told to send it again (303, not 307 or 308)', async () => {
    const browser = new Browser(server.origin);
    const { challenge } = pkce();
    const app = await server.client();
    const post = async (page: Page, fields: Record<string, string>) => {
      const form = formsOf(page.html)[0]!;
      const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
      const { pathname, search } = new URL(form.action, page.url);
      const path = `${pathname}${search}`;
      const answer = await postForm(server, path, { ...form.fields, ...fields }, { headers: { cookie } });
      return answer.status;
    };
    const newcomer = { name: 'New', email: 'newcomer@example.com', password: PASSWORD };
    expect(await post(await browser.open('/register'), newcomer)).toBe(303);
    const login = await browser.open(authorizeUrl(server, app, challenge));
    expect(await post(login, { email, password: PASSWORD })).toBe(303);
    const consent = await browser.signIn(email, PASSWORD, login);
    expect(isConsent(consent)).toBe(true);
    expect(await post(consent, { decision: 'allow' })).toBe(303);
    expect(await post(await browser.open('/logout'), {})).toBe(303);
    const query = new URLSearchParams(new URL(authorizeUrl(server, app, challenge)).search).toString();
    expect((await sendRequest(server, 'POST', '/oauth/authorize', { 'content-type': FORM }, query)).status).toBe(303);
  });

  it('9. every answer says who gives it (iss, RFC 9207), which is advertised', async () => {
    const app = await server.client();
    const code = await signInAndConsent(person, authorizeUrl(server, app, pkce().challenge), email);
    const no = await authorize(app, { prompt: 'nonsense' });
    const consent = await authorize(await server.client(), {}, person);
    const denied = await person.submit(consent, { decision: 'deny' });
    for (const url of [code, no.url, denied.url]) {
      expect([url.origin, url.searchParams.get('iss')]).toEqual(['https://acme.example', server.issuer]);
    }
    const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
    expect(json.authorization_response_iss_parameter_supported).toBe(true);
  });

  it('10. pages load nothing from anywhere else, and tell nobody where the person comes from', async () => {
    const dressed = await registerDynamically(server, {
      logo_uri: `https://${EVIL}/logo.png`,
      client_uri: `https://${EVIL}/`,
      policy_uri: `https://${EVIL}/policy`,
      tos_uri: `https://${EVIL}/tos`,
    });
    const pages = [
      await new Browser(server.origin).open('/login'),
      await new Browser(server.origin).open('/register'),
      await authorize(dressed, {}),
      await authorize(dressed, {}, person),
      await authorize({ id: 'unknown' }, {}),
      await person.open('/account'),
      await person.open('/device'),
      await person.open('/oauth/logout'),
      await person.open('/logout'),
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

  it('11. an access token in the query string is refused', async () => {
    const { body } = await redeemCode(server, client, await obtainCode(server, client, email, {}, person));
    const query = `/oauth/userinfo?access_token=${body.access_token}`;
    for (const method of ['GET', 'POST']) {
      const answer = await sendRequest(server, method, query, { 'content-type': FORM });
      expect([answer.status, answer.json.sub]).toEqual([400, undefined]);
    }
    const right = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${body.access_token}` });
    expect(right.status).toBe(200);
  });

  it('12. no page of another origin may read the authorization endpoint; all may read what is public', async () => {
    const origin = `https://${EVIL}`;
    const start = pathOf(authorizeUrl(server, client, pkce().challenge));
    const preflight = { origin, 'access-control-request-method': 'GET' };
    for (const [method, headers] of [
      ['GET', { origin }],
      ['POST', { origin, 'content-type': FORM }],
      ['OPTIONS', preflight],
    ] as const) {
      const answer = await sendRequest(server, method, start, headers);
      const names = Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'));
      expect(names, method).toEqual([]);
    }
    for (const path of [
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/oauth/jwks',
    ]) {
      expect((await sendRequest(server, 'GET', path, { origin })).headers['access-control-allow-origin']).toBe('*');
    }
    const refused = await requestRegistration(server, { redirect_uris: [] }, { origin });
    expect(refused.headers['access-control-allow-origin']).toBe('*');
    const app = await server.client(PUBLIC);
    const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI };
    const own = await postForm(server, '/oauth/token', params, {
      client: app,
      headers: { origin: 'https://acme.example' },
    });
    expect(own.headers['access-control-allow-origin']).toBe('https://acme.example');
  });

  it('13. there is no web_message', async () => {
    const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
    expect(json.response_modes_supported).toEqual(expect.arrayContaining(['query', 'form_post']));
    expect(json.response_modes_supported).not.toContain('web_message');
    const page = await authorize(client, { response_mode: 'web_message' }, person);
    expect(page.html).not.toContain('postMessage');
    expect(page.url.searchParams.get('code')).toBeNull();
    expect([page.status, page.url.searchParams.get('error')].some((said) => said === 400 || said !== null)).toBe(true);
  });
});
