// A provider elsewhere at its worst: what is answered, that nobody gets in by accident, and what is
// left behind.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
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
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

type Kind = FakeProvider['kind'];
const APP = 'https://app.example/callback';
const providers = {} as Record<Kind, FakeProvider>;
let server: TestServer;
let aheadMs = 0;
const HOUR_MS = 3_600_000;

beforeAll(async () => {
  for (const kind of ['github', 'google', 'linkedin'] as const) providers[kind] = await openFakeProvider(kind);
  server = await startServer({
    settings: { ...SETTINGS, FEDERATION_REDIRECT_URIS: APP, FEDERATION_STORE_TOKENS: 'github' },
    wrapBase: useFakeProvider(...Object.values(providers)),
    clock: { now: () => new Date(Date.now() + aheadMs) },
  });
});
afterEach(() => {
  for (const one of Object.values(providers)) one.reset();
});
afterAll(async () => {
  await server.close();
  for (const one of Object.values(providers)) await one.close();
});

/** The journey from the sign-in page. */
async function continueWith(id: Kind, person: ExternalUser) {
  providers[id].user = person;
  const browser = new Browser(server.origin);
  return { browser, page: await signInWithProvider(browser, id) };
}

const errorOn = ({ html }: Page) => /id="form-error" role="alert">([^<]*)</.exec(html)?.[1];

describe('a provider that cannot be used', () => {
  const failing: [string, Kind, string, (res: Parameters<typeof json>[0]) => unknown, number][] = [
    ['fails', 'github', '/login/oauth/access_token', (res) => json(res, 500, {}), 503],
    ['is busy', 'github', '/api/v3/user', (res) => json(res, 429, {}), 503],
    ['hangs up', 'google', '/token', (res) => void res.destroy(), 503],
    ['says that it fails', 'google', '/token', (res) => json(res, 400, { error: 'temporarily_unavailable' }), 503],
    ['does not know us', 'google', '/token', (res) => json(res, 401, { error: 'invalid_client' }), 502],
    [
      'does not know us, with a status of 200',
      'github',
      '/login/oauth/access_token',
      (res) => json(res, 200, { error: 'incorrect_client_credentials' }),
      502,
    ],
    [
      'is a page',
      'github',
      '/login/oauth/access_token',
      (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      502,
    ],
    ['sends elsewhere', 'github', '/api/v3/user', (res) => void res.writeHead(302, { location: '/stolen' }).end(), 502],
    [
      'answers without end',
      'github',
      '/api/v3/user',
      (res) => json(res, 200, { id: 1, pad: 'x'.repeat(200_000) }),
      502,
    ],
    ['gives no token', 'google', '/token', (res) => json(res, 200, { ok: true }), 502],
    [
      'gives no ID token',
      'google',
      '/token',
      (res) => json(res, 200, { access_token: 'a', token_type: 'bearer' }),
      502,
    ],
    [
      'gives a token that fits in no header',
      'github',
      '/login/oauth/access_token',
      (res) => json(res, 200, { access_token: 'github-\nx', token_type: 'bearer' }),
      502,
    ],
    ['gives no id', 'github', '/api/v3/user', (res) => json(res, 200, { login: 'mara' }), 502],
    ['gives a name for an id', 'github', '/api/v3/user', (res) => json(res, 200, { id: 'mara', login: 'mara' }), 502],
    ['gives nothing', 'github', '/api/v3/user', (res) => json(res, 200, null), 502],
    ['tells addresses that are none', 'github', '/api/v3/user/emails', (res) => json(res, 200, { email: 1 }), 502],
    [
      'tells of somebody else',
      'linkedin',
      '/userinfo',
      (res) => json(res, 200, { sub: 'other', email: 'a@b.example' }),
      502,
    ],
  ];

  it.each(failing)(
    'because it %s (%s) is told in words, and lets nobody in',
    async (_what, id, path, spoil, status) => {
      if (id === 'linkedin') providers.linkedin.claims = { email: undefined };
      providers[id].overrides[path] = spoil;
      const before = await server.base.db.account.count();
      const { page, browser } = await continueWith(id, newExternalUser());
      expect([page.status, errorOn(page)]).toEqual([
        status,
        expect.stringMatching(/^(GitHub|Google|LinkedIn) (returned an|is not)/),
      ]);
      expect(page.headers.get('retry-after') !== null).toBe(status === 503);
      expect(browser.cookies.has('signet_login')).toBe(false);
      expect(await server.base.db.account.count()).toBe(before);
      expect(providers[id].requests.map((asked) => asked.path)).not.toContain('/stolen');
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ['for another app', { aud: 'app-2' }],
    ['that was given to another app', { azp: 'app-2' }],
    ['of another issuer', { iss: 'https://evil.example' }],
    ['of long ago', { iat: 1, exp: 2 }],
    ['with another nonce', { nonce: 'another' }],
    ['without a nonce', { nonce: undefined }],
    ['of nobody', { sub: undefined }],
  ])('is one with an ID token %s', async (_what, claims) => {
    providers.google.claims = claims;
    const { page, browser } = await continueWith('google', newExternalUser());
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([502, false]);
  });

  it('is one whose ID token is signed with keys that it does not publish', async () => {
    providers.google.signsWithUnpublishedKey = true;
    const { page, browser } = await continueWith('google', newExternalUser());
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([502, false]);
  });

  it('does not stop anybody from signing in otherwise', async () => {
    providers.google.overrides['/token'] = (res) => json(res, 500, {});
    const { page, browser } = await continueWith('google', newExternalUser());
    const { email } = await server.account();
    expect((await browser.signIn(email, PASSWORD, page)).url.pathname).toBe('/account');
  });

  it('that knows the person, but tells no address, lets in whom we know, and makes no account', async () => {
    const person = newExternalUser({ email: undefined });
    const { page } = await continueWith('github', person);
    expect([page.status, errorOn(page)]).toEqual([502, 'GitHub returned no usable e-mail address.']);
    const known = newExternalUser();
    await continueWith('github', known);
    expect((await continueWith('github', { ...known, email: undefined })).page.url.pathname).toBe('/account');
  });
});

describe('a discovery document', () => {
  const DOCUMENT = '/.well-known/openid-configuration';
  const good = async () => (await (await fetch(providers.google.issuer + DOCUMENT)).json()) as object;

  it.each<[string, object, number]>([
    ['of another issuer', { issuer: 'https://evil.example' }, 502],
    ['of an issuer that has no address', { issuer: 'accounts.google.com' }, 502],
    ['without a page to sign in', { authorization_endpoint: undefined }, 502],
    ['with a page that is none', { authorization_endpoint: 'nonsense' }, 502],
    ['with a page that runs a script', { authorization_endpoint: 'javascript:alert(1)' }, 502],
    ['with a page that others listen in on', { authorization_endpoint: 'http://id.example/' }, 502],
    ['without a token endpoint', { token_endpoint: undefined }, 502],
    ['with a token endpoint that others listen in on', { token_endpoint: 'http://192.0.2.1/token' }, 502],
    ['with ways to prove who we are that are no list', { token_endpoint_auth_methods_supported: 1 }, 502],
    ['without keys', { jwks_uri: undefined }, 502],
    ['with keys that others could change', { jwks_uri: 'http://192.0.2.1/keys' }, 502],
    ['with algorithms that anybody can sign with', { id_token_signing_alg_values_supported: ['none', 'HS256'] }, 502],
  ])('%s is not used', async (_what, change, status) => {
    const document = { ...(await good()), ...change };
    aheadMs += 2 * HOUR_MS; // the one before is forgotten
    providers.google.overrides[DOCUMENT] = (res) => json(res, 200, document);
    const browser = new Browser(server.origin);
    const page = await signInWithProvider(browser, 'google');
    expect([page.status, browser.cookies.has('signet_login')]).toEqual([status, false]);
    expect(errorOn(page)).toBe('Google returned an invalid response.');
  });

  it.each<[string, (res: Parameters<typeof json>[0]) => unknown, number]>([
    ['is not there', (res) => json(res, 404, {}), 502],
    ['is a page', (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), 502],
    ['fails', (res) => json(res, 503, {}), 503],
    ['is not told', (res) => void res.destroy(), 503],
  ])('that %s is told of before anybody leaves, and asked for again', async (_what, spoil, status) => {
    aheadMs += 2 * HOUR_MS;
    providers.google.overrides[DOCUMENT] = spoil;
    const browser = new Browser(server.origin);
    const page = await pressProviderButton(browser, await browser.open('/login'), 'google');
    expect([page.status, page.url.origin]).toEqual([status, server.origin]);
    providers.google.overrides = {};
    expect((await signInWithProvider(browser, 'google')).url.pathname).toBe('/account');
  });
});

describe('an answer', () => {
  it('that comes after ten minutes is too late', async () => {
    const browser = new Browser(server.origin);
    const away = await pressProviderButton(browser, await browser.open('/login'), 'github');
    aheadMs += HOUR_MS / 5;
    const page = await browser.open(await callbackOf(away.url));
    expect([page.status, errorOn(page)]).toEqual([400, expect.stringContaining('expired')]);
  });

  it.each(['state=a&state=b', 'code=x', 'state=', 'state=%00', ''])('of %j is none', async (query) => {
    const browser = new Browser(server.origin);
    await pressProviderButton(browser, await browser.open('/login'), 'github');
    expect((await browser.open(`/login/with/github/callback?${query}`)).status).toBe(400);
  });
});

describe('a provider that does not answer', () => {
  it('is waited for five seconds, and no longer', async () => {
    providers.github.overrides['/login/oauth/access_token'] = () => new Promise(() => {});
    const started = performance.now();
    const { page } = await continueWith('github', newExternalUser());
    expect(page.status).toBe(503);
    expect(performance.now() - started).toBeGreaterThan(4500);
  });

  it('takes nobody a token that lasts some seconds yet, however many wait for its renewal', async () => {
    const person = newExternalUser();
    providers.github.issuesExpiringTokens = true;
    await continueWith('github', person);
    const account = (await server.core.accounts.findByEmail(person.email!))!;
    const [link] = await server.core.links.list(account.id);
    aheadMs += 8 * HOUR_MS - 30_000;
    providers.github.overrides['/login/oauth/access_token'] = () => new Promise(() => {});
    const { tokens } = await server.core.sessionIssuer.issueTokens({ account, amr: ['fed'] }, systemMeta);
    const read = () => callApi(server, 'GET', `/auth/links/${link!.id}/token`, { token: tokens.accessToken });
    const all = await Promise.all([read(), read(), read()]);
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

describe('what is left behind', () => {
  it('is no token, code, state or secret of theirs: not in the log, not in the store', async () => {
    await continueWith('google', newExternalUser());
    providers.google.overrides['/token'] = (res) => json(res, 400, { error: 'invalid_client', token: 'google-secret' });
    await continueWith('google', newExternalUser());
    providers.google.claims = { email: undefined }; // it is asked for the address, with the token
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

describe('codes that are guessed', () => {
  it('are counted by address, but not those of a provider that fails', async () => {
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
    expect((await browser.signIn(email, PASSWORD)).url.pathname, 'the password still does').toBe('/account');
  });
});
