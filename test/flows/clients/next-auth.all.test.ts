// NextAuth 4, in the way that its documentation gives for a server that is not Next: its handler,
// with a request and an answer.
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
  /** What the app on the server does now. */
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

  /** Registers as a newcomer does, with one request. */
  async function register(): Promise<TestClient> {
    const answer = await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Your App Name',
        redirect_uris: [`${httpServer.origin}/api/auth/callback/ainative`],
        grant_types: ['authorization_code'],
        scope: 'openid profile email',
        token_endpoint_auth_method: 'client_secret_basic',
      }),
    });
    expect(answer.status).toBe(201);
    const { client_id: id, client_secret: secret } = (await answer.json()) as Record<string, string>;
    return { id: id!, secret: secret! };
  }

  /** The app: what the documentation tells it to write, and these changes. */
  function openApp(client: TestClient, changes: Record<string, unknown> = CHECKS) {
    const errors: Error[] = [];
    const accounts: Account[] = [];
    handle = NextAuth({
      secret: 'the app has a secret of its own',
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

  /** The sign-in button; ends where it leads. */
  const press = async (visitor: Browser) => visitor.submit(await visitor.open('/api/auth/signin'));

  const sessionOf = async (visitor: Browser) => JSON.parse((await visitor.open('/api/auth/session')).html);

  it('signs a person in with the documented provider, checking PKCE and state', async () => {
    const account = await server.account();
    const { errors, accounts, visitor } = openApp(await register());
    const away = await press(visitor);
    expect(away.url.origin + away.url.pathname).toBe(`${server.issuer}/oauth/authorize`);
    expect(away.url.searchParams.get('code_challenge_method')).toBe('S256');
    const home = await signInAt(visitor, away, server, account.email);
    expect(home.url.origin).toBe(httpServer.origin);
    expect(home.url.searchParams.get('error')).toBeNull();
    expect(errors).toEqual([]);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email: account.email, name: 'Jane Developer' } });
    expect(accounts).toMatchObject([{ provider: 'ainative', providerAccountId: account.id }]);
  });

  it('gets an ID token signed with RS256, which is all that it takes', async () => {
    const { email } = await server.account();
    const { accounts, visitor } = openApp(await register());
    await signInAt(visitor, await press(visitor), server, email);
    expect(decodeProtectedHeader(accounts[0]!.id_token)).toMatchObject({ alg: 'RS256', kid: expect.any(String) });
  });

  it('may check a nonce as well', async () => {
    const { email } = await server.account();
    const { errors, visitor } = openApp(await register(), { checks: ['pkce', 'state', 'nonce'] });
    await signInAt(visitor, await press(visitor), server, email);
    expect(errors).toEqual([]);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email } });
  });

  it('asks nobody anything the second time', async () => {
    const { email } = await server.account();
    const { visitor } = openApp(await register());
    const browser = browserFor(server);
    await signInAt(visitor, await press(visitor), server, email, browser);
    await visitor.submit(await visitor.open('/api/auth/signout'));
    expect(await sessionOf(visitor)).toEqual({});
    await visitor.open((await browser.open((await press(visitor)).url)).url);
    expect(await sessionOf(visitor)).toMatchObject({ user: { email } });
  });

  it('is refused as long as it does not check PKCE, which it leaves out unless told', async () => {
    const { errors, visitor } = openApp(await register(), {});
    const away = await press(visitor);
    expect(away.url.searchParams.has('code_challenge')).toBe(false);
    const person = browserFor(server);
    expect((await person.open(away.url)).status).toBe(400); // an app that registered itself: no error leads there by itself
    const { email } = await server.account();
    await person.signIn(email, PASSWORD);
    const back = await person.open(away.url);
    expect(back.url.searchParams.get('error')).toBe('invalid_request');
    expect(back.url.searchParams.get('error_description')).toContain('PKCE');
    const page = await visitor.open(back.url);
    expect(page.url.searchParams.get('error')).toBe('Callback');
    expect(errors).toMatchObject([{ message: 'invalid_request' }, { message: 'invalid_request' }]);
    expect(await sessionOf(visitor)).toEqual({});
  });

  it('needs no checks beside its own when an administrator switched the requirement off', async () => {
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

  it('does not take an answer that was meant for another visitor', async () => {
    const { email } = await server.account();
    const { visitor: thief } = openApp(await register());
    const stolen = (await completeSignIn(browserFor(server), (await press(thief)).url, email)).url;
    const victim = browserOf(httpServer);
    await press(victim);
    expect((await victim.open(stolen)).url.searchParams.get('error')).toBe('OAuthCallback');
    expect(await sessionOf(victim)).toEqual({});
  });

  it('shows its own page, and no session, when the person says no', async () => {
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

/** What Next makes of a request before it calls an API route, `[...nextauth]`. */
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
