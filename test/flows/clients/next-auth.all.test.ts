// NextAuth 4 with its documented handler for servers other than Next.
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Browser } from '../../support/browser.js';
import {
  browserOf,
  type Express,
  type ExpressRequest,
  express,
  openExpress,
  requireClient,
  signInAt,
} from '../../support/client-libraries.js';
import { browserFor, completeSignIn, isConsent } from '../../support/openid-client.js';
import { registerDynamically } from '../../support/registration.js';
import type { TestClient } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

interface Account {
  provider: string;
  providerAccountId: string;
  id_token: string;
  access_token: string;
}

interface Options {
  secret: string;
  providers: Record<string, unknown>[];
  logger: { error(code: string, metadata: { error?: Error } & Error): void; warn(): void };
  events: { signIn(message: { account: Account }): void };
}

type NextAuth = (options: Options) => (req: ExpressRequest, res: unknown) => Promise<void>;

const { default: NextAuth } = requireClient<{ default: NextAuth }>('next-auth');

const CHECKS = { checks: ['pkce', 'state'] };

describe('an app on NextAuth 4', () => {
  let server: TestServer;
  let httpServer: Awaited<ReturnType<typeof openExpress>>;
  /** The handler of the current test's app. */
  let handle: (req: ExpressRequest, res: unknown) => unknown;
  beforeAll(async () => {
    server = await startServer();
    httpServer = await openExpress();
    vi.stubEnv('NEXTAUTH_URL', httpServer.origin);
    serveApi(httpServer.app, (req, res) => handle(req, res));
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await httpServer.close();
    await server.close();
  });

  const register = (): Promise<TestClient> =>
    registerDynamically(server, {
      client_name: 'Your App Name',
      redirect_uris: [`${httpServer.origin}/api/auth/callback/ainative`],
      grant_types: ['authorization_code'],
      scope: 'openid profile email',
      token_endpoint_auth_method: 'client_secret_basic',
    });

  /** Opens the app with the documented configuration and these changes. */
  function openApp(client: TestClient, changes: Record<string, unknown> = CHECKS) {
    const errors: Error[] = [];
    const accounts: Account[] = [];
    handle = NextAuth({
      secret: 'signs the cookies of the app',
      logger: { error: (_, metadata) => void errors.push(metadata.error ?? metadata), warn() {} },
      events: { signIn: ({ account }) => void accounts.push(account) },
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
          profile(profile: { sub: string; name: string; email: string }) {
            return {
              id: profile.sub,
              name: profile.name,
              email: profile.email,
            };
          },
          ...changes,
        },
      ],
    });
    return { errors, accounts, visitor: browserOf(httpServer) };
  }

  /** Presses the sign-in button. Returns the page at the server. */
  const press = async (visitor: Browser) => visitor.submit(await visitor.open('/api/auth/signin'));

  const sessionOf = async (visitor: Browser) => JSON.parse((await visitor.open('/api/auth/session')).html);

  it('signs a user in with the documented provider, with PKCE and state', async () => {
    const account = await server.account();
    const { errors, accounts, visitor } = openApp(await register());
    const redirect = await press(visitor);
    expect(redirect.url.origin + redirect.url.pathname).toBe(`${server.issuer}/oauth/authorize`);
    expect(redirect.url.searchParams.get('code_challenge_method')).toBe('S256');
    const home = await signInAt(visitor, redirect, server, account.email);
    expect(home.url.origin).toBe(httpServer.origin);
    expect(home.url.searchParams.get('error')).toBeNull();
    expect(errors).toEqual([]);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email: account.email, name: 'Jane Developer' } });
    expect(accounts).toMatchObject([{ provider: 'ainative', providerAccountId: account.id }]);
  });

  it('receives an ID token signed with RS256, the only algorithm that it accepts', async () => {
    const { email } = await server.account();
    const { accounts, visitor } = openApp(await register());
    await signInAt(visitor, await press(visitor), server, email);
    expect(decodeProtectedHeader(accounts[0]!.id_token)).toMatchObject({ alg: 'RS256', kid: expect.any(String) });
  });

  it('signs a user in with a nonce', async () => {
    const { email } = await server.account();
    const { errors, visitor } = openApp(await register(), { checks: ['pkce', 'state', 'nonce'] });
    await signInAt(visitor, await press(visitor), server, email);
    expect(errors).toEqual([]);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email } });
  });

  it('signs the user in a second time without showing a page', async () => {
    const { email } = await server.account();
    const { visitor } = openApp(await register());
    const browser = browserFor(server);
    await signInAt(visitor, await press(visitor), server, email, browser);
    await visitor.submit(await visitor.open('/api/auth/signout'));
    expect(await sessionOf(visitor)).toEqual({});
    await visitor.open((await browser.open((await press(visitor)).url)).url);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email } });
  });

  it('receives invalid_request with its default checks, which do not include PKCE', async () => {
    const { errors, visitor } = openApp(await register(), {});
    const redirect = await press(visitor);
    expect(redirect.url.searchParams.has('code_challenge')).toBe(false);
    const browser = browserFor(server);
    // Before the sign-in, errors are not redirected to dynamically registered clients.
    expect((await browser.open(redirect.url)).status).toBe(400);
    const { email } = await server.account();
    await browser.signIn(email, PASSWORD);
    const callback = await browser.open(redirect.url);
    expect(callback.url.searchParams.get('error')).toBe('invalid_request');
    expect(callback.url.searchParams.get('error_description')).toContain('PKCE');
    const page = await visitor.open(callback.url);
    expect(page.url.searchParams.get('error')).toBe('Callback');
    expect(errors).toMatchObject([{ message: 'invalid_request' }, { message: 'invalid_request' }]);
    expect(await sessionOf(visitor)).toEqual({});
  });

  it('signs a user in with its default checks if an administrator disabled the PKCE requirement', async () => {
    const { email } = await server.account();
    const client = await server.client(
      { redirect_uris: [`${httpServer.origin}/api/auth/callback/ainative`] },
      { pkceRequired: false },
    );
    const { errors, visitor } = openApp(client, {});
    await signInAt(visitor, await press(visitor), server, email);
    expect(errors).toEqual([]);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email } });
  });

  it('rejects the authorization response of another browser', async () => {
    const { email } = await server.account();
    const { visitor: attacker } = openApp(await register());
    const stolen = (await completeSignIn(browserFor(server), (await press(attacker)).url, email)).url;
    const victim = browserOf(httpServer);
    await press(victim);
    expect((await victim.open(stolen)).url.searchParams.get('error')).toBe('OAuthCallback');
    expect(await sessionOf(victim)).toEqual({});
  });

  it('shows its error page, without a session, when the user denies consent', async () => {
    const { email } = await server.account();
    const { visitor } = openApp(await register());
    const browser = browserFor(server);
    const consent = await browser.signIn(email, PASSWORD, await browser.open((await press(visitor)).url));
    expect(isConsent(consent)).toBe(true);
    const { url } = await browser.submit(consent, { decision: 'deny' });
    const page = await visitor.open(url);
    expect(page.url.pathname).toBe('/api/auth/signin');
    expect(page.url.searchParams.get('error')).toBe('Callback');
    expect(await sessionOf(visitor)).toEqual({});
  });
});

/** Prepares requests as Next does for the API route `[...nextauth]`. */
function serveApi(app: Express, handle: (req: ExpressRequest, res: unknown) => unknown): void {
  app.use(express.urlencoded({ extended: false }));
  app.use('/api/auth', (req, res) => {
    const pairs = (req.headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
    const cookies = Object.fromEntries(pairs.map(([name, value = '']) => [name, decodeURIComponent(value)]));
    const query = { ...req.query, nextauth: req.path.split('/').slice(1) };
    return handle(Object.defineProperties(req, { query: { value: query }, cookies: { value: cookies } }), res);
  });
  app.use((_req, res) => res.send('the app'));
}
