// Sign-in with external providers ("Continue with …"), in a browser, with each provider.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../src/base/paging.js';
import { enrol } from '../support/authenticator.js';
import { Browser, formsOf, type Page } from '../support/browser.js';
import {
  callbackOf,
  type ExternalUser,
  type FakeProvider,
  json,
  newExternalUser,
  openFakeProvider,
  pressProviderButton,
  SETTINGS,
  useFakeProvider,
} from '../support/fake-providers.js';
import { movableClock } from '../support/movable-clock.js';
import { authorizeUrl, pkce, redeemCode, signInAndConsent } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

type Kind = FakeProvider['kind'];
const providers = {} as Record<Kind, FakeProvider>;
/** Another Signet as an OpenID provider. */
let acme: TestServer;
let server: TestServer;
const { clock, later } = movableClock();
const MINUTE_MS = 60_000;

beforeAll(async () => {
  acme = await startServer();
  const client = await acme.client(
    { redirect_uris: ['http://localhost/login/with/acme/callback'] },
    { firstParty: false },
  );
  for (const kind of ['github', 'google', 'linkedin'] as const) providers[kind] = await openFakeProvider(kind);
  const provider = {
    id: 'acme',
    name: 'Acme',
    issuer: acme.issuer,
    client_id: client.id,
    client_secret: client.secret,
  };
  server = await startServer({
    settings: { ...SETTINGS, OIDC_PROVIDERS: JSON.stringify([{ ...provider, email_domains: ['acme.example'] }]) },
    wrapBase: useFakeProvider(...Object.values(providers)),
    clock,
  });
});
afterEach(() => {
  for (const provider of Object.values(providers)) provider.reset();
});
afterAll(async () => {
  await server.close();
  await acme.close();
  for (const provider of Object.values(providers)) await provider.close();
});

/** Authorizes at the provider as the user. Returns the callback URL with the response. */
async function authorize(id: string, url: URL, user: ExternalUser): Promise<URL> {
  if (id !== 'acme') {
    providers[id as Kind].user = user;
    return callbackOf(url);
  }
  if (!(await acme.core.accounts.findByEmail(user.email!))) await acme.account(user.email, user.name);
  return signInAndConsent(new Browser(acme.origin), url.href, user.email!);
}

/** Signs the user in from a page with provider buttons. */
async function continueWith(
  id: string,
  user: ExternalUser,
  { browser = new Browser(server.origin), at = '/login' } = {},
) {
  const providerPage = await pressProviderButton(browser, await browser.open(at), id);
  return { browser, page: await browser.open(await authorize(id, providerPage.url, user)) };
}

const findAccount = (email: string) => server.core.accounts.findByEmail(email);
const identitiesOf = async (email: string) => server.core.links.list((await findAccount(email))!.id);
const errorOn = ({ html }: Page) => /id="form-error" role="alert">([^<]*)</.exec(html)?.[1];

describe.each(['github', 'google', 'linkedin', 'acme'])('sign-in with %s', (id) => {
  it('creates an account, and recognizes the user again when their address has changed', async () => {
    const user = newExternalUser();
    const { page, browser } = await continueWith(id, user);
    expect([page.status, page.url.pathname]).toEqual([200, '/account']);
    expect(page.html).toContain(user.email);
    const account = await findAccount(user.email!);
    expect(account).toMatchObject({ passwordHash: null, role: 'viewer', name: 'Mara Lindqvist' });
    expect(account!.emailVerified).toBe(id === 'github' || id === 'google');
    expect(browser.cookies.has('signet_login')).toBe(true);

    if (id === 'acme') return;
    const { page: again } = await continueWith(id, { ...user, email: 'moved@other.example' });
    expect(again.html).toContain(user.email);
    expect(await findAccount('moved@other.example')).toBeNull();
    expect(await identitiesOf(user.email!)).toMatchObject([{ email: 'moved@other.example', provider: { id } }]);
  });

  it('continues the authorization request of a client', async () => {
    const client = await server.client();
    const { verifier, challenge } = pkce();
    const browser = new Browser(server.origin);
    const login = await browser.open(authorizeUrl(server, client, challenge));
    expect(login.html).toContain('to continue to <strong>Acme</strong>');
    const providerPage = await pressProviderButton(browser, login, id);
    const consent = await browser.open(await authorize(id, providerPage.url, newExternalUser()));
    const callback = (await browser.submit(consent, { decision: 'allow' })).url;
    const { status, body } = await redeemCode(server, client, { code: callback.searchParams.get('code')!, verifier });
    expect([status, body.token_type?.toLowerCase()]).toEqual([200, 'bearer']);
  });

  it('sends only parameters that the provider supports', async () => {
    const browser = new Browser(server.origin);
    const { url } = await pressProviderButton(browser, await browser.open('/register'), id);
    const query = Object.fromEntries(url.searchParams);
    const isLinkedin = id === 'linkedin';
    expect(query).toMatchObject({
      response_type: 'code',
      redirect_uri: `${server.issuer}/login/with/${id}/callback`,
      scope: id === 'github' ? 'read:user user:email' : 'openid profile email',
    });
    expect(query.state).toMatch(/^[\w-]{43}$/);
    expect(query.code_challenge_method).toBe(isLinkedin ? undefined : 'S256');
    expect('nonce' in query).toBe(!isLinkedin && id !== 'github');
  });

  it('asks for the second factor of the account', async () => {
    const user = newExternalUser();
    await continueWith(id, user);
    const account = (await findAccount(user.email!))!;
    const { app } = await enrol(server, new Date(), account);
    const { page, browser } = await continueWith(id, user);
    expect(page.html).toContain('Two-factor authentication');
    expect(browser.cookies.has('signet_login')).toBe(false);
    const wrong = await browser.submit(page, { otp: app.wrongCode() });
    expect(wrong.status).toBe(401);
    const home = await browser.submit(wrong, { otp: app.code(new Date(), 1) });
    expect(home.url.pathname).toBe('/account');
    const [login] = (await server.core.sessions.list(account.id, FIRST_PAGE)).items;
    expect(login!.amr).toEqual(['fed', 'otp']);
    await server.core.audit.flush();
    const [entry] = await server.core.audit.list({ accountId: account.id, action: 'sign_in.succeeded' });
    expect(entry!.detail).toMatchObject({ from: (await identitiesOf(user.email!))[0]!.issuer });
  });

  it('accepts a response once, in the browser that started the sign-in', async () => {
    const browser = new Browser(server.origin);
    const providerPage = await pressProviderButton(browser, await browser.open('/login'), id);
    const callback = await authorize(id, providerPage.url, newExternalUser());
    const attacker = new Browser(server.origin);
    await pressProviderButton(attacker, await attacker.open('/login'), id); // has a sign-in of its own
    const stolen = await attacker.open(callback);
    expect([stolen.status, errorOn(stolen)]).toEqual([400, expect.stringContaining('started in another browser')]);
    expect(attacker.cookies.has('signet_login')).toBe(false);

    const both = await Promise.all([browser.open(callback), browser.open(callback)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 400]);
    expect((await browser.open(callback)).status).toBe(400);
  });

  it('rejects a code of another sign-in, if the provider supports PKCE or a nonce', async () => {
    const begin = async () => {
      const browser = new Browser(server.origin);
      const { url } = await pressProviderButton(browser, await browser.open('/login'), id);
      return { browser, callback: await authorize(id, url, newExternalUser()) };
    };
    const [{ browser, callback }, other] = [await begin(), await begin()];
    callback.searchParams.set('code', other.callback.searchParams.get('code')!);
    const page = await browser.open(callback);
    // LinkedIn supports neither. There, codes are protected only by being secret.
    expect(page.status).toBe(id === 'linkedin' ? 200 : 401);
    if (id === 'linkedin') return;
    expect(errorOn(page)).toContain('rejected this code');
    expect(browser.cookies.has('signet_login')).toBe(false);
  });

  it('rejects the response of another issuer', async () => {
    const other = id === 'github' ? 'google' : 'github';
    const browser = new Browser(server.origin);
    const providerPage = await pressProviderButton(browser, await browser.open('/login'), id);
    const callback = await authorize(id, providerPage.url, newExternalUser());
    const state = callback.searchParams.get('state')!;
    const otherCallback = new URL(callback);
    otherCallback.pathname = `/login/with/${other}/callback`;
    expect((await browser.open(otherCallback)).status, 'at the callback of another provider').toBe(400);

    const again = await authorize(
      id,
      (await pressProviderButton(browser, await browser.open('/login'), id)).url,
      newExternalUser(),
    );
    again.searchParams.set('iss', providers[other].issuer);
    const page = await browser.open(again);
    expect([page.status, errorOn(page)]).toEqual([502, expect.stringContaining('returned an invalid response')]);
    const reused = await browser.open(`/login/with/${id}/callback?code=x&state=${state}`);
    expect(reused.status, 'the state was consumed').toBe(400);
    expect(browser.cookies.has('signet_login')).toBe(false);
  });

  it('returns to the sign-in page with a message when the user cancels at the provider', async () => {
    const client = await server.client();
    const browser = new Browser(server.origin);
    const providerPage = await pressProviderButton(
      browser,
      await browser.open(authorizeUrl(server, client, pkce().challenge)),
      id,
    );
    const state = providerPage.url.searchParams.get('state')!;
    const iss = id === 'acme' ? acme.issuer : providers[id as Kind].issuer;
    const denial = new URLSearchParams({
      error: id === 'linkedin' ? 'user_cancelled_login' : 'access_denied',
      state,
      iss,
    });
    const page = await browser.open(`/login/with/${id}/callback?${denial}`);
    expect([page.status, errorOn(page)]).toEqual([403, expect.stringMatching(/^The sign-in with /)]);
    expect(page.html).toContain('to continue to <strong>Acme</strong>');
    const email = (await server.account()).email;
    const consent = await browser.signIn(email, PASSWORD, page);
    expect(consent.url.pathname, 'the authorization request continues').toMatch(/^\/interaction\//);
  });
});

describe('the provider buttons', () => {
  it('are shown for configured providers on the sign-in and registration pages', async () => {
    const withoutProviders = await startServer();
    for (const path of ['/login', '/register']) {
      const { html } = await new Browser(server.origin).open(path);
      expect([...html.matchAll(/Continue with ([^<]+)</g)].map(([, name]) => name)).toEqual([
        'Google',
        'GitHub',
        'LinkedIn',
        'Acme',
      ]);
      expect((await new Browser(withoutProviders.origin).open(path)).html).not.toContain('Continue with');
    }
    expect((await new Browser(withoutProviders.origin).open('/login/with/github/callback')).status).toBe(404);
    await withoutProviders.close();
  });

  it('reject forms of other sites and unknown providers', async () => {
    const browser = new Browser(server.origin);
    const { html } = await browser.open('/login');
    const csrf = /name="csrf" value="([^"]*)"/.exec(html)![1]!;
    const post = (path: string, fields: Record<string, string>, headers = {}) =>
      browser.open(path, { method: 'POST', body: new URLSearchParams(fields), headers });
    expect((await post('/login/with/github', {})).status).toBe(403);
    expect((await post('/login/with/github', { csrf }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post('/login/with/unknown', { csrf })).status).toBe(404);
    expect((await browser.open('/login/with/github')).status).toBe(405);
    expect((await post('/login/with/github', { csrf })).url.origin).not.toBe(server.origin);
  });

  it('do not return to another origin', async () => {
    const { page } = await continueWith('google', newExternalUser(), {
      at: '/login?return_to=https://evil.example/',
    } as never);
    expect(page.url.href).toBe(`${server.origin}/account`);
  });
});

describe('protection against login CSRF', () => {
  it("rejects an attacker's response in another browser", async () => {
    const attacker = new Browser(server.origin);
    const { url } = await pressProviderButton(attacker, await attacker.open('/login'), 'google');
    const callback = await authorize('google', url, newExternalUser());
    for (const startedSignIn of [false, true]) {
      const victim = new Browser(server.origin);
      if (startedSignIn) await pressProviderButton(victim, await victim.open('/login'), 'google');
      expect((await victim.open(callback)).status).toBe(400);
      expect(victim.cookies.has('signet_login')).toBe(false);
    }
  });

  it('keeps several sign-ins of one browser apart', async () => {
    const browser = new Browser(server.origin);
    const [first, second] = [
      await pressProviderButton(browser, await browser.open('/login'), 'google'),
      await pressProviderButton(browser, await browser.open('/login'), 'github'),
    ];
    const user = newExternalUser();
    expect((await browser.open(await authorize('google', first.url, user))).html).toContain(user.email);
    expect((await browser.open(await authorize('github', second.url, newExternalUser()))).status).toBe(200);
  });
});

describe('the links on the security page', () => {
  const LINK = '/account/security/link';
  const notice = ({ html }: Page) => /class="notice[^"]*" role="(?:status|alert)">([^<]*)</.exec(html)?.[1];

  /** Signs a new user in and opens the security page. */
  async function openSecurityPage() {
    const account = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
    return { account, browser, page: await browser.open('/account/security') };
  }

  /** Presses the button of a provider on the security page. */
  const beginLinking = (browser: Browser, page: Page, provider: string) =>
    browser.submit(
      page,
      {},
      formsOf(page.html).findIndex(({ fields }) => fields.provider === provider),
    );

  it('add a sign-in method, and need a CSRF token and recent authentication', async () => {
    const { account, browser, page } = await openSecurityPage();
    const cross = await browser.open(LINK, {
      method: 'POST',
      body: new URLSearchParams({ provider: 'github', csrf: 'x' }),
    });
    expect(cross.status).toBe(403);
    const user = newExternalUser({ email: undefined });
    const back = await browser.open(await authorize('github', (await beginLinking(browser, page, 'github')).url, user));
    expect([back.url.pathname, notice(back)]).toEqual([
      '/account/security',
      'You can now also sign in with this provider.',
    ]);
    expect((await continueWith('github', user)).page.html).toContain(account.email);

    await later(11 * MINUTE_MS, async () => {
      expect((await beginLinking(browser, page, 'google')).url.pathname).toBe('/login');
    });
  });

  it('can be added only by the user and in the browser that started', async () => {
    const [own, other] = [await openSecurityPage(), await openSecurityPage()];
    const user = newExternalUser();
    const providerPage = await beginLinking(own.browser, own.page, 'google');
    const callback = await authorize('google', providerPage.url, user);
    expect((await other.browser.open(callback)).status, 'in another browser').toBe(400);
    await own.browser.signIn(other.account.email, PASSWORD);
    const page = await own.browser.open(callback);
    expect([page.status, page.html]).toEqual([401, expect.stringContaining('Another user has signed in since')]);
    for (const { account } of [own, other]) expect(await server.core.links.list(account.id)).toEqual([]);
  });

  it('show an error when the identity belongs to another account, or the provider fails', async () => {
    const user = newExternalUser();
    await continueWith('google', user);
    const { account, browser, page } = await openSecurityPage();
    const conflicting = await browser.open(
      await authorize('google', (await beginLinking(browser, page, 'google')).url, user),
    );
    expect(notice(conflicting)).toContain('already linked to another account');
    const { url } = await beginLinking(browser, conflicting, 'google');
    const denial = `error=access_denied&state=${url.searchParams.get('state')}`;
    expect(notice(await browser.open(`/login/with/google/callback?${denial}`))).toContain(
      'You canceled the sign-in at the provider',
    );
    providers.google.overrides['/token'] = (res) => json(res, 500, {});
    const failed = await browser.open(
      await authorize('google', (await beginLinking(browser, page, 'google')).url, newExternalUser()),
    );
    expect([failed.status, failed.html]).toEqual([503, expect.stringContaining('Google is not available')]);
    expect(await server.core.links.list(account.id)).toEqual([]);
  });

  it('keep the only sign-in method of a user until they set a password', async () => {
    const user = newExternalUser();
    const { browser } = await continueWith('google', user);
    const page = await browser.open('/account/security');
    const unlink = () =>
      browser.submit(
        page,
        {},
        formsOf(page.html).findIndex(({ fields }) => 'id' in fields),
      );
    expect(notice(await unlink())).toContain('your only sign-in method');
    const password = formsOf(page.html).findIndex(({ fields }) => 'password' in fields);
    expect(page.html).not.toContain('name="current_password"');
    const weak = await browser.submit(page, { password: 'short' }, password);
    expect(weak.status).toBe(400);
    expect(notice(await browser.submit(page, { password: PASSWORD }, password))).toBe('Your password was saved.');
    expect((await browser.submit(page, { password: 'another long one' }, password)).status, 'only once').toBe(400);
    expect(notice(await unlink())).toContain('The sign-in method was removed');
    const { url } = await new Browser(server.origin).signIn(user.email!, PASSWORD);
    expect(url.pathname).toBe('/account');
  });
});
