import { Auth, type AuthConfig } from '@auth/core';
import type { OAuthConfig } from '@auth/core/providers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, completeSignIn, isConsent } from '../support/openid-client.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const APP = 'https://yourapp.com';

const OIDC_WITH_ALL_CHECKS = { type: 'oidc' as never, checks: ['pkce', 'state', 'nonce'] as ('pkce' | 'state')[] };

interface Profile {
  sub: string;
  name: string;
  email: string;
}

describe.each(stores)('an app on Auth.js, with the house on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Registers as a newcomer does, with one request. */
  async function register() {
    const answer = await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Your App Name',
        redirect_uris: [`${APP}/api/auth/callback/ainative`],
        grant_types: ['authorization_code'],
        scope: 'openid profile email',
        token_endpoint_auth_method: 'client_secret_basic',
      }),
    });
    expect(answer.status).toBe(201);
    return (await answer.json()) as { client_id: string; client_secret: string };
  }

  /** The app: what its documentation tells it to write, and nothing else. */
  async function openApp(changes: Partial<OAuthConfig<Profile>> = {}) {
    const registered = await register();
    const errors: Error[] = [];
    const config: AuthConfig = {
      basePath: '/api/auth',
      trustHost: true,
      secret: 'the app has a secret of its own',
      logger: { error: (error) => void errors.push(error) },
      providers: [
        {
          id: 'ainative',
          name: 'AINative',
          type: 'oauth',
          issuer: server.issuer,
          wellKnown: `${server.issuer}/.well-known/openid-configuration`,
          authorization: { params: { scope: 'openid profile email' } },
          clientId: registered.client_id,
          clientSecret: registered.client_secret,
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

  // Auth.js 5 reads the token endpoint of a `type: 'oauth'` provider from discovery, but uses the
  // userinfo endpoint found there only where the configuration has a `userinfo` member, be it
  // empty. NextAuth 4, whose way of writing this is, needs none.
  it('gets tokens for the documented configuration, word for word, and stops only for want of a userinfo member', async () => {
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
    ['with the documented configuration and a userinfo member', { userinfo: {} }],
    ['with state beside PKCE', { userinfo: {}, checks: ['pkce', 'state'] }],
    ['as an OpenID provider', { type: 'oidc' as never }],
    ['as an OpenID provider, with everything that can be checked', OIDC_WITH_ALL_CHECKS],
  ])('signs a person in %s', async (_, changes) => {
    const { email } = await server.account();
    const app = await openApp(changes);
    const { url } = await completeSignIn(browserFor(server), await app.signIn(), email);
    expect((await app.open(url)).headers.get('location')).toBe(`${APP}/`);
    expect(app.errors).toEqual([]);
    expect(await app.session()).toMatchObject({ user: { email, name: 'Jane Developer' } });
  });

  it('signs in a second time without any page', async () => {
    const { email } = await server.account();
    const app = await openApp({ userinfo: {} });
    const browser = browserFor(server);
    await app.open((await completeSignIn(browser, await app.signIn(), email)).url);
    await app.signOut();
    expect(await app.session()).toBeNull();
    await app.open((await browser.open(await app.signIn())).url);
    expect(await app.session()).toMatchObject({ user: { email } });
  });

  it('shows its own page, and no session, when the person says no', async () => {
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

/**
 * One visitor of the app: keeps its cookies, and hands requests to Auth.js without a network in
 * between.
 */
class AppVisit {
  readonly #jar = new Map<string, string>();

  constructor(
    readonly config: AuthConfig,
    /** What Auth.js logged. */
    readonly errors: Error[],
  ) {}

  /** Where the app's sign-in button leads. */
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
