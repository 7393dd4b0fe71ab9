// Passport with two strategies: that of openid-client, with discovery and PKCE, and
// passport-openidconnect, with neither.
import * as oidc from 'openid-client';
import { Strategy, type StrategyOptions } from 'openid-client/passport';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser } from '../../support/browser.js';
import {
  browserOf,
  type ExpressErrorHandler,
  type Handler,
  openExpress,
  requireClient,
  sessions,
  signInAt,
} from '../../support/client-libraries.js';
import { browserFor, completeSignIn, isConsent } from '../../support/openid-client.js';
import type { TestClient } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

interface Authenticator {
  use(name: string, strategy: unknown): void;
  serializeUser(serialize: (user: unknown, done: Done) => void): void;
  deserializeUser(deserialize: (user: unknown, done: Done) => void): void;
  authenticate(name: string, options?: Record<string, unknown>): Handler;
}

type Done = (error: unknown, user?: unknown) => void;

/** The claims in the form of passport-openidconnect. */
interface Profile {
  id: string;
  displayName: string;
  emails: { value: string }[];
}

type Verify = (issuer: string, profile: Profile, done: Done) => void;
/** With nine parameters, the strategy requests userinfo. */
type VerifyAll = (
  issuer: string,
  fromUserinfo: Profile,
  fromIdToken: Profile,
  context: unknown,
  idToken: string,
  accessToken: string,
  refreshToken: string,
  response: unknown,
  done: Done,
) => void;
type OpenIDConnectStrategy = new (options: Record<string, unknown>, verify: Verify | VerifyAll) => unknown;

const { Passport } = requireClient<{ Passport: new () => Authenticator }>('passport');
const PassportOpenIDConnect = requireClient<OpenIDConnectStrategy>('passport-openidconnect');

type App = Awaited<ReturnType<typeof openApp>>;

/** Opens an app as documented by Passport: a session, sign-in, callback and user page. */
async function openApp() {
  const { app, origin, close } = await openExpress();
  const errors: Error[] = [];
  let passport = new Passport();
  const recordError: ExpressErrorHandler = (error, _req, res, _next) => {
    errors.push(error);
    res.status(500).send('fault');
  };
  app.use(sessions());
  app.use((req, res, next) => passport.authenticate('session')(req, res, next));
  app.get('/login', (req, res, next) => passport.authenticate('signet')(req, res, next));
  app.get('/callback', (req, res, next) => {
    const routes = { successRedirect: '/', failureRedirect: '/failed', failureMessage: true };
    return passport.authenticate('signet', routes)(req, res, next);
  });
  app.get('/logout', (req, res) => req.logout(() => res.redirect('/')));
  app.get('/', (req, res) => res.json(req.user ?? null));
  app.get('/failed', (req, res) => res.status(403).json(req.session.messages));
  app.use(recordError);

  return { origin, callbackURL: `${origin}/callback`, errors, useStrategy, close };

  /** Replaces the strategy of the app. Returns a browser at the app. */
  function useStrategy(strategy: unknown): Browser {
    errors.length = 0;
    passport = new Passport();
    passport.use('signet', strategy);
    passport.serializeUser((user, done) => done(null, user));
    passport.deserializeUser((user, done) => done(null, user));
    return browserOf({ origin });
  }
}

let server: TestServer;
let app: App;
beforeAll(async () => {
  server = await startServer();
  app = await openApp();
});
afterAll(async () => {
  await app.close();
  await server.close();
});

/** Creates a client of the app. */
const createClient = (options: { pkceRequired?: boolean } = {}) =>
  server.client({ redirect_uris: [app.callbackURL] }, options);

/** Returns the user who is signed in at the app. */
const userAt = async (visitor: Browser) => JSON.parse((await visitor.open('/')).html);

/** Signs in and denies consent. */
async function denyConsent(visitor: Browser, email: string) {
  const browser = browserFor(server);
  const consent = await browser.signIn(email, PASSWORD, await browser.open((await visitor.open('/login')).url));
  expect(isConsent(consent)).toBe(true);
  return visitor.open((await browser.submit(consent, { decision: 'deny' })).url);
}

describe('an app on Passport with the strategy of openid-client', () => {
  /** Configures the app with the issuer and its credentials only. */
  async function openVisit(changes: Partial<StrategyOptions> = {}, client?: TestClient) {
    const { id, secret } = client ?? (await createClient());
    const config = await oidc.discovery(new URL(server.issuer), id, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    const options = { config, scope: 'openid profile email', callbackURL: app.callbackURL, ...changes };
    return app.useStrategy(new Strategy(options, (tokens, done) => done(null, { ...tokens.claims() })));
  }

  it('signs a user in with PKCE, without state', async () => {
    const account = await server.account();
    const visitor = await openVisit();
    const redirect = await visitor.open('/login');
    expect(redirect.url.origin + redirect.url.pathname).toBe(`${server.issuer}/oauth/authorize`);
    expect(redirect.url.searchParams.get('code_challenge_method')).toBe('S256');
    expect(redirect.url.searchParams.has('state')).toBe(false);
    await signInAt(visitor, redirect, server, account.email);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toMatchObject({ sub: account.id, email: account.email, name: 'Jane Developer' });
  });

  it('signs a user in after a dynamic registration', async () => {
    const { email } = await server.account();
    const registered = await oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { client_name: 'Passport', redirect_uris: [app.callbackURL] },
      undefined,
      { execute: [oidc.allowInsecureRequests] },
    );
    const { client_id: id, client_secret: secret } = registered.clientMetadata();
    const visitor = await openVisit({}, { id, secret: secret as string });
    await signInAt(visitor, '/login', server, email);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toMatchObject({ email });
  });

  it('pushes its authorization request (PAR), which does not appear in the URL', async () => {
    const { email } = await server.account();
    const visitor = await openVisit({ usePAR: true });
    const redirect = await visitor.open('/login');
    expect([...redirect.url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    await signInAt(visitor, redirect, server, email);
    expect(await userAt(visitor)).toMatchObject({ email });
  });

  it('receives DPoP-bound tokens', async () => {
    const { email } = await server.account();
    const { id, secret } = await createClient();
    const config = await oidc.discovery(new URL(server.issuer), id, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    const handle = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const visitor = app.useStrategy(
      new Strategy(
        { config, scope: 'openid email', callbackURL: app.callbackURL, DPoP: async () => handle },
        (tokens, done) => done(null, { type: tokens.token_type, email: tokens.claims()?.email }),
      ),
    );
    await signInAt(visitor, '/login', server, email);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toEqual({ type: 'dpop', email });
  });

  it('signs the user in a second time without showing a page', async () => {
    const { email } = await server.account();
    const visitor = await openVisit();
    const browser = browserFor(server);
    await signInAt(visitor, '/login', server, email, browser);
    await visitor.open('/logout');
    expect(await userAt(visitor)).toBeNull();
    await visitor.open((await browser.open((await visitor.open('/login')).url)).url);
    expect(await userAt(visitor)).toMatchObject({ email });
  });

  it('rejects a code of another browser', async () => {
    const { email } = await server.account();
    const attacker = await openVisit();
    const stolen = await completeSignIn(browserFor(server), (await attacker.open('/login')).url, email);
    const victim = browserOf(app);
    await victim.open('/login');
    expect((await victim.open(stolen.url)).status).toBe(500);
    expect(app.errors).toMatchObject([{ error: 'invalid_grant' }]);
    expect(await userAt(victim)).toBeNull();
  });

  it('shows its error page when the user denies consent', async () => {
    const { email } = await server.account();
    const visitor = await openVisit();
    const page = await denyConsent(visitor, email);
    expect(page.url.pathname).toBe('/failed');
    expect(page.status).toBe(403);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toBeNull();
  });
});

describe('an app on Passport with passport-openidconnect', () => {
  const readProfile: Verify = (_issuer, profile, done) =>
    done(null, { id: profile.id, name: profile.displayName, email: profile.emails?.[0]?.value });

  /** Configures the app with each endpoint, because the strategy has no discovery. */
  function openVisit(
    client: TestClient,
    changes: Record<string, unknown> = {},
    verify: Verify | VerifyAll = readProfile,
  ) {
    const options = {
      issuer: server.issuer,
      authorizationURL: `${server.issuer}/oauth/authorize`,
      tokenURL: `${server.issuer}/api/v1/oauth/token`,
      userInfoURL: `${server.issuer}/oauth/userinfo`,
      clientID: client.id,
      clientSecret: client.secret,
      callbackURL: '/callback',
      scope: ['profile', 'email'],
      ...changes,
    };
    return app.useStrategy(new PassportOpenIDConnect(options, verify));
  }

  it('receives invalid_request, because it does not use PKCE', async () => {
    const visitor = openVisit(await createClient());
    const redirect = await visitor.open('/login');
    expect(redirect.url.searchParams.has('code_challenge')).toBe(false);
    const callback = await browserFor(server).open(redirect.url);
    expect(callback.url.origin).toBe(app.origin);
    expect((await visitor.open(callback.url)).status).toBe(500);
    expect(app.errors).toMatchObject([{ code: 'invalid_request', message: expect.stringContaining('PKCE') }]);
    expect(await userAt(visitor)).toBeNull();
  });

  it.each([
    ['the user in the ID token', {}],
    ['a nonce and max_age', { nonce: true, maxAge: 600 }],
  ])('signs a user in with %s if an administrator disabled the PKCE requirement', async (_, changes) => {
    const account = await server.account();
    const visitor = openVisit(await createClient({ pkceRequired: false }), changes);
    await signInAt(visitor, '/login', server, account.email);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toEqual({ id: account.id, name: 'Jane Developer', email: account.email });
  });

  it('signs a user in with the claims of userinfo', async () => {
    const account = await server.account();
    const readUserinfo: VerifyAll = (
      _issuer,
      fromUserinfo,
      _id,
      _context,
      _idToken,
      _token,
      _refresh,
      _response,
      done,
    ) => done(null, { id: fromUserinfo.id, email: fromUserinfo.emails[0]?.value });
    const visitor = openVisit(await createClient({ pkceRequired: false }), {}, readUserinfo);
    await signInAt(visitor, '/login', server, account.email);
    expect(app.errors).toEqual([]);
    expect(await userAt(visitor)).toEqual({ id: account.id, email: account.email });
  });

  it('signs a user in with the alternative path of the token endpoint', async () => {
    const { email } = await server.account();
    const client = await createClient({ pkceRequired: false });
    const visitor = openVisit(client, { tokenURL: `${server.issuer}/oauth/token` });
    await signInAt(visitor, '/login', server, email);
    expect(await userAt(visitor)).toMatchObject({ email });
  });

  it('shows its error page when the user denies consent', async () => {
    const { email } = await server.account();
    const visitor = openVisit(await createClient({ pkceRequired: false }));
    const page = await denyConsent(visitor, email);
    expect(page.url.pathname).toBe('/failed');
    expect(await userAt(visitor)).toBeNull();
  });

  it('receives invalid_client with a wrong secret', async () => {
    const { email } = await server.account();
    const { id } = await createClient({ pkceRequired: false });
    const visitor = openVisit({ id, secret: 'wrong' });
    expect((await signInAt(visitor, '/login', server, email)).status).toBe(500);
    expect(app.errors).toMatchObject([{ code: 'invalid_client' }]);
  });

  it('must use PKCE although an administrator disabled the requirement for another client', async () => {
    await createClient({ pkceRequired: false });
    const callback = await browserFor(server).open((await openVisit(await createClient()).open('/login')).url);
    expect(callback.url.searchParams.get('error')).toBe('invalid_request');
  });
});
