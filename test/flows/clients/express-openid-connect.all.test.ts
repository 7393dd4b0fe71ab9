// An Express app that uses the middleware of express-openid-connect.
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Browser, formsOf } from '../../support/browser.js';
import {
  browserOf,
  type ExpressErrorHandler,
  type Handler,
  openExpress,
  requireClient,
  signInAt,
} from '../../support/client-libraries.js';
import { browserFor, completeSignIn, isConsent, isLogin } from '../../support/openid-client.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

interface Middleware {
  auth(options: Record<string, unknown>): Handler;
  requiresAuth(): Handler;
}

const { auth, requiresAuth } = requireClient<Middleware>('express-openid-connect');

/** The documented parameters of a confidential client. The default response type is `id_token`. */
const CODE = { response_type: 'code', scope: 'openid profile email' };

describe('an app on express-openid-connect', () => {
  let server: TestServer;
  const closers: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    server = await startServer();
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    vi.restoreAllMocks();
  });
  afterAll(() => server.close());

  interface AppOptions {
    /** Options of the middleware. */
    options?: Record<string, unknown>;
    /** Metadata of the client, for the origin of the app. */
    metadata?: (origin: string) => Record<string, unknown>;
  }

  /** Opens the app and registers its client. */
  async function openApp({ options = {}, metadata = () => ({}) }: AppOptions = {}) {
    const { app, origin, close } = await openExpress();
    closers.push(close);
    const client = await server.client({
      redirect_uris: [`${origin}/callback`],
      post_logout_redirect_uris: [origin],
      ...metadata(origin),
    });
    const errors: Error[] = [];
    const recordError: ExpressErrorHandler = (error, _req, res, _next) => {
      errors.push(error);
      res.status(500).send('fault');
    };
    app.use(
      auth({
        issuerBaseURL: server.issuer,
        baseURL: origin,
        clientID: client.id,
        ...(client.secret && { clientSecret: client.secret }),
        secret: 'signs the cookies of the app',
        authRequired: false,
        idpLogout: true,
        authorizationParams: CODE,
        ...options,
      }),
    );
    app.get('/', (req, res) => res.json(req.oidc.user ?? null));
    app.get('/private', requiresAuth(), (req, res) => res.json({ private: req.oidc.user?.email }));
    app.get('/userinfo', async (req, res) => res.json(await req.oidc.fetchUserInfo()));
    app.get('/refresh', async (req, res) => {
      const before = req.oidc.accessToken!.access_token;
      const after = await req.oidc.accessToken!.refresh();
      res.json({ isNew: after.access_token !== before, userinfo: await req.oidc.fetchUserInfo() });
    });
    app.use(recordError);
    return { origin, client, errors, visitor: browserOf({ origin }) };
  }

  const read = async (visitor: Browser, path = '/') => JSON.parse((await visitor.open(path)).html);

  it('signs a user in with PKCE, state and nonce', async () => {
    const account = await server.account();
    const { visitor, errors } = await openApp();
    expect(await read(visitor)).toBeNull();
    const redirect = await visitor.open('/login');
    for (const check of ['code_challenge', 'state', 'nonce']) expect(redirect.url.searchParams.get(check)).toBeTruthy();
    await signInAt(visitor, redirect, server, account.email);
    expect(errors).toEqual([]);
    expect(await read(visitor)).toMatchObject({ sub: account.id, email: account.email, name: 'Jane Developer' });
    expect(await read(visitor, '/userinfo')).toMatchObject({ sub: account.id, email: account.email });
  });

  it('returns a user to the private page that required the sign-in', async () => {
    const { email } = await server.account();
    const { visitor } = await openApp();
    const home = await signInAt(visitor, '/private', server, email);
    expect(home.url.pathname).toBe('/private');
    expect(JSON.parse(home.html)).toEqual({ private: email });
  });

  it('refreshes its tokens', async () => {
    const account = await server.account();
    const authorizationParams = { ...CODE, scope: 'openid email offline_access', prompt: 'consent' };
    const { visitor } = await openApp({ options: { authorizationParams } });
    await signInAt(visitor, '/login', server, account.email);
    const refreshed = { isNew: true, userinfo: expect.objectContaining({ sub: account.id }) };
    expect(await read(visitor, '/refresh')).toEqual(refreshed);
    expect(await read(visitor, '/refresh')).toEqual(refreshed);
  });

  it('receives its authorization response in a posted form (form_post)', async () => {
    vi.spyOn(console, 'warn').mockReturnValue(); // it recommends https for form_post
    const { email } = await server.account();
    const authorizationParams = { ...CODE, response_mode: 'form_post' };
    const { visitor, errors } = await openApp({ options: { authorizationParams } });
    const page = await completeSignIn(browserFor(server), (await visitor.open('/login')).url, email);
    const [form] = formsOf(page.html);
    await visitor.open(form!.action, { method: 'POST', body: new URLSearchParams(form!.fields) });
    expect(errors).toEqual([]);
    expect(await read(visitor)).toMatchObject({ email });
  });

  it('pushes its authorization request (PAR)', async () => {
    const { email } = await server.account();
    const metadata = () => ({ require_pushed_authorization_requests: true });
    const { visitor } = await openApp({ options: { pushedAuthorizationRequests: true }, metadata });
    const redirect = await visitor.open('/login');
    expect([...redirect.url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    await signInAt(visitor, redirect, server, email);
    expect(await read(visitor)).toMatchObject({ email });
  });

  it('authenticates with private_key_jwt', async () => {
    const { email } = await server.account();
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwks = { keys: [await exportJWK(publicKey)] };
    const metadata = () => ({ token_endpoint_auth_method: 'private_key_jwt', jwks });
    const options = {
      clientAssertionSigningKey: await exportPKCS8(privateKey),
      clientAssertionSigningAlg: 'ES256',
    };
    const { visitor, errors } = await openApp({ options, metadata });
    await signInAt(visitor, '/login', server, email);
    expect(errors).toEqual([]);
    expect(await read(visitor)).toMatchObject({ email });
  });

  it('signs a user in silently if they are signed in at the server and have consented', async () => {
    const { email } = await server.account();
    const { visitor } = await openApp({ options: { attemptSilentLogin: true } });
    const browser = browserFor(server);
    const rejected = await browser.open((await visitor.open('/')).url);
    expect(rejected.url.searchParams.get('error')).toBe('login_required');
    await visitor.open(rejected.url);
    expect(await read(visitor)).toBeNull();
    await signInAt(visitor, '/login', server, email, browser);

    const secondVisitor = browserOf({ origin: visitor.origin });
    const { url } = await browser.open((await secondVisitor.open('/')).url);
    expect((await secondVisitor.open(url)).url.pathname).toBe('/');
    expect(await read(secondVisitor)).toMatchObject({ email });
  });

  it('signs the user out at the server, who then returns to the app', async () => {
    const { email } = await server.account();
    const { visitor, origin } = await openApp();
    const browser = browserFor(server);
    await signInAt(visitor, '/login', server, email, browser);
    const confirmation = await browser.open((await visitor.open('/logout')).url);
    const { url } = await browser.submit(confirmation, { logout: 'yes' });
    expect(url.href).toBe(`${origin}/`);
    expect(await read(visitor)).toBeNull();
    expect(isLogin(await browser.open('/account'))).toBe(true);
  });

  it('ends its session when the user signs out at the server (back-channel logout)', async () => {
    const { email } = await server.account();
    const { visitor } = await openApp({
      options: { backchannelLogout: { store: memoryStore() } },
      metadata: (origin) => ({ backchannel_logout_uri: `${origin}/backchannel-logout` }),
    });
    const browser = browserFor(server);
    await signInAt(visitor, '/login', server, email, browser);
    expect(await read(visitor)).toMatchObject({ email });
    await browser.submit(await browser.open('/logout'));
    await server.core.waitUntilIdle();
    expect(await read(visitor)).toBeNull();
    await signInAt(visitor, '/login', server, email, browser);
    expect(await read(visitor)).toMatchObject({ email });
  });

  it('receives unsupported_response_type with its default response type id_token', async () => {
    vi.spyOn(console, 'warn').mockReturnValue();
    const { visitor, origin } = await openApp({ options: { authorizationParams: undefined } });
    const redirect = await visitor.open('/login');
    expect(redirect.url.searchParams.get('response_type')).toBe('id_token');
    const page = await browserFor(server).open(redirect.url);
    const [form] = formsOf(page.html);
    expect(form!.action).toBe(`${origin}/callback`);
    expect(form!.fields).toMatchObject({ error: 'unsupported_response_type', state: expect.any(String) });
    expect(form!.fields).not.toHaveProperty('id_token');
  });

  it('receives access_denied when the user denies consent', async () => {
    const { email } = await server.account();
    const { visitor, errors } = await openApp();
    const browser = browserFor(server);
    const consent = await browser.signIn(email, PASSWORD, await browser.open((await visitor.open('/login')).url));
    expect(isConsent(consent)).toBe(true);
    const { url } = await browser.submit(consent, { decision: 'deny' });
    await visitor.open(url);
    expect(errors).toMatchObject([{ error: 'access_denied' }]);
    expect(await read(visitor)).toBeNull();
  });
});

/** Stores the logged-out sessions of the app, with the store methods that the middleware uses. */
function memoryStore() {
  type Done = (error: null, value?: unknown) => void;
  const stored = new Map<string, unknown>();
  return {
    get: (id: string, done: Done) => done(null, stored.get(id)),
    set(id: string, value: unknown, done: Done) {
      stored.set(id, value);
      done(null);
    },
    destroy(id: string, done: Done) {
      stored.delete(id);
      done(null);
    },
  };
}
