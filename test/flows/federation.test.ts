// "Continue with …": the same journey with every provider, each of which keeps to its own rules,
// and with what goes wrong on the way.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
import { authorizeUrl, pkce, redeemCode, signInAndConsent } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

type Kind = FakeProvider['kind'];
const providers = {} as Record<Kind, FakeProvider>;
/**
 * Another house, as the OpenID provider; it names its issuer in every answer, and signs with keys
 * that it publishes.
 */
let acme: TestServer;
let server: TestServer;

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
  });
});
afterEach(() => {
  for (const one of Object.values(providers)) one.reset();
});
afterAll(async () => {
  await server.close();
  await acme.close();
  for (const one of Object.values(providers)) await one.close();
});

/** Says yes at the provider, as this person; returns where that leads. */
async function sayYes(id: string, at: URL, person: ExternalUser): Promise<URL> {
  if (id !== 'acme') {
    providers[id as Kind].user = person;
    return callbackOf(at);
  }
  if (!(await acme.core.accounts.findByEmail(person.email!))) await acme.account(person.email, person.name);
  return signInAndConsent(new Browser(acme.origin), at.href, person.email!);
}

/** The journey from a page with buttons. */
async function continueWith(
  id: string,
  person: ExternalUser,
  { browser = new Browser(server.origin), at = '/login' } = {},
) {
  const away = await pressProviderButton(browser, await browser.open(at), id);
  return { browser, page: await browser.open(await sayYes(id, away.url, person)), away };
}

const accountAt = (email: string) => server.core.accounts.findByEmail(email);
const identitiesOf = async (email: string) => server.core.links.list((await accountAt(email))!.id);
const errorOn = ({ html }: Page) => /id="form-error" role="alert">([^<]*)</.exec(html)?.[1];

describe.each(['github', 'google', 'linkedin', 'acme'])('continuing with %s', (id) => {
  it('makes an account that knows the person from then on, whatever their address is', async () => {
    const person = newExternalUser();
    const { page, browser } = await continueWith(id, person);
    expect([page.status, page.url.pathname]).toEqual([200, '/account']);
    expect(page.html).toContain(person.email);
    const account = await accountAt(person.email!);
    expect(account).toMatchObject({ passwordHash: null, role: 'viewer', name: 'Mara Lindqvist' });
    expect(account!.emailVerified).toBe(id === 'github' || id === 'google');
    expect(browser.cookies.has('signet_login')).toBe(true);

    if (id === 'acme') return;
    const { page: again } = await continueWith(id, { ...person, email: 'moved@elsewhere.example' });
    expect(again.html).toContain(person.email);
    expect(await accountAt('moved@elsewhere.example')).toBeNull();
    expect(await identitiesOf(person.email!)).toMatchObject([{ email: 'moved@elsewhere.example', provider: { id } }]);
  });

  it('goes back to the app that asked, with a code that is good', async () => {
    const client = await server.client();
    const { verifier, challenge } = pkce();
    const browser = new Browser(server.origin);
    const login = await browser.open(authorizeUrl(server, client, challenge));
    expect(login.html).toContain('to continue to <strong>Acme</strong>');
    const away = await pressProviderButton(browser, login, id);
    const consent = await browser.open(await sayYes(id, away.url, newExternalUser()));
    const answer = (await browser.submit(consent, { decision: 'allow' })).url;
    const { status, body } = await redeemCode(server, client, { code: answer.searchParams.get('code')!, verifier });
    expect([status, body.token_type?.toLowerCase()]).toEqual([200, 'bearer']);
  });

  it('asks for what it needs, and for no more than the provider understands', async () => {
    const browser = new Browser(server.origin);
    const { url } = await pressProviderButton(browser, await browser.open('/register'), id);
    const query = Object.fromEntries(url.searchParams);
    const bare = id === 'linkedin';
    expect(query).toMatchObject({
      response_type: 'code',
      redirect_uri: `${server.issuer}/login/with/${id}/callback`,
      scope: id === 'github' ? 'read:user user:email' : 'openid profile email',
    });
    expect(query.state).toMatch(/^[\w-]{43}$/);
    expect(query.code_challenge_method).toBe(bare ? undefined : 'S256');
    expect('nonce' in query).toBe(!bare && id !== 'github');
  });

  it('asks for the second factor that the account has here', async () => {
    const person = newExternalUser();
    await continueWith(id, person);
    const account = (await accountAt(person.email!))!;
    const { app } = await enrol(server, new Date(), account);
    const { page, browser } = await continueWith(id, person);
    expect(page.html).toContain('Two-factor authentication');
    expect(browser.cookies.has('signet_login')).toBe(false);
    const wrong = await browser.submit(page, { otp: app.wrongCode() });
    expect(wrong.status).toBe(401);
    const inside = await browser.submit(wrong, { otp: app.code(new Date(), 1) });
    expect(inside.url.pathname).toBe('/account');
    const [login] = await server.core.sessions.list(account.id);
    expect(login!.amr).toEqual(['fed', 'otp']);
    await server.core.audit.flush();
    const [entry] = await server.base.db.auditEvent.findMany({
      where: { action: 'sign_in.succeeded', accountId: account.id },
      orderBy: { id: 'desc' },
      take: 1,
    });
    expect(entry!.detail).toMatchObject({ from: (await identitiesOf(person.email!))[0]!.issuer });
  });

  it('takes an answer once, and only in the browser that asked', async () => {
    const browser = new Browser(server.origin);
    const away = await pressProviderButton(browser, await browser.open('/login'), id);
    const answer = await sayYes(id, away.url, newExternalUser());
    const stranger = new Browser(server.origin);
    await pressProviderButton(stranger, await stranger.open('/login'), id); // has a key of its own
    const stolen = await stranger.open(answer);
    expect([stolen.status, errorOn(stolen)]).toEqual([400, expect.stringContaining('started in another browser')]);
    expect(stranger.cookies.has('signet_login')).toBe(false);

    const both = await Promise.all([browser.open(answer), browser.open(answer)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 400]);
    expect((await browser.open(answer)).status).toBe(400);
  });

  it('refuses a code that was swapped into the answer', async () => {
    const [mine, theirs] = [new Browser(server.origin), new Browser(server.origin)];
    const their = await sayYes(
      id,
      (await pressProviderButton(theirs, await theirs.open('/login'), id)).url,
      newExternalUser(),
    );
    const answer = await sayYes(
      id,
      (await pressProviderButton(mine, await mine.open('/login'), id)).url,
      newExternalUser(),
    );
    answer.searchParams.set('code', their.searchParams.get('code')!);
    const page = await mine.open(answer);
    // Without a verifier and a nonce nobody can tell: what keeps strangers' codes out of LinkedIn's
    // answers is that nobody learns them.
    expect(page.status).toBe(id === 'linkedin' ? 200 : 401);
    if (id === 'linkedin') return;
    expect(errorOn(page)).toContain('rejected this code');
    expect(mine.cookies.has('signet_login')).toBe(false);
  });

  it('refuses the answer of another issuer', async () => {
    const other = id === 'github' ? 'google' : 'github';
    const browser = new Browser(server.origin);
    const away = await pressProviderButton(browser, await browser.open('/login'), id);
    const answer = await sayYes(id, away.url, newExternalUser());
    const state = answer.searchParams.get('state')!;
    const answerUrl = new URL(answer);
    answerUrl.pathname = `/login/with/${other}/callback`;
    expect((await browser.open(answerUrl)).status, 'at the address of another provider').toBe(400);

    const again = await sayYes(
      id,
      (await pressProviderButton(browser, await browser.open('/login'), id)).url,
      newExternalUser(),
    );
    again.searchParams.set('iss', providers[other].issuer);
    const page = await browser.open(again);
    expect([page.status, errorOn(page)]).toEqual([502, expect.stringContaining('returned an invalid response')]);
    expect((await browser.open(`/login/with/${id}/callback?code=x&state=${state}`)).status, 'and it is spent').toBe(
      400,
    );
    expect(browser.cookies.has('signet_login')).toBe(false);
  });

  it('returns to the sign-in page with a sentence when the person says no', async () => {
    const client = await server.client();
    const browser = new Browser(server.origin);
    const away = await pressProviderButton(
      browser,
      await browser.open(authorizeUrl(server, client, pkce().challenge)),
      id,
    );
    const state = away.url.searchParams.get('state')!;
    const iss = id === 'acme' ? acme.issuer : providers[id as Kind].issuer;
    const no = new URLSearchParams({ error: id === 'linkedin' ? 'user_cancelled_login' : 'access_denied', state, iss });
    const page = await browser.open(`/login/with/${id}/callback?${no}`);
    expect([page.status, errorOn(page)]).toEqual([403, expect.stringMatching(/^The sign-in with /)]);
    expect(page.html).toContain('to continue to <strong>Acme</strong>');
    const email = (await server.account()).email;
    const consent = await browser.signIn(email, PASSWORD, page);
    expect(consent.url.pathname, 'and the errand goes on').toMatch(/^\/interaction\//);
  });
});

describe('the buttons', () => {
  it('are there for the providers that are set up, on both pages, and need no script', async () => {
    const plain = await startServer();
    for (const path of ['/login', '/register']) {
      const { html } = await new Browser(server.origin).open(path);
      expect([...html.matchAll(/Continue with ([^<]+)</g)].map(([, name]) => name)).toEqual([
        'Google',
        'GitHub',
        'LinkedIn',
        'Acme',
      ]);
      expect((await new Browser(plain.origin).open(path)).html).not.toContain('Continue with');
    }
    expect((await new Browser(plain.origin).open('/login/with/github/callback')).status).toBe(404);
    await plain.close();
  });

  it('do not work from a page of somebody else, nor for a provider that is not there', async () => {
    const browser = new Browser(server.origin);
    const { html } = await browser.open('/login');
    const csrf = /name="csrf" value="([^"]*)"/.exec(html)![1]!;
    const post = (path: string, fields: Record<string, string>, headers = {}) =>
      browser.open(path, { method: 'POST', body: new URLSearchParams(fields), headers });
    expect((await post('/login/with/github', {})).status).toBe(403);
    expect((await post('/login/with/github', { csrf }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post('/login/with/nobody', { csrf })).status).toBe(404);
    expect((await browser.open('/login/with/github')).status).toBe(405);
    expect((await post('/login/with/github', { csrf })).url.origin).not.toBe(server.origin);
  });

  it('lead nowhere else than home when somebody else says where to', async () => {
    const { page } = await continueWith('google', newExternalUser(), {
      at: '/login?return_to=https://evil.example/',
    } as never);
    expect(page.url.href).toBe(`${server.origin}/account`);
  });
});

describe('login CSRF', () => {
  it("signs nobody in with an attacker's answer", async () => {
    const attacker = new Browser(server.origin);
    const answer = await sayYes(
      'google',
      (await pressProviderButton(attacker, await attacker.open('/login'), 'google')).url,
      newExternalUser(),
    );
    for (const began of [false, true]) {
      const victim = new Browser(server.origin);
      if (began) await pressProviderButton(victim, await victim.open('/login'), 'google');
      expect((await victim.open(answer)).status).toBe(400);
      expect(victim.cookies.has('signet_login')).toBe(false);
    }
  });

  it('knows several sign-ins of one browser apart', async () => {
    const browser = new Browser(server.origin);
    const [first, second] = [
      await pressProviderButton(browser, await browser.open('/login'), 'google'),
      await pressProviderButton(browser, await browser.open('/login'), 'github'),
    ];
    const person = newExternalUser();
    expect((await browser.open(await sayYes('google', first.url, person))).html).toContain(person.email);
    expect((await browser.open(await sayYes('github', second.url, newExternalUser()))).status).toBe(200);
  });
});

describe('linking on the page', () => {
  const LINK = '/account/security/link';
  const notice = ({ html }: Page) => /class="notice[^"]*" role="(?:status|alert)">([^<]*)</.exec(html)?.[1];

  /** Somebody at the page where links are made. */
  async function atHome(email?: string) {
    const account = email ? (await accountAt(email))! : await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
    return { account, browser, page: await browser.open('/account/security') };
  }

  /** Presses the button of a provider there. */
  const begin = (browser: Browser, page: Page, provider: string) =>
    browser.submit(
      page,
      {},
      formsOf(page.html).findIndex(({ fields }) => fields.provider === provider),
    );

  it('needs a recent proof and a form of ours, and adds a way in', async () => {
    const { account, browser, page } = await atHome();
    const cross = await browser.open(LINK, {
      method: 'POST',
      body: new URLSearchParams({ provider: 'github', csrf: 'x' }),
    });
    expect(cross.status).toBe(403);
    const person = newExternalUser({ email: undefined });
    const back = await browser.open(await sayYes('github', (await begin(browser, page, 'github')).url, person));
    expect([back.url.pathname, notice(back)]).toEqual([
      '/account/security',
      'You can now also sign in with this provider.',
    ]);
    expect((await continueWith('github', person)).page.html).toContain(account.email);

    await server.base.db.session.updateMany({ where: { accountId: account.id }, data: { authTime: new Date(0) } });
    await server.base.invalidationBus.publish('sessions', account.id);
    const asked = await begin(browser, page, 'google');
    expect(asked.url.pathname).toBe('/login');
  });

  it('ends with whoever began it, in the same browser', async () => {
    const [mine, theirs] = [await atHome(), await atHome()];
    const person = newExternalUser();
    const away = await begin(mine.browser, mine.page, 'google');
    const answer = await sayYes('google', away.url, person);
    expect((await theirs.browser.open(answer)).status, 'in the browser of somebody else').toBe(400);
    await mine.browser.open('/login').then((page) => mine.browser.signIn(theirs.account.email, PASSWORD, page));
    const page = await mine.browser.open(answer);
    expect([page.status, page.html]).toEqual([401, expect.stringContaining('Another user has signed in since')]);
    for (const { account } of [mine, theirs]) expect(await server.core.links.list(account.id)).toEqual([]);
  });

  it('tells of a person who has another account here, and of a no', async () => {
    const person = newExternalUser();
    await continueWith('google', person);
    const { account, browser, page } = await atHome();
    const taken = await browser.open(await sayYes('google', (await begin(browser, page, 'google')).url, person));
    expect(notice(taken)).toContain('already linked to another account');
    const { url } = await begin(browser, taken, 'google');
    const no = `error=access_denied&state=${url.searchParams.get('state')}`;
    expect(notice(await browser.open(`/login/with/google/callback?${no}`))).toContain(
      'You canceled the sign-in at the provider',
    );
    providers.google.overrides['/token'] = (res) => json(res, 500, {});
    const failed = await browser.open(
      await sayYes('google', (await begin(browser, page, 'google')).url, newExternalUser()),
    );
    expect([failed.status, failed.html]).toEqual([503, expect.stringContaining('Google is not available')]);
    expect(await server.core.links.list(account.id)).toEqual([]);
  });

  it('leaves whoever has no password one way in, until they choose one', async () => {
    const person = newExternalUser();
    const { browser } = await continueWith('google', person);
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
    expect(notice(await browser.submit(page, { password: PASSWORD }, password))).toBe('Your password was changed.');
    expect((await browser.submit(page, { password: 'another long one' }, password)).status, 'once').toBe(400);
    expect(notice(await unlink())).toContain('The sign-in method was removed');
    const { url } = await new Browser(server.origin).signIn(person.email!, PASSWORD);
    expect(url.pathname).toBe('/account');
  });
});
