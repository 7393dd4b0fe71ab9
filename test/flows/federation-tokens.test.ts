// A token of a provider elsewhere, from the button to the app that uses it there: with another
// Signet as the provider, whose refresh tokens are good for one use. And what the person is told.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
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
import { signInAndConsent } from '../support/relying-party.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const HOUR_MS = 3_600_000;

describe.each(stores)('a token of a provider elsewhere, on $name', (store) => {
  const providers = {} as Record<FakeProvider['kind'], FakeProvider>;
  /**
   * The provider; it takes a refresh token once, and ends all that came of it when it is spent
   * again.
   */
  let acme: TestServer;
  let server: TestServer;
  let twin: TestServer;
  let aheadMs = 0;
  const clock = { now: () => new Date(Date.now() + aheadMs) };

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
    twin = await startServer({ sharedWith: server, settings, wrapBase, clock });
  });
  afterAll(async () => {
    await twin.close();
    await server.close();
    await acme.close();
    for (const one of Object.values(providers)) await one.close();
  });

  async function tokenOf(email: string): Promise<string> {
    const account = (await server.core.accounts.findByEmail(email))!;
    return (await server.core.sessionIssuer.issueTokens({ account, amr: ['fed'] }, systemMeta)).tokens.accessToken;
  }
  const read = (linkId: string, token: string, at = server) =>
    callApi(at, 'GET', `/auth/links/${linkId}/token`, { token });
  const linkOf = async (email: string) => {
    const account = (await server.core.accounts.findByEmail(email))!;
    return (await server.core.links.list(account.id))[0]!;
  };
  /** The journey by Acme. */
  async function comeByAcme(browser: Browser, atAcme: Browser, email: string) {
    const away = await pressProviderButton(browser, await browser.open('/login'), 'acme');
    return browser.open(await signInAndConsent(atAcme, away.url.href, email));
  }
  /** What the provider says of whoever brings this token. */
  const whoIs = async (accessToken: unknown) => {
    const headers = { authorization: `Bearer ${accessToken}` };
    const answer = await fetch(`${acme.origin}/oauth/userinfo`, { headers });
    return answer.status === 200 ? ((await answer.json()) as { email?: string }).email : answer.status;
  };

  it('acts for the person there, is renewed once for all who ask, and again and again', async () => {
    const person = newExternalUser({ email: 'mara@acme.example' });
    await acme.account(person.email, person.name);
    const browser = new Browser(server.origin);
    const atAcme = new Browser(acme.origin);
    const away = await pressProviderButton(browser, await browser.open('/login'), 'acme');
    const asked = Object.fromEntries(away.url.searchParams);
    expect([asked.scope, asked.prompt]).toEqual(['openid profile email offline_access', 'consent']);
    const inside = await browser.open(await signInAndConsent(atAcme, away.url.href, person.email!));
    expect(inside.url.pathname).toBe('/account');
    const again = await comeByAcme(new Browser(server.origin), atAcme, person.email!);
    expect(again.url.pathname).toBe('/account');

    const { id, hasStoredToken } = await linkOf(person.email!);
    expect(hasStoredToken).toBe(true);
    const first = await read(id, await tokenOf(person.email!));
    expect(first.json).toMatchObject({ token_type: 'bearer', scope: 'openid profile email offline_access' });
    expect(await whoIs(first.json.access_token)).toBe(person.email);

    let before = first.json.access_token;
    for (const hours of [9, 18, 27]) {
      aheadMs = hours * HOUR_MS;
      const token = await tokenOf(person.email!);
      const all = await Promise.all(Array.from({ length: 10 }, (_, n) => read(id, token, n % 2 ? server : twin)));
      expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200));
      const [now, ...others] = new Set(all.map(({ json }) => json.access_token));
      expect(others).toEqual([]);
      expect(now).not.toBe(before);
      expect(await whoIs(now), 'nobody has spent a refresh token twice').toBe(person.email);
      before = now;
    }
    aheadMs = 0;
  });

  it('is no longer told once the person ended it at the provider, until they come again', async () => {
    const { email } = await acme.account('taken-back@acme.example');
    const browser = new Browser(server.origin);
    const atAcme = new Browser(acme.origin);
    const comeIn = () => comeByAcme(browser, atAcme, email);
    await comeIn();
    const { id } = await linkOf(email);
    const account = (await acme.core.accounts.findByEmail(email))!;
    const [consent] = await acme.core.consents.list(account.id);
    await acme.core.consents.revoke(account.id, consent!.clientId, systemMeta);
    aheadMs = 9 * HOUR_MS;
    const { status, json } = await read(id, await tokenOf(email));
    expect([status, json.error]).toEqual([409, 'provider_sign_in_required']);
    expect((await read(id, await tokenOf(email))).status).toBe(404);
    aheadMs = 0;
    browser.cookies.clear();
    expect((await comeIn()).url.pathname).toBe('/account');
    expect((await read(id, await tokenOf(email))).status).toBe(200);
  });

  it('is revoked at the provider when the person removes it here', async () => {
    const { email } = await acme.account('leaving@acme.example');
    const browser = new Browser(server.origin);
    await comeByAcme(browser, new Browser(acme.origin), email);
    const { id } = await linkOf(email);
    const { json } = await read(id, await tokenOf(email));
    expect(await whoIs(json.access_token)).toBe(email);
    const page = await browser.open('/account/security');
    expect(page.html).toContain('Apps can act for you at Acme: its encrypted token is stored');
    const password = formsOf(page.html).findIndex(({ fields }) => 'password' in fields);
    const chosen = await browser.submit(page, { password: 'nine unrelated lanterns' }, password);
    const remove = formsOf(chosen.html).findIndex(({ fields }) => 'id' in fields);
    const gone = await browser.submit(chosen, {}, remove);
    expect(gone.html).toContain('The sign-in method was removed');
    expect(gone.html).not.toContain('Apps can act');
    await server.core.waitUntilIdle();
    expect(await whoIs(json.access_token)).toBe(401);
  });

  it.each([
    ['github', { scope: 'read:user user:email repo', access_type: undefined, prompt: undefined }],
    ['google', { scope: 'openid profile email calendar', access_type: 'offline', prompt: undefined }],
    ['linkedin', { scope: 'openid profile email', access_type: undefined, prompt: undefined }],
  ] as const)('of %s is asked for in its own words', async (id, expected) => {
    providers[id].user = newExternalUser();
    const browser = new Browser(server.origin);
    const { url } = await pressProviderButton(browser, await browser.open('/login'), id);
    const { scope, access_type, prompt } = Object.fromEntries(url.searchParams);
    expect({ scope, access_type, prompt }).toEqual(expected);
    await signInWithProvider(browser, id);
    const link = await linkOf(providers[id].user.email!);
    const { status, json } = await read(link.id, await tokenOf(providers[id].user.email!));
    if (id === 'linkedin') return expect([status, link.hasStoredToken]).toEqual([404, false]);
    expect([status, json.scope]).toEqual([200, expected.scope]);
    const { html } = await browser.open('/account/security');
    expect(html).toContain(`Apps can act for you at ${id === 'github' ? 'GitHub' : 'Google'}`);
  });

  it('of Google can be renewed also for whoever said yes before, who is asked once more, and then never again', async () => {
    const google = providers.google;
    const person = newExternalUser();
    google.user = person;
    const page = new URL(google.issuer);
    const asked = () =>
      google.requests.filter(({ path }) => path === '/o/oauth2/v2/auth').map(({ query }) => query.get('prompt'));
    page.pathname = '/o/oauth2/v2/auth';
    page.search = String(new URLSearchParams({ redirect_uri: 'https://app.example/', state: 'of another app' }));
    await fetch(page, { redirect: 'manual' });

    google.requests.length = 0;
    const browser = new Browser(server.origin);
    const once = await signInWithProvider(browser, 'google');
    expect(once.url.origin).toBe(new URL(google.issuer).origin);
    expect(await server.core.accounts.findByEmail(person.email!), 'nobody is let in half-way').toBeNull();
    expect(browser.cookies.has('signet_login')).toBe(false);
    expect((await browser.open(await callbackOf(once.url))).url.pathname).toBe('/account');
    expect(asked()).toEqual([null, 'consent']);
    const { id } = await linkOf(person.email!);
    aheadMs = 2 * HOUR_MS;
    expect((await read(id, await tokenOf(person.email!))).status).toBe(200);
    aheadMs = 0;

    google.requests.length = 0;
    expect((await signInWithProvider(new Browser(server.origin), 'google')).url.pathname).toBe('/account');
    expect(asked()).toEqual([null]);
  });

  it('is asked for once more, not for ever, of a provider that gives none; and by whoever links it', async () => {
    const google = providers.google;
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    google.user = newExternalUser();
    const security = await browser.open('/account/security');
    const n = formsOf(security.html).findIndex(({ fields }) => fields.provider === 'google');
    const away = await browser.submit(security, {}, n);
    const bare = (url: URL) => {
      const plain = new URL(url);
      plain.searchParams.delete('access_type'); // as if it knew no such word
      return callbackOf(plain);
    };
    const once = await browser.open(await bare(away.url));
    expect([once.url.origin, once.url.searchParams.get('prompt')]).toEqual([new URL(google.issuer).origin, 'consent']);
    const linked = await browser.open(await bare(once.url));
    expect(linked.url.search).toBe('?notice=linked');
    const { id } = await linkOf(email);
    expect((await read(id, await tokenOf(email))).status).toBe(200);
  });

  it('is not spoken of to somebody of whom none is kept', async () => {
    providers.linkedin.user = newExternalUser();
    const browser = new Browser(server.origin);
    await signInWithProvider(browser, 'linkedin');
    const { html } = await browser.open('/account/security');
    expect(html).toContain('LinkedIn');
    expect(html).not.toContain('Apps can act');
  });
});
