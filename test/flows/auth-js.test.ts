// An app on Auth.js 5, configured as in the clients' documentation.
import { Auth, type AuthConfig } from '@auth/core';
import type { OAuthConfig } from '@auth/core/providers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, completeSignIn, isConsent } from '../support/openid-client.js';
import { registerDynamically } from '../support/registration.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const APP = 'https://yourapp.com';

const OIDC_WITH_ALL_CHECKS = { type: 'oidc' as never, checks: ['pkce', 'state', 'nonce'] as ('pkce' | 'state')[] };

interface Profile {
  sub: string;
  name: string;
  email: string;
}

describe.each(stores)('an app on Auth.js, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Creates the app with the documented configuration and these changes. */
  async function openApp(changes: Partial<OAuthConfig<Profile>> = {}) {
    const client = await registerDynamically(server, {
      client_name: 'Your App Name',
      redirect_uris: [`${APP}/api/auth/callback/ainative`],
      grant_types: ['authorization_code'],
      scope: 'openid profile email',
      token_endpoint_auth_method: 'client_secret_basic',
    });
    const errors: Error[] = [];
    const config: AuthConfig = {
      basePath: '/api/auth',
      trustHost: true,
      secret: 'signs the cookies of the app',
      logger: { error: (error) => void errors.push(error) },
      providers: [
        {
          id: 'ainative',
          name: 'AINative',
          type: 'oauth',
          issuer: server.issuer,
          wellKnown: `${server.issuer}/.well-known/openid-configuration`,
          authorization: { params: { scope: 'openid profile email' } },
          clientId: client.id,
          clientSecret: client.secret,
          profile(profile: Profile) {
            return {
              id: profile.sub,
              name: profile.name,
              email: profile.email,
            };
          },
          ...changes,
        } as OAuthConfig<Profile>,
      ],
    };
    return new AppVisit(config, errors);
  }

  // Auth.js 5 uses the discovered userinfo endpoint of a `type: 'oauth'` provider only if the
  // configuration has a `userinfo` member, even an empty one. The documented configuration is one
  // for NextAuth 4, which needs none.
  it('gets tokens with the documented configuration, but needs a userinfo member to continue', async () => {
    const { email } = await server.account();
    const app = await openApp();
    const start = await app.signIn();
    expect(start.origin + start.pathname).toBe(`${server.issuer}/oauth/authorize`);
    expect(start.searchParams.get('code_challenge_method')).toBe('S256');
    const { url } = await completeSignIn(browserFor(server), start, email);
    expect(url.origin + url.pathname).toBe(`${APP}/api/auth/callback/ainative`);
    await app.open(url);
    expect(app.errors).toMatchObject([{ cause: { err: { message: 'No userinfo endpoint configured' } } }]);
  });

  it.each<[string, Partial<OAuthConfig<Profile>>]>([
    ['the documented configuration and a userinfo member', { userinfo: {} }],
    ['state in addition to PKCE', { userinfo: {}, checks: ['pkce', 'state'] }],
    ['an OpenID provider', { type: 'oidc' as never }],
    ['an OpenID provider and all checks', OIDC_WITH_ALL_CHECKS],
  ])('signs a user in with %s', async (_, changes) => {
    const { email } = await server.account();
    const app = await openApp(changes);
    const { url } = await completeSignIn(browserFor(server), await app.signIn(), email);
    expect((await app.open(url)).headers.get('location')).toBe(`${APP}/`);
    expect(app.errors).toEqual([]);
    expect(await app.session()).toMatchObject({ user: { email, name: 'Jane Developer' } });
  });

  it('signs the user in a second time without showing a page', async () => {
    const { email } = await server.account();
    const app = await openApp({ userinfo: {} });
    const browser = browserFor(server);
    await app.open((await completeSignIn(browser, await app.signIn(), email)).url);
    await app.signOut();
    expect(await app.session()).toBeNull();
    await app.open((await browser.open(await app.signIn())).url);
    expect(await app.session()).toMatchObject({ user: { email } });
  });

  it('shows its error page, without a session, when the user denies consent', async () => {
    const { email } = await server.account();
    const app = await openApp();
    const browser = browserFor(server);
    const consent = await browser.signIn(email, PASSWORD, await browser.open(await app.signIn()));
    expect(isConsent(consent)).toBe(true);
    const { url } = await browser.submit(consent, { decision: 'deny' });
    const location = new URL((await app.open(url)).headers.get('location')!);
    expect(location.origin).toBe(APP);
    expect(location.searchParams.get('error')).toBe('OAuthCallbackError');
    expect(await app.session()).toBeNull();
  });
});

/** A browser at the app: keeps cookies and passes requests to Auth.js directly. */
class AppVisit {
  readonly #jar = new Map<string, string>();

  constructor(
    readonly config: AuthConfig,
    /** The errors that Auth.js logged. */
    readonly errors: Error[],
  ) {}

  /** Presses the sign-in button. Returns the authorization URL. */
  async signIn(): Promise<URL> {
    return new URL((await this.#post('/signin/ainative')).headers.get('location')!);
  }

  async signOut(): Promise<void> {
    await this.#post('/signout');
  }

  async session(): Promise<{ user: { email: string } } | null> {
    return (await this.open(new URL(`${APP}/api/auth/session`))).json();
  }

  async open(url: URL, init: { method?: string; body?: URLSearchParams } = {}): Promise<Response> {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await Auth(new Request(url, { ...init, headers: { cookie } }), this.config);
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0/i.test(line)) this.#jar.delete(name);
      else this.#jar.set(name, value);
    }
    return response;
  }

  async #post(path: string): Promise<Response> {
    const { csrfToken } = await (await this.open(new URL(`${APP}/api/auth/csrf`))).json();
    const body = new URLSearchParams({ csrfToken, callbackUrl: `${APP}/` });
    return this.open(new URL(`${APP}/api/auth${path}`), { method: 'POST', body });
  }
}
