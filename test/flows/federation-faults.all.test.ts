// Failures and invalid responses of external providers: which error the user sees, that no session
// starts, and that no secret is logged or stored.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser, type Page } from '../support/browser.js';
import {
  callbackOf,
  type ExternalUser,
  type FakeProvider,
  json,
  newExternalUser,
  openFakeProvider,
  pressProviderButton,
  SETTINGS,
  signInWithProvider,
  useFakeProvider,
} from '../support/fake-providers.js';
import { movableClock } from '../support/movable-clock.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

type Kind = FakeProvider['kind'];
const APP = 'https://app.example/callback';
const providers = {} as Record<Kind, FakeProvider>;
let server: TestServer;
const { clock, advance, later } = movableClock();
const HOUR_MS = 3_600_000;
/** Longer than a discovery document is cached. */
const CACHE_EXPIRY_MS = 2 * HOUR_MS;

beforeAll(async () => {
  for (const kind of ['github', 'google', 'linkedin'] as const) providers[kind] = await openFakeProvider(kind);
  server = await startServer({
    settings: { ...SETTINGS, FEDERATION_REDIRECT_URIS: APP, FEDERATION_STORE_TOKENS: 'github' },
    wrapBase: useFakeProvider(...Object.values(providers)),
    clock,
  });
});
afterEach(() => {
  for (const provider of Object.values(providers)) provider.reset();
});
afterAll(async () => {
  await server.close();
  for (const provider of Object.values(providers)) await provider.close();
});

/** Signs the user in from the sign-in page. */
async function continueWith(id: Kind, user: ExternalUser) {
  providers[id].user = user;
  const browser = new Browser(server.origin);
  return { browser, page: await signInWithProvider(browser, id) };
}

const errorOn = ({ html }: Page) => /id="form-error" role="alert">([^<]*)</.exec(html)?.[1];

describe('sign-in with a failing provider', () => {
  const failing: [string, Kind, string, (res: Parameters<typeof json>[0]) => unknown, number][] = [
    ['fails with 500', 'github', '/login/oauth/access_token', (res) => json(res, 500, {}), 503],
    ['is rate-limited', 'github', '/api/v3/user', (res) => json(res, 429, {}), 503],
    ['closes the connection', 'google', '/token', (res) => void res.destroy(), 503],
    [
      'returns temporarily_unavailable',
      'google',
      '/token',
      (res) => json(res, 400, { error: 'temporarily_unavailable' }),
      503,
    ],
    ['returns invalid_client', 'google', '/token', (res) => json(res, 401, { error: 'invalid_client' }), 502],
    [
      'returns invalid_client with a status of 200',
      'github',
      '/login/oauth/access_token',
      (res) => json(res, 200, { error: 'incorrect_client_credentials' }),
      502,
    ],
    [
      'returns HTML',
      'github',
      '/login/oauth/access_token',
      (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      502,
    ],
    ['redirects', 'github', '/api/v3/user', (res) => void res.writeHead(302, { location: '/stolen' }).end(), 502],
    [
      'returns a response that is too large',
      'github',
      '/api/v3/user',
      (res) => json(res, 200, { id: 1, pad: 'x'.repeat(200_000) }),
      502,
    ],
    ['returns no token', 'google', '/token', (res) => json(res, 200, { ok: true }), 502],
    [
      'returns no ID token',
      'google',
      '/token',
      (res) => json(res, 200, { access_token: 'a', token_type: 'bearer' }),
      502,
    ],
    [
      'returns a token with a line break',
      'github',
      '/login/oauth/access_token',
      (res) => json(res, 200, { access_token: 'github-\nx', token_type: 'bearer' }),
      502,
    ],
    ['returns no user id', 'github', '/api/v3/user', (res) => json(res, 200, { login: 'mara' }), 502],
    [
      'returns a user id that is not a number',
      'github',
      '/api/v3/user',
      (res) => json(res, 200, { id: 'mara', login: 'mara' }),
      502,
    ],
    ['returns null', 'github', '/api/v3/user', (res) => json(res, 200, null), 502],
    [
      'returns e-mail addresses in another form',
      'github',
      '/api/v3/user/emails',
      (res) => json(res, 200, { email: 1 }),
      502,
    ],
    [
      'returns userinfo of another subject',
      'linkedin',
      '/userinfo',
      (res) => json(res, 200, { sub: 'other', email: 'a@b.example' }),
      502,
    ],
  ];

  it.each(failing)(
    'shows an error and starts no session when it %s (%s)',
    async (_case, id, path, override, status) => {
      if (id === 'linkedin') providers.linkedin.claims = { email: undefined };
      providers[id].overrides[path] = override;
      const accountsBefore = await server.base.db.account.count();
      const { page, browser } = await continueWith(id, newExternalUser());
      expect([page.status, errorOn(page)]).toEqual([
        status,
        expect.stringMatching(/^(GitHub|Google|LinkedIn) (returned an|is not)/),
      ]);
      expect(page.headers.get('retry-after') !== null).toBe(status === 503);
      expect(browser.cookies.has('signet_login')).toBe(false);
      expect(await server.base.db.account.count()).toBe(accountsBefore);
      expect(providers[id].requests.map((request) => request.path)).not.toContain('/stolen');
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ['for another client', { aud: 'app-2' }],
    ['of another authorized party', { azp: 'app-2' }],
    ['of another issuer', { iss: 'https://evil.example' }],
    ['that has expired', { iat: 1, exp: 2 }],
    ['with another nonce', { nonce: 'another' }],
    ['without a nonce', { nonce: undefined }],
    ['without a subject', { sub: undefined }],
  ])('rejects an ID token %s', async (_case, claims) => {
    providers.google.claims = claims;
    const { page, browser } = await continueWith('google', newExternalUser());
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([502, false]);
  });

  it('rejects an ID token signed with an unpublished key', async () => {
    providers.google.signsWithUnpublishedKey = true;
    const { page, browser } = await continueWith('google', newExternalUser());
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([502, false]);
  });

  it('leaves the sign-in with a password available', async () => {
    providers.google.overrides['/token'] = (res) => json(res, 500, {});
    const { page, browser } = await continueWith('google', newExternalUser());
    const { email } = await server.account();
    expect((await browser.signIn(email, PASSWORD, page)).url.pathname).toBe('/account');
  });

  it('accepts a user without an e-mail address only if the identity is linked', async () => {
    const user = newExternalUser({ email: undefined });
    const { page } = await continueWith('github', user);
    expect([page.status, errorOn(page)]).toEqual([502, 'GitHub returned no usable e-mail address.']);
    const linked = newExternalUser();
    await continueWith('github', linked);
    expect((await continueWith('github', { ...linked, email: undefined })).page.url.pathname).toBe('/account');
  });
});

describe('the discovery document of a provider', () => {
  const DOCUMENT = '/.well-known/openid-configuration';
  const fetchDocument = async () => (await (await fetch(providers.google.issuer + DOCUMENT)).json()) as object;

  it.each<[string, object, number]>([
    ['from another issuer', { issuer: 'https://evil.example' }, 502],
    ['with an issuer that is not a URL', { issuer: 'accounts.google.com' }, 502],
    ['without an authorization endpoint', { authorization_endpoint: undefined }, 502],
    ['with an authorization endpoint that is not a URL', { authorization_endpoint: 'nonsense' }, 502],
    ['with a javascript: authorization endpoint', { authorization_endpoint: 'javascript:alert(1)' }, 502],
    ['with an authorization endpoint without TLS', { authorization_endpoint: 'http://id.example/' }, 502],
    ['without a token endpoint', { token_endpoint: undefined }, 502],
    ['with a token endpoint without TLS', { token_endpoint: 'http://192.0.2.1/token' }, 502],
    ['with client authentication methods that are not a list', { token_endpoint_auth_methods_supported: 1 }, 502],
    ['without a jwks_uri', { jwks_uri: undefined }, 502],
    ['with a jwks_uri without TLS', { jwks_uri: 'http://192.0.2.1/keys' }, 502],
    [
      'with signing algorithms that need no private key',
      { id_token_signing_alg_values_supported: ['none', 'HS256'] },
      502,
    ],
  ])('is rejected %s', async (_case, change, status) => {
    const document = { ...(await fetchDocument()), ...change };
    advance(CACHE_EXPIRY_MS);
    providers.google.overrides[DOCUMENT] = (res) => json(res, 200, document);
    const browser = new Browser(server.origin);
    const page = await signInWithProvider(browser, 'google');
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([status, false]);
    expect(errorOn(page)).toBe('Google returned an invalid response.');
  });

  it.each<[string, (res: Parameters<typeof json>[0]) => unknown, number]>([
    ['returns 404', (res) => json(res, 404, {}), 502],
    ['returns HTML', (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), 502],
    ['fails with 503', (res) => json(res, 503, {}), 503],
    ['closes the connection', (res) => void res.destroy(), 503],
  ])(
    'is requested again, after an error before the redirect, when its endpoint %s',
    async (_case, override, status) => {
      advance(CACHE_EXPIRY_MS);
      providers.google.overrides[DOCUMENT] = override;
      const browser = new Browser(server.origin);
      const page = await pressProviderButton(browser, await browser.open('/login'), 'google');
      expect([page.status, page.url.origin]).toEqual([status, server.origin]);
      providers.google.overrides = {};
      expect((await signInWithProvider(browser, 'google')).url.pathname).toBe('/account');
    },
  );
});

describe('the callback of a provider', () => {
  it('rejects a response after ten minutes', async () => {
    const browser = new Browser(server.origin);
    const providerPage = await pressProviderButton(browser, await browser.open('/login'), 'github');
    const page = await later(HOUR_MS / 5, async () => browser.open(await callbackOf(providerPage.url)));
    expect([page.status, errorOn(page)]).toEqual([400, expect.stringContaining('expired')]);
  });

  it.each(['state=a&state=b', 'code=x', 'state=', 'state=%00', ''])('rejects the query %j', async (query) => {
    const browser = new Browser(server.origin);
    await pressProviderButton(browser, await browser.open('/login'), 'github');
    expect((await browser.open(`/login/with/github/callback?${query}`)).status).toBe(400);
  });
});

describe('a provider that does not respond', () => {
  it('fails the sign-in after five seconds', async () => {
    providers.github.overrides['/login/oauth/access_token'] = () => new Promise(() => {});
    const started = performance.now();
    const { page } = await continueWith('github', newExternalUser());
    expect(page.status).toBe(503);
    expect(performance.now() - started).toBeGreaterThan(4500);
  });

  it('does not prevent reading a stored token that is about to expire', async () => {
    const user = newExternalUser();
    providers.github.issuesExpiringTokens = true;
    await continueWith('github', user);
    const account = (await server.core.accounts.findByEmail(user.email!))!;
    const [link] = await server.core.links.list(account.id);
    providers.github.overrides['/login/oauth/access_token'] = () => new Promise(() => {});
    advance(8 * HOUR_MS - 30_000);
    const { tokens } = await server.core.sessionIssuer.issueTokens({ account, amr: ['fed'] }, systemMeta);
    const read = () => callApi(server, 'GET', `/auth/links/${link!.id}/token`, { token: tokens.accessToken });
    const responses = await Promise.all([read(), read(), read()]);
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

describe('secrets of a provider', () => {
  it('are neither logged nor stored in plain text', async () => {
    await continueWith('google', newExternalUser());
    providers.google.overrides['/token'] = (res) => json(res, 400, { error: 'invalid_client', token: 'google-secret' });
    await continueWith('google', newExternalUser());
    providers.google.claims = { email: undefined }; // so that the token is used at userinfo
    providers.google.tokenResponse = { access_token: 'google-\nx' };
    providers.google.overrides = {};
    expect((await continueWith('google', newExternalUser())).page.status).toBe(502);
    await server.core.audit.flush();
    const store = JSON.stringify(
      await Promise.all([
        server.base.db.oneTimeToken.findMany(),
        server.base.db.federatedIdentity.findMany(),
        server.base.db.auditEvent.findMany(),
      ]),
    );
    const state = providers.google.requests.map(({ query }) => query.get('state')).find(Boolean)!;
    const log = server.lines.join('\n');
    const secrets = providers.google.requests.flatMap(({ body }) => [...new URLSearchParams(body).values()]);
    for (const secret of [
      state,
      'google-',
      ...secrets.filter((text) => text.length > 20 && !text.startsWith('http')),
    ]) {
      expect(store).not.toContain(secret);
      expect(log).not.toContain(secret);
    }
  });
});

describe('code guesses at the callback of the JSON API', () => {
  it('are limited by address, without the requests that fail at the provider', async () => {
    const guess = () => callApi(server, 'POST', '/auth/google/callback', { body: { code: 'x', redirect_uri: APP } });
    providers.google.overrides['/token'] = (res) => json(res, 500, {});
    for (let n = 0; n < 110; n += 1) expect((await guess()).status).toBe(503);
    providers.google.overrides = {};
    const statuses: number[] = [];
    for (let n = 0; n < 110 && !statuses.includes(429); n += 1) statuses.push((await guess()).status);
    expect(statuses.at(-1)).toBe(429);
    expect(statuses.length).toBeGreaterThan(60);
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    expect((await browser.signIn(email, PASSWORD)).url.pathname, 'sign-in with a password').toBe('/account');
  });
});
