// Sign-in with a provider: the authorization request, the callback, and forged or replayed
// callbacks.
import { createHash } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createOAuthHandlers,
  githubProvider,
  googleProvider,
  type OAuthHandlersOptions,
  verifySession,
} from '../../src/kit/index.js';

const SECRET = 'a secret of thirty-two characters';
const ORIGIN = 'https://app.example.com';
const GOOGLE = 'https://accounts.google.com';
const client = { clientId: 'client-1', clientSecret: 'client-secret' };
const keys = await generateKeyPair('RS256');

/** Fakes Google and GitHub. */
function openProviders() {
  const state = {
    nonce: '',
    challenge: '',
    claims: {} as Record<string, unknown>,
    idToken: undefined as string | undefined,
    emails: [{ email: 'octo@example.com', primary: true, verified: true }],
    token: undefined as Response | undefined,
    forms: [] as URLSearchParams[],
    moreKeys: '',
  };

  async function respond(input: string | URL, init: RequestInit = {}): Promise<Response> {
    const url = String(input);
    if (url === 'https://www.googleapis.com/oauth2/v3/certs') {
      const key = { ...(await exportJWK(keys.publicKey)), kid: 'g', alg: 'RS256', use: 'sig' };
      return Response.json({ keys: [key], more: state.moreKeys });
    }
    if (url === 'https://api.github.com/user')
      return Response.json({ id: 583231, login: 'octo', email: 'public@example.com' });
    if (url === 'https://api.github.com/user/emails') return Response.json(state.emails);
    const form = new URLSearchParams(String(init.body));
    state.forms.push(form);
    if (state.token) return state.token;
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (form.get('code') !== 'good' || challenge !== state.challenge)
      return Response.json({ error: 'invalid_grant' }, { status: 400 });
    return Response.json({ access_token: 'at', token_type: 'bearer', id_token: state.idToken ?? (await idToken()) });
  }

  async function idToken(claims: Record<string, unknown> = {}): Promise<string> {
    const iat = Math.floor(Date.now() / 1000);
    const all = {
      iss: GOOGLE,
      aud: 'client-1',
      sub: '1089',
      nonce: state.nonce,
      email: 'jane@example.com',
      email_verified: true,
      iat,
      exp: iat + 60,
      ...state.claims,
      ...claims,
    };
    return new SignJWT(all).setProtectedHeader({ alg: 'RS256', kid: 'g' }).sign(keys.privateKey);
  }

  return Object.assign(state, { fetch: respond as typeof fetch });
}

let providers: ReturnType<typeof openProviders>;
beforeEach(() => {
  providers = openProviders();
});

const open = (options: Partial<OAuthHandlersOptions> = {}) =>
  createOAuthHandlers({
    providers: [googleProvider(client), githubProvider(client)],
    callbackPath: '/auth/callback',
    sessionSecret: SECRET,
    fetch: providers.fetch,
    ...options,
  });

const get = (path: string, cookie = '') => new Request(ORIGIN + path, { headers: { cookie } });
const cookiesOf = (response: Response) => response.headers.getSetCookie();
const cookieOf = (response: Response, name: string) =>
  cookiesOf(response).flatMap((cookie) => new RegExp(`^${name}=([^;]*)`).exec(cookie)?.[1] ?? [])[0];

/** Starts a sign-in. `back` calls the callback handler. */
async function begin(handlers = open(), provider = 'google') {
  const response = await handlers.login(get(`/auth/login/${provider}`));
  const to = new URL(response.headers.get('location')!);
  Object.assign(providers, { nonce: to.searchParams.get('nonce'), challenge: to.searchParams.get('code_challenge') });
  const state = cookieOf(response, 'capstan_oauth_state')!;
  const back = (params: Record<string, string> = {}, cookie = `capstan_oauth_state=${state}`) =>
    handlers.callback(get(`/auth/callback?${new URLSearchParams({ code: 'good', state, ...params })}`, cookie));
  return { response, to, state, back };
}

const sessionOf = (response: Response) => verifySession(cookieOf(response, 'capstan_session') ?? '', SECRET);

describe('the login handler', () => {
  it('redirects to the provider with state, PKCE and nonce, and sets the state cookie', async () => {
    const { response, to, state } = await begin();
    expect(response.status).toBe(302);
    expect(to.origin + to.pathname).toBe('https://accounts.google.com/o/oauth2/v2/auth');
    expect(Object.fromEntries(to.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'client-1',
      redirect_uri: `${ORIGIN}/auth/callback`,
      scope: 'openid email profile',
      state,
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(state).toMatch(/^google\./);
    expect(cookiesOf(response)).toEqual([
      `capstan_oauth_state=${state}; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure`,
    ]);
    expect((await begin()).state).not.toBe(state);
  });

  it('responds with 404 for an unknown provider', async () => {
    for (const path of [
      '/auth/login/evil',
      '/auth/login/',
      '/auth/login',
      '/other/google',
      '/auth/login/google/x',
      '/auth/login/__proto__',
    ])
      expect((await open().login(get(path))).status, path).toBe(404);
  });
});

describe('the callback handler', () => {
  it('signs in with the ID token of Google', async () => {
    const { back } = await begin();
    const response = await back();
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe('/');
    expect(sessionOf(response)).toMatchObject({ userId: 'google:1089', email: 'jane@example.com' });
    expect(cookieOf(response, 'capstan_oauth_state')).toBe('');
    expect(providers.forms[0]!.get('redirect_uri')).toBe(`${ORIGIN}/auth/callback`);
  });

  it('signs in with the verified address of GitHub', async () => {
    const { to, back } = await begin(open(), 'github');
    expect(to.searchParams.get('nonce')).toBeNull();
    expect(sessionOf(await back())).toMatchObject({ userId: 'github:583231', email: 'octo@example.com' });
    providers.emails = [{ email: 'octo@example.com', primary: true, verified: false }];
    const again = await begin(open(), 'github');
    expect(sessionOf(await again.back())?.email).toBeUndefined();
  });

  it('creates a session only for the users that onSignIn accepts', async () => {
    const onSignIn = vi.fn(() => ({ userId: 'u1', role: 'admin' }));
    const { back } = await begin(open({ onSignIn }));
    expect(sessionOf(await back())).toMatchObject({ userId: 'u1', role: 'admin' });
    expect(onSignIn).toHaveBeenCalledWith(expect.objectContaining({ id: '1089', emailVerified: true }), 'google');
    const unknown = await begin(open({ onSignIn: () => null }));
    expect((await unknown.back()).status).toBe(403);
  });

  it('accepts only the browser that started, within ten minutes, with an unchanged state', async () => {
    const { state, back } = await begin();
    const [provider, startedAt, nonce, signature] = state.split('.') as [string, string, string, string];
    const forged = `github.${startedAt}.${nonce}.${signature}`;
    const other = (await begin()).state;
    const responses = await Promise.all([
      back({}, ''),
      back({}, `capstan_oauth_state=${other}`),
      back({ state: '' }),
      back({ state: forged }, `capstan_oauth_state=${forged}`),
      back({ state: `${provider}.${startedAt}.${nonce}.` }, `capstan_oauth_state=${provider}.${startedAt}.${nonce}.`),
    ]);
    for (const response of responses) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: 'invalid_state' });
      expect(sessionOf(response)).toBeNull();
    }
    vi.useFakeTimers({ now: Date.now() + 601_000, toFake: ['Date'] });
    expect((await back()).status).toBe(400);
    vi.useRealTimers();
  });

  it('rejects another issuer, a denied authorization and an invalid code', async () => {
    const { back } = await begin();
    expect(await (await back({ iss: 'https://evil.example' })).json()).toMatchObject({ error: 'invalid_issuer' });
    const { state } = await begin();
    const handlers = open();
    const denied = await handlers.callback(
      get(`/auth/callback?error=access_denied&state=${state}`, `capstan_oauth_state=${state}`),
    );
    expect([denied.status, await denied.json()]).toEqual([400, expect.objectContaining({ error: 'access_denied' })]);
    const wrong = await (await begin()).back({ code: 'wrong' });
    expect([wrong.status, await wrong.json()]).toEqual([400, expect.objectContaining({ error: 'invalid_grant' })]);
  });

  it.each([
    ['another nonce', { nonce: 'other' }],
    ['no nonce', { nonce: undefined }],
    ['another audience', { aud: 'client-2' }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['an expiry in the past', { exp: 1 }],
  ])('rejects an ID token with %s', async (_, claims) => {
    providers.claims = claims;
    const response = await (await begin()).back();
    expect([response.status, sessionOf(response)]).toEqual([502, null]);
  });

  it('responds with 502 to an unexpected response, without its content', async () => {
    for (const token of [
      new Response('<html>client-secret</html>'),
      Response.json([]),
      Response.json(null),
      Response.json({}),
      new Response(null, { status: 302 }),
    ]) {
      providers.token = token;
      const response = await (await begin(open(), 'github')).back();
      expect(response.status).toBe(502);
      expect(await response.text()).not.toMatch(/client-secret|html/);
    }
  });

  it('limits the size of responses', async () => {
    let sent = 0;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += 1;
            controller.enqueue(new TextEncoder().encode(' '.repeat(16_384)));
            if (sent === 1000) controller.close();
          },
        }),
      );
    providers.token = endless();
    expect((await (await begin(open(), 'github')).back()).status).toBe(502);
    expect(sent).toBeLessThan(10);
    const padded = (bytes: number) => Response.json({ access_token: 'at', token_type: 'bearer', x: 'x'.repeat(bytes) });
    providers.token = padded(65_000);
    expect((await (await begin(open(), 'github')).back()).status).toBe(302);
    providers.token = padded(65_536);
    expect((await (await begin(open(), 'github')).back()).status).toBe(502);
    providers.token = undefined;
    providers.moreKeys = 'x'.repeat(65_536);
    expect((await (await begin()).back()).status).toBe(502);
  });

  it('throws for provider names that are not safe in paths or in the state', () => {
    for (const name of ['my.provider', '', 'a b', 'a;b', 'a/b'])
      expect(() => open({ providers: [{ ...googleProvider(client), name }] }), name).toThrow(TypeError);
  });

  it('redirects to a path of this service only', async () => {
    for (const redirectTo of ['https://evil.example', '//evil.example', '/\\evil.example', 'home'])
      expect(() => open({ redirectTo })).toThrow(TypeError);
    const { back } = await begin(open({ redirectTo: '/home' }));
    const response = await back({ redirect: 'https://evil.example', return_to: '//evil.example' });
    expect(response.headers.get('location')).toBe('/home');
  });
});

describe('the login handler behind a proxy', () => {
  it('uses the public origin for redirect URIs and for Secure cookies', async () => {
    const handlers = open({ origin: 'https://public.example' });
    const internalRequest = new Request('http://10.0.0.7:8080/auth/login/github');
    const response = await handlers.login(internalRequest);
    expect(new URL(response.headers.get('location')!).searchParams.get('redirect_uri')).toBe(
      'https://public.example/auth/callback',
    );
    expect(cookiesOf(response)[0]).toMatch(/; Secure$/);
    expect(cookiesOf(await open().login(internalRequest))[0]).not.toMatch(/Secure/);
  });
});
