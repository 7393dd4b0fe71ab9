// Stored tokens of external providers, from the sign-in to the app that uses them. One provider is
// another Signet, whose refresh tokens are single-use.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../src/base/paging.js';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser, formsOf } from '../support/browser.js';
import {
  callbackOf,
  type FakeProvider,
  newExternalUser,
  openFakeProvider,
  pressProviderButton,
  SETTINGS,
  signInWithProvider,
  useFakeProvider,
} from '../support/fake-providers.js';
import { movableClock } from '../support/movable-clock.js';
import { signInAndConsent } from '../support/relying-party.js';
import { callApi, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { concurrently } from '../support/token-family.js';

const HOUR_MS = 3_600_000;

describe.each(stores)('a stored provider token on $name', (store) => {
  const providers = {} as Record<FakeProvider['kind'], FakeProvider>;
  /** The provider. It revokes the token family when a refresh token is reused. */
  let acme: TestServer;
  let server: TestServer;
  let secondServer: TestServer;
  const { clock, later } = movableClock();

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) providers[kind] = await openFakeProvider(kind);
    acme = await startServer({ settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' }, clock });
    const client = await acme.client({ redirect_uris: ['http://localhost/login/with/acme/callback'] });
    const provider = { id: 'acme', name: 'Acme', issuer: acme.issuer, client_id: client.id };
    const settings = {
      ...SETTINGS,
      GITHUB_SCOPE: 'repo',
      GOOGLE_SCOPE: 'calendar',
      FEDERATION_STORE_TOKENS: 'google, acme, github',
      OIDC_PROVIDERS: JSON.stringify([{ ...provider, client_secret: client.secret, scope: 'offline_access' }]),
    };
    const wrapBase = useFakeProvider(...Object.values(providers));
    server = await startServer({ store, settings, wrapBase, clock });
    secondServer = await startServer({ sharedWith: server, settings, wrapBase, clock });
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
    await acme.close();
    for (const provider of Object.values(providers)) await provider.close();
  });

  /** Signs the user in to the JSON API. Returns the access token. */
  async function accessTokenOf(email: string): Promise<string> {
    const account = (await server.core.accounts.findByEmail(email))!;
    return (await server.core.sessionIssuer.issueTokens({ account, amr: ['fed'] }, systemMeta)).tokens.accessToken;
  }
  const readToken = (linkId: string, token: string, target = server) =>
    callApi(target, 'GET', `/auth/links/${linkId}/token`, { token });
  const linkOf = async (email: string) => {
    const account = (await server.core.accounts.findByEmail(email))!;
    return (await server.core.links.list(account.id))[0]!;
  };
  async function signInWithAcme(browser: Browser, atAcme: Browser, email: string) {
    const providerPage = await pressProviderButton(browser, await browser.open('/login'), 'acme');
    return browser.open(await signInAndConsent(atAcme, providerPage.url.href, email));
  }
  /** Returns the user's address at the provider, or the status of an error. */
  const fetchEmail = async (accessToken: unknown) => {
    const authorization = `Bearer ${accessToken}`;
    const { status, json } = await sendRequest(acme, 'GET', '/oauth/userinfo', { authorization });
    return status === 200 ? json.email : status;
  };

  it('is accepted by the provider, and refreshed once for concurrent requests', async () => {
    const user = newExternalUser({ email: 'mara@acme.example' });
    await acme.account(user.email, user.name);
    const browser = new Browser(server.origin);
    const atAcme = new Browser(acme.origin);
    const providerPage = await pressProviderButton(browser, await browser.open('/login'), 'acme');
    const { scope, prompt } = Object.fromEntries(providerPage.url.searchParams);
    expect([scope, prompt]).toEqual(['openid profile email offline_access', 'consent']);
    const home = await browser.open(await signInAndConsent(atAcme, providerPage.url.href, user.email!));
    expect(home.url.pathname).toBe('/account');
    const again = await signInWithAcme(new Browser(server.origin), atAcme, user.email!);
    expect(again.url.pathname).toBe('/account');

    const { id, hasStoredTokens } = await linkOf(user.email!);
    expect(hasStoredTokens).toBe(true);
    const first = await readToken(id, await accessTokenOf(user.email!));
    expect(first.json).toMatchObject({ token_type: 'bearer', scope: 'openid profile email offline_access' });
    expect(await fetchEmail(first.json.access_token)).toBe(user.email);

    let previous = first.json.access_token;
    for (const hours of [9, 18, 27]) {
      await later(hours * HOUR_MS, async () => {
        const token = await accessTokenOf(user.email!);
        const responses = await concurrently(10, (n) => readToken(id, token, n % 2 ? server : secondServer));
        expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200));
        const [current, ...others] = new Set(responses.map(({ json }) => json.access_token));
        expect(others).toEqual([]);
        expect(current).not.toBe(previous);
        expect(await fetchEmail(current), 'no refresh token was reused').toBe(user.email);
        previous = current;
      });
    }
  });

  it('is discarded once the user has revoked it at the provider, until the next sign-in', async () => {
    const { email } = await acme.account('revoked@acme.example');
    const browser = new Browser(server.origin);
    const atAcme = new Browser(acme.origin);
    const signIn = () => signInWithAcme(browser, atAcme, email);
    await signIn();
    const { id } = await linkOf(email);
    const account = (await acme.core.accounts.findByEmail(email))!;
    const [consent] = (await acme.core.consents.list(account.id, FIRST_PAGE)).items;
    await acme.core.consents.revoke(account.id, consent!.clientId, systemMeta);
    await later(9 * HOUR_MS, async () => {
      const { status, json } = await readToken(id, await accessTokenOf(email));
      expect([status, json.error]).toEqual([409, 'provider_sign_in_required']);
      expect((await readToken(id, await accessTokenOf(email))).status).toBe(404);
    });
    browser.cookies.clear();
    expect((await signIn()).url.pathname).toBe('/account');
    expect((await readToken(id, await accessTokenOf(email))).status).toBe(200);
  });

  it('is revoked at the provider when the user removes the sign-in method', async () => {
    const { email } = await acme.account('leaving@acme.example');
    const browser = new Browser(server.origin);
    await signInWithAcme(browser, new Browser(acme.origin), email);
    const { id } = await linkOf(email);
    const { json } = await readToken(id, await accessTokenOf(email));
    expect(await fetchEmail(json.access_token)).toBe(email);
    const page = await browser.open('/account/security');
    expect(page.html).toContain('Apps can act for you at Acme: its encrypted token is stored');
    const password = formsOf(page.html).findIndex(({ fields }) => 'password' in fields);
    const changed = await browser.submit(page, { password: 'nine unrelated lanterns' }, password);
    const remove = formsOf(changed.html).findIndex(({ fields }) => 'id' in fields);
    const removed = await browser.submit(changed, {}, remove);
    expect(removed.html).toContain('The sign-in method was removed');
    expect(removed.html).not.toContain('Apps can act');
    await server.core.waitUntilIdle();
    expect(await fetchEmail(json.access_token)).toBe(401);
  });

  it.each([
    ['github', { scope: 'read:user user:email repo', access_type: undefined, prompt: undefined }],
    ['google', { scope: 'openid profile email calendar', access_type: 'offline', prompt: undefined }],
    ['linkedin', { scope: 'openid profile email', access_type: undefined, prompt: undefined }],
  ] as const)('is requested with the parameters of %s', async (id, expected) => {
    providers[id].user = newExternalUser();
    const browser = new Browser(server.origin);
    const { url } = await pressProviderButton(browser, await browser.open('/login'), id);
    const { scope, access_type, prompt } = Object.fromEntries(url.searchParams);
    expect({ scope, access_type, prompt }).toEqual(expected);
    await signInWithProvider(browser, id);
    const link = await linkOf(providers[id].user.email!);
    const { status, json } = await readToken(link.id, await accessTokenOf(providers[id].user.email!));
    if (id === 'linkedin') return expect([status, link.hasStoredTokens]).toEqual([404, false]);
    expect([status, json.scope]).toEqual([200, expected.scope]);
    const { html } = await browser.open('/account/security');
    expect(html).toContain(`Apps can act for you at ${id === 'github' ? 'GitHub' : 'Google'}`);
  });

  it('is requested with consent once more if Google returns no refresh token because the user consented before', async () => {
    const google = providers.google;
    const user = newExternalUser();
    google.user = user;
    const page = new URL(google.issuer);
    const prompts = () =>
      google.requests.filter(({ path }) => path === '/o/oauth2/v2/auth').map(({ query }) => query.get('prompt'));
    page.pathname = '/o/oauth2/v2/auth';
    page.search = String(new URLSearchParams({ redirect_uri: 'https://app.example/', state: 'state of another app' }));
    await fetch(page, { redirect: 'manual' });

    google.requests.length = 0;
    const browser = new Browser(server.origin);
    const askedAgain = await signInWithProvider(browser, 'google');
    expect(askedAgain.url.origin).toBe(new URL(google.issuer).origin);
    expect(await server.core.accounts.findByEmail(user.email!), 'no account before the sign-in is complete').toBeNull();
    expect(browser.cookies.has('signet_login')).toBe(false);
    expect((await browser.open(await callbackOf(askedAgain.url))).url.pathname).toBe('/account');
    expect(prompts()).toEqual([null, 'consent']);
    const { id } = await linkOf(user.email!);
    await later(2 * HOUR_MS, async () => {
      expect((await readToken(id, await accessTokenOf(user.email!))).status).toBe(200);
    });

    google.requests.length = 0;
    expect((await signInWithProvider(new Browser(server.origin), 'google')).url.pathname).toBe('/account');
    expect(prompts()).toEqual([null]);
  });

  it('is requested only once more, also when linking, if the provider returns no refresh token', async () => {
    const google = providers.google;
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    google.user = newExternalUser();
    const security = await browser.open('/account/security');
    const n = formsOf(security.html).findIndex(({ fields }) => fields.provider === 'google');
    const providerPage = await browser.submit(security, {}, n);
    const callbackWithoutRefreshToken = (url: URL) => {
      const changed = new URL(url);
      changed.searchParams.delete('access_type');
      return callbackOf(changed);
    };
    const askedAgain = await browser.open(await callbackWithoutRefreshToken(providerPage.url));
    expect([askedAgain.url.origin, askedAgain.url.searchParams.get('prompt')]).toEqual([
      new URL(google.issuer).origin,
      'consent',
    ]);
    const linked = await browser.open(await callbackWithoutRefreshToken(askedAgain.url));
    expect(linked.url.search).toBe('?notice=linked');
    const { id } = await linkOf(email);
    expect((await readToken(id, await accessTokenOf(email))).status).toBe(200);
  });

  it('is not mentioned on the security page if none is stored', async () => {
    providers.linkedin.user = newExternalUser();
    const browser = new Browser(server.origin);
    await signInWithProvider(browser, 'linkedin');
    const { html } = await browser.open('/account/security');
    expect(html).toContain('LinkedIn');
    expect(html).not.toContain('Apps can act');
  });
});
