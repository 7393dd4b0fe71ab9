// Passport, through both of its strategies: the one of openid-client, which finds everything by
// discovery and does PKCE, and passport-openidconnect, which does neither.
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

/** What passport-openidconnect makes of the claims. */
interface Profile {
  id: string;
  displayName: string;
  emails: { value: string }[];
}

type Verify = (issuer: string, profile: Profile, done: Done) => void;
/** The strategy counts the parameters: with nine it asks at userinfo. */
type VerifyAll = (
  issuer: string,
  fromUserinfo: Profile,
  fromIdToken: Profile,
  context: unknown,
  idToken: string,
  accessToken: string,
  refreshToken: string,
  answer: unknown,
  done: Done,
) => void;
type OpenIDConnectStrategy = new (options: Record<string, unknown>, verify: Verify | VerifyAll) => unknown;

const { Passport } = requireClient<{ Passport: new () => Authenticator }>('passport');
const PassportOpenIDConnect = requireClient<OpenIDConnectStrategy>('passport-openidconnect');

type App = Awaited<ReturnType<typeof openApp>>;

/**
 * The app as Passport's documentation has it: a session, a sign-in button, a callback, a page that
 * says who it is.
 */
async function openApp() {
  const { app, origin, close } = await openExpress();
  const errors: Error[] = [];
  let passport = new Passport();
  const noteFault: ExpressErrorHandler = (error, _req, res, _next) => {
    errors.push(error);
    res.status(500).send('fault');
  };
  app.use(sessions());
  app.use((req, res, next) => passport.authenticate('session')(req, res, next));
  app.get('/login', (req, res, next) => passport.authenticate('house')(req, res, next));
  app.get('/callback', (req, res, next) => {
    const routes = { successRedirect: '/', failureRedirect: '/failed', failureMessage: true };
    return passport.authenticate('house', routes)(req, res, next);
  });
  app.get('/logout', (req, res) => req.logout(() => res.redirect('/')));
  app.get('/', (req, res) => res.json(req.user ?? null));
  app.get('/failed', (req, res) => res.status(403).json(req.session.messages));
  app.use(noteFault);

  return { origin, callbackURL: `${origin}/callback`, errors, plug, close };

  /** Gives the app this strategy, and forgets what it noted with the last one. */
  function plug(strategy: unknown): Browser {
    errors.length = 0;
    passport = new Passport();
    passport.use('house', strategy);
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

/** A client of the app, made by an administrator. */
const makeClient = (options: { pkceRequired?: boolean } = {}) =>
  server.client({ redirect_uris: [app.callbackURL] }, options);

/** Who the app says it talks with. */
const personAt = async (visitor: Browser) => JSON.parse((await visitor.open('/')).html);

/** Presses the button, signs in, and says no. */
async function refuse(visitor: Browser, email: string) {
  const browser = browserFor(server);
  const consent = await browser.signIn(email, PASSWORD, await browser.open((await visitor.open('/login')).url));
  expect(isConsent(consent)).toBe(true);
  return visitor.open((await browser.submit(consent, { decision: 'deny' })).url);
}

describe('an app on Passport with the strategy of openid-client', () => {
  /** The app knows the issuer and its credentials: nothing of its paths, methods or keys. */
  async function openVisit(changes: Partial<StrategyOptions> = {}, client?: TestClient) {
    const { id, secret } = client ?? (await makeClient());
    const config = await oidc.discovery(new URL(server.issuer), id, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    const options = { config, scope: 'openid profile email', callbackURL: app.callbackURL, ...changes };
    return app.plug(new Strategy(options, (tokens, done) => done(null, { ...tokens.claims() })));
  }

  it('signs a person in, with PKCE, and names no other check', async () => {
    const account = await server.account();
    const visitor = await openVisit();
    const away = await visitor.open('/login');
    expect(away.url.origin + away.url.pathname).toBe(`${server.issuer}/oauth/authorize`);
    expect(away.url.searchParams.get('code_challenge_method')).toBe('S256');
    expect(away.url.searchParams.has('state')).toBe(false);
    await signInAt(visitor, away, server, account.email);
    expect(app.errors).toEqual([]);
    expect(await personAt(visitor)).toMatchObject({ sub: account.id, email: account.email, name: 'Jane Developer' });
  });

  it('signs in somebody who registered the app a moment ago', async () => {
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
    expect(await personAt(visitor)).toMatchObject({ email });
  });

  it('hands its request over beforehand (PAR), and keeps it out of the address', async () => {
    const { email } = await server.account();
    const visitor = await openVisit({ usePAR: true });
    const away = await visitor.open('/login');
    expect([...away.url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    await signInAt(visitor, away, server, email);
    expect(await personAt(visitor)).toMatchObject({ email });
  });

  it('gets tokens that are bound to its key (DPoP)', async () => {
    const { email } = await server.account();
    const { id, secret } = await makeClient();
    const config = await oidc.discovery(new URL(server.issuer), id, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    const handle = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const visitor = app.plug(
      new Strategy(
        { config, scope: 'openid email', callbackURL: app.callbackURL, DPoP: async () => handle },
        (tokens, done) => done(null, { type: tokens.token_type, email: tokens.claims()?.email }),
      ),
    );
    await signInAt(visitor, '/login', server, email);
    expect(app.errors).toEqual([]);
    expect(await personAt(visitor)).toEqual({ type: 'dpop', email });
  });

  it('asks nobody anything the second time', async () => {
    const { email } = await server.account();
    const visitor = await openVisit();
    const browser = browserFor(server);
    await signInAt(visitor, '/login', server, email, browser);
    await visitor.open('/logout');
    expect(await personAt(visitor)).toBeNull();
    await visitor.open((await browser.open((await visitor.open('/login')).url)).url);
    expect(await personAt(visitor)).toMatchObject({ email });
  });

  it('does not take the code of another visitor', async () => {
    const { email } = await server.account();
    const thief = await openVisit();
    const stolen = await completeSignIn(browserFor(server), (await thief.open('/login')).url, email);
    const victim = browserOf(app);
    await victim.open('/login');
    expect((await victim.open(stolen.url)).status).toBe(500);
    expect(app.errors).toMatchObject([{ error: 'invalid_grant' }]);
    expect(await personAt(victim)).toBeNull();
  });

  it('learns that the person said no', async () => {
    const { email } = await server.account();
    const visitor = await openVisit();
    const page = await refuse(visitor, email);
    expect(page.url.pathname).toBe('/failed');
    expect(page.status).toBe(403);
    expect(app.errors).toEqual([]);
    expect(await personAt(visitor)).toBeNull();
  });
});

describe('an app on Passport with passport-openidconnect', () => {
  const readProfile: Verify = (_issuer, profile, done) =>
    done(null, { id: profile.id, name: profile.displayName, email: profile.emails?.[0]?.value });

  /** The strategy knows no discovery: it is told each address. */
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
    return app.plug(new PassportOpenIDConnect(options, verify));
  }

  it('is refused: it does no PKCE', async () => {
    const visitor = openVisit(await makeClient());
    const away = await visitor.open('/login');
    expect(away.url.searchParams.has('code_challenge')).toBe(false);
    const back = await browserFor(server).open(away.url);
    expect(back.url.origin).toBe(app.origin);
    expect((await visitor.open(back.url)).status).toBe(500);
    expect(app.errors).toMatchObject([{ code: 'invalid_request', message: expect.stringContaining('PKCE') }]);
    expect(await personAt(visitor)).toBeNull();
  });

  it.each([
    ['reads the person from the ID token', {}],
    ['checks a nonce and how fresh the sign-in is', { nonce: true, maxAge: 600 }],
  ])('%s, where an administrator switched the requirement off for it', async (_, changes) => {
    const account = await server.account();
    const visitor = openVisit(await makeClient({ pkceRequired: false }), changes);
    await signInAt(visitor, '/login', server, account.email);
    expect(app.errors).toEqual([]);
    expect(await personAt(visitor)).toEqual({ id: account.id, name: 'Jane Developer', email: account.email });
  });

  it('asks at userinfo for the person', async () => {
    const account = await server.account();
    const everything: VerifyAll = (_issuer, fromUserinfo, _id, _context, _idToken, _token, _refresh, _answer, done) =>
      done(null, { id: fromUserinfo.id, email: fromUserinfo.emails[0]?.value });
    const visitor = openVisit(await makeClient({ pkceRequired: false }), {}, everything);
    await signInAt(visitor, '/login', server, account.email);
    expect(app.errors).toEqual([]);
    expect(await personAt(visitor)).toEqual({ id: account.id, email: account.email });
  });

  it('may use the other address of the token endpoint', async () => {
    const { email } = await server.account();
    const client = await makeClient({ pkceRequired: false });
    const visitor = openVisit(client, { tokenURL: `${server.issuer}/oauth/token` });
    await signInAt(visitor, '/login', server, email);
    expect(await personAt(visitor)).toMatchObject({ email });
  });

  it('learns that the person said no', async () => {
    const { email } = await server.account();
    const visitor = openVisit(await makeClient({ pkceRequired: false }));
    const page = await refuse(visitor, email);
    expect(page.url.pathname).toBe('/failed');
    expect(await personAt(visitor)).toBeNull();
  });

  it('learns that its secret is wrong', async () => {
    const { email } = await server.account();
    const { id } = await makeClient({ pkceRequired: false });
    const visitor = openVisit({ id, secret: 'wrong' });
    expect((await signInAt(visitor, '/login', server, email)).status).toBe(500);
    expect(app.errors).toMatchObject([{ code: 'invalid_client' }]);
  });

  it('is not spared PKCE by the switch of another app', async () => {
    await makeClient({ pkceRequired: false });
    const back = await browserFor(server).open((await openVisit(await makeClient()).open('/login')).url);
    expect(back.url.searchParams.get('error')).toBe('invalid_request');
  });
});
