// Fake GitHub, Google and LinkedIn servers with the peculiarities of each on the wire. Each
// authorizes its `user` without asking.
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SignJWT } from 'jose';
import type { Base } from '../../src/base/base.js';
import type { BuiltInProviderId } from '../../src/base/config/built-in-providers.js';
import type { Browser, Page } from './browser.js';
import { generateSigningPair } from './external-issuer.js';
import { bodyOf, openHttpServer } from './http-server.js';

export interface ExternalUser {
  id: string;
  email?: string | undefined;
  verified?: boolean;
  name?: string;
  picture?: string;
  /** Google's: the organization whose mail it hosts. */
  hd?: string;
}

export interface FakeProvider {
  kind: BuiltInProviderId;
  issuer: string;
  user: ExternalUser;
  /** Handlers by path that replace those of the provider. */
  overrides: Record<string, (res: ServerResponse, body: string) => unknown>;
  /** Claims that replace those of the next ID tokens. */
  claims: Record<string, unknown>;
  /** Members that replace those of the next token responses. */
  tokenResponse: Record<string, unknown>;
  signsWithUnpublishedKey: boolean;
  /** GitHub: issues access tokens that expire, with single-use refresh tokens. */
  issuesExpiringTokens: boolean;
  /** All tokens that the provider has issued. */
  issued: { access: string[]; refresh: string[] };
  /** The refresh tokens that clients have presented. */
  redeemed: string[];
  /** The tokens that clients have revoked. */
  revoked: string[];
  requests: { path: string; query: URLSearchParams; headers: IncomingMessage['headers']; body: string }[];
  /** Restores the default behavior and forgets the recorded requests. Issued tokens stay valid. */
  reset(): void;
  close(): Promise<void>;
}

interface Authorization {
  user: ExternalUser;
  redirectUri: string;
  challenge: string | null;
  nonce: string | null;
  scope: string;
  offline: boolean;
}

export const CLIENT_ID = 'app-1';
export const CLIENT_SECRET = 'a secret/that+needs:care';
export const SETTINGS = {
  GITHUB_CLIENT_ID: CLIENT_ID,
  GITHUB_CLIENT_SECRET: CLIENT_SECRET,
  GOOGLE_CLIENT_ID: CLIENT_ID,
  GOOGLE_CLIENT_SECRET: CLIENT_SECRET,
  LINKEDIN_CLIENT_ID: CLIENT_ID,
  LINKEDIN_CLIENT_SECRET: CLIENT_SECRET,
};

const PATHS = {
  github: { authorize: '/login/oauth/authorize', token: '/login/oauth/access_token' },
  google: { authorize: '/o/oauth2/v2/auth', token: '/token' },
  linkedin: { authorize: '/oauth/v2/authorization', token: '/oauth/v2/accessToken' },
};
const NEEDED = { github: 'read:user user:email', google: 'openid profile email', linkedin: 'openid profile email' };
const ISSUER_PATH = { github: '/login/oauth', google: '', linkedin: '/oauth' };

/** Shares one RSA key, because generating one is slow. */
const once = <Value>(create: () => Promise<Value>) => {
  let created: Promise<Value> | undefined;
  return () => {
    created ??= create();
    return created;
  };
};
const published = once(() => generateSigningPair('RS256'));
const unpublished = once(() => generateSigningPair('RS256'));

const defaults = () =>
  ({
    overrides: {},
    claims: {},
    tokenResponse: {},
    signsWithUnpublishedKey: false,
    issuesExpiringTokens: false,
    redeemed: [],
    revoked: [],
    requests: [],
  }) satisfies Partial<FakeProvider>;

let users = 0;
/** Returns a user whom Signet does not know. */
export function newExternalUser(more: Partial<ExternalUser> = {}): ExternalUser {
  users += 1;
  return {
    id: String(1000 + users),
    email: `external${users}@gmail.com`,
    verified: true,
    name: 'Mara Lindqvist',
    picture: 'https://pictures.example/mara.png',
    ...more,
  };
}

export async function openFakeProvider(kind: FakeProvider['kind']): Promise<FakeProvider> {
  const pair = await published();
  const codes = new Map<string, Authorization>();
  const tokens = new Map<string, ExternalUser>();
  const refreshTokens = new Map<string, Authorization>();
  const consented = new Set<string>();
  const paths = PATHS[kind];
  const isGithub = kind === 'github';

  const server = await openHttpServer(async (req, res) => {
    const url = new URL(req.url!, 'http://own.invalid');
    const body = await bodyOf(req);
    self.requests.push({ path: url.pathname, query: url.searchParams, headers: req.headers, body });
    const override = self.overrides[url.pathname];
    if (override) return override(res, body);
    if (url.pathname === paths.authorize) return authorize(url, res);
    if (url.pathname === '/revoke') return revoke(new URLSearchParams(body).get('token')!, res);
    if (url.pathname === paths.token) return redeem(req, new URLSearchParams(body), res);
    if (isGithub) return githubApi(url.pathname, req, res);
    return openid(url.pathname, req, res);
  });
  // An IP address, because `localhost` has two and connecting to the first can time out. It is also
  // another site than Signet, as in production.
  const origin = server.origin.replace('localhost', '127.0.0.1');
  const self: FakeProvider = {
    kind,
    issuer: origin + ISSUER_PATH[kind],
    user: newExternalUser(),
    ...defaults(),
    issued: { access: [], refresh: [] },
    reset: () => void Object.assign(self, defaults()),
    close: server.close,
  };
  return self;

  function authorize({ searchParams }: URL, res: ServerResponse): unknown {
    const redirectUri = searchParams.get('redirect_uri')!;
    const code = randomUUID();
    codes.set(code, {
      user: self.user,
      redirectUri,
      challenge: searchParams.get('code_challenge'),
      nonce: searchParams.get('nonce'),
      scope: searchParams.get('scope') ?? NEEDED[kind],
      // A user who has consented is not asked again, unless the request says so.
      offline:
        searchParams.get('access_type') === 'offline' &&
        (searchParams.get('prompt') === 'consent' || !consented.has(self.user.id)),
    });
    consented.add(self.user.id);
    const answer = new URL(redirectUri);
    answer.searchParams.set('code', code);
    answer.searchParams.set('state', searchParams.get('state')!);
    // GitHub and Google send `iss` (RFC 9207). Google adds an undocumented parameter.
    if (kind !== 'linkedin') answer.searchParams.set('iss', self.issuer);
    if (kind === 'google') answer.searchParams.set('prompt', 'none');
    return res.writeHead(302, { location: answer.href }).end();
  }

  async function redeem(req: IncomingMessage, params: URLSearchParams, res: ServerResponse): Promise<unknown> {
    if (isGithub && req.headers.accept !== 'application/json') {
      return res.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' }).end('access_token=gho_x');
    }
    const reject = (error: string, status = 400) =>
      json(res, isGithub ? 200 : status, { error, error_description: 'No.', error_uri: `${origin}/docs` });
    if (!isClient(req, params)) return reject(isGithub ? 'incorrect_client_credentials' : 'invalid_client', 401);
    // LinkedIn rejects a code verifier of a confidential client.
    if (kind === 'linkedin' && params.has('code_verifier')) return reject('invalid_client', 401);
    if (params.get('grant_type') === 'refresh_token') return refresh(params.get('refresh_token')!, res);
    const issued = codes.get(params.get('code')!);
    codes.delete(params.get('code')!);
    const verifier = params.get('code_verifier');
    const isValid =
      issued?.redirectUri === params.get('redirect_uri') &&
      (!issued.challenge ||
        createHash('sha256')
          .update(verifier ?? '')
          .digest('base64url') === issued.challenge);
    if (!isValid) {
      return reject({ github: 'bad_verification_code', google: 'invalid_grant', linkedin: 'invalid_request' }[kind]);
    }
    const refreshToken = isGithub ? self.issuesExpiringTokens : kind === 'google' && issued.offline;
    return json(res, 200, await tokenResponseFor(issued, refreshToken ? newRefreshToken(issued) : undefined));
  }

  /**
   * GitHub's refresh tokens are single-use, and its errors have status 200. Google's can be used
   * repeatedly.
   */
  async function refresh(token: string, res: ServerResponse): Promise<unknown> {
    self.redeemed.push(token);
    const issued = refreshTokens.get(token);
    if (!issued) return json(res, isGithub ? 200 : 400, { error: isGithub ? 'bad_refresh_token' : 'invalid_grant' });
    if (!isGithub) return json(res, 200, { ...(await tokenResponseFor({ ...issued, nonce: null })), scope: undefined });
    refreshTokens.delete(token);
    return json(res, 200, await tokenResponseFor(issued, newRefreshToken(issued)));
  }

  function newRefreshToken(issued: Authorization): string {
    const token = `${kind}-r-${randomUUID()}`;
    refreshTokens.set(token, issued);
    self.issued.refresh.push(token);
    return token;
  }

  async function tokenResponseFor(issued: Authorization, refreshToken?: string): Promise<object> {
    const token = `${kind}-${randomUUID()}`;
    tokens.set(token, issued.user);
    self.issued.access.push(token);
    const granted = { access_token: token, ...(refreshToken && { refresh_token: refreshToken }) };
    if (isGithub) {
      const scope = issued.scope.replaceAll(' ', ',');
      const life = self.issuesExpiringTokens && { expires_in: 28_800 };
      return { ...granted, scope, token_type: 'bearer', ...life, ...self.tokenResponse };
    }
    const openid = { expires_in: 3599, scope: issued.scope, token_type: 'Bearer', id_token: await idToken(issued) };
    return { ...granted, ...openid, ...self.tokenResponse };
  }

  function revoke(token: string, res: ServerResponse): unknown {
    self.revoked.push(token);
    refreshTokens.delete(token);
    return res.writeHead(200).end();
  }

  function isClient({ headers }: IncomingMessage, params: URLSearchParams): boolean {
    const inBody = params.get('client_id') === CLIENT_ID && params.get('client_secret') === CLIENT_SECRET;
    const basic = `${encodeURIComponent(CLIENT_ID)}:${encodeURIComponent(CLIENT_SECRET)}`;
    const [scheme, value = ''] = (headers.authorization ?? '').split(' ');
    const inHeader =
      scheme === 'Basic' &&
      Buffer.from(value, 'base64').toString().replaceAll('%2D', '-') === basic.replaceAll('%20', '+');
    return inBody || (kind === 'google' && inHeader);
  }

  async function idToken({ user, nonce }: Authorization): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: self.issuer,
      aud: CLIENT_ID,
      iat: now,
      exp: now + 3600,
      ...(nonce && kind === 'google' && { nonce }), // LinkedIn leaves it out
      ...claimsOf(user),
      ...self.claims,
    };
    const present = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
    return new SignJWT(present)
      .setProtectedHeader({ alg: 'RS256', kid: pair.kid })
      .sign((self.signsWithUnpublishedKey ? await unpublished() : pair).privateKey);
  }

  function claimsOf({ id, email, verified, name, picture, hd }: ExternalUser) {
    const locale = kind === 'linkedin' ? { country: 'SE', language: 'sv' } : 'sv';
    return {
      sub: id,
      email,
      email_verified: email && verified,
      name,
      picture,
      locale,
      ...(kind === 'google' && { hd }),
    };
  }

  function githubApi(path: string, { headers }: IncomingMessage, res: ServerResponse): unknown {
    const user = tokens.get((headers.authorization ?? '').replace('Bearer ', ''));
    if (!headers['user-agent']) return json(res, 403, { message: 'Request forbidden by administrative rules.' });
    if (!user) return json(res, 401, { message: 'Bad credentials' });
    const { id, email, verified, name, picture } = user;
    if (path === '/api/v3/user') {
      return json(res, 200, { id: Number(id), login: 'mara', name: name ?? null, email: null, avatar_url: picture });
    }
    if (path !== '/api/v3/user/emails') return json(res, 404, { message: 'Not Found' });
    const other = { email: 'other@example.net', primary: false, verified: true, visibility: null };
    return json(res, 200, email ? [other, { email, primary: true, verified, visibility: 'private' }] : []);
  }

  function openid(path: string, { headers }: IncomingMessage, res: ServerResponse): unknown {
    if (path.replace(ISSUER_PATH[kind], '') === '/.well-known/openid-configuration') {
      return json(res, 200, {
        issuer: self.issuer,
        authorization_endpoint: origin + paths.authorize,
        token_endpoint: origin + paths.token,
        userinfo_endpoint: `${origin}/userinfo`,
        jwks_uri: `${origin}/keys`,
        response_types_supported: ['code'],
        id_token_signing_alg_values_supported: ['RS256'],
        ...(kind === 'google' && {
          revocation_endpoint: `${origin}/revoke`,
          token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
        }),
      });
    }
    if (path === '/keys') return json(res, 200, { keys: [pair.publicJwk] });
    const user = tokens.get((headers.authorization ?? '').replace('Bearer ', ''));
    if (path !== '/userinfo') return json(res, 404, {});
    if (!user) return json(res, 401, {});
    return json(res, 200, claimsOf(user));
  }
}

export const json = (
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): unknown =>
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(JSON.stringify(body));

/** Returns a wrapper that points a server to these providers: their addresses are not settings. */
export const useFakeProvider =
  (...all: FakeProvider[]) =>
  (base: Base): Base => {
    const providers = base.config.providers.map((provider) => ({
      ...provider,
      issuer: all.find(({ kind }) => kind === provider.kind)?.issuer ?? provider.issuer,
    }));
    return { ...base, config: { ...base.config, providers } };
  };

/** Submits the sign-in button of a provider. Returns the provider's page. */
export async function pressProviderButton(
  browser: Browser,
  page: Page,
  id: string,
  path = `/login/with/${id}`,
): Promise<Page> {
  const forms = [...page.html.matchAll(/<form\b[^>]*action="([^"]*)"/g)].map(([, action]) => action!);
  const n = forms.findIndex((action) => action.split('?')[0] === path);
  if (n < 0) throw new Error(`no button for ${id} on ${page.url}`);
  return browser.submit(page, {}, n);
}

/** Sends an authorization request to the provider. Returns the callback URL with the response. */
export async function callbackOf(authorizationUrl: URL): Promise<URL> {
  const response = await fetch(authorizationUrl, { redirect: 'manual' });
  const location = response.headers.get('location');
  if (!location) throw new Error(`${authorizationUrl} answers ${response.status}: ${await response.text()}`);
  return new URL(location);
}

/** Signs in with a provider from a page with its button. Returns the page after the callback. */
export async function signInWithProvider(browser: Browser, id: string, at: Page | string = '/login'): Promise<Page> {
  const page = typeof at === 'string' ? await browser.open(at) : at;
  const next = await pressProviderButton(browser, page, id);
  return next.url.origin === browser.origin ? next : browser.open(await callbackOf(next.url));
}

/** Obtains an authorization code of the provider for a user. */
export async function obtainProviderCode(
  provider: FakeProvider,
  user: ExternalUser,
  redirectUri: string,
  more: Record<string, string> = {},
): Promise<string> {
  provider.user = user;
  const { origin } = new URL(provider.issuer);
  const query = new URLSearchParams({ redirect_uri: redirectUri, state: 'the-app-s', ...more });
  return (await callbackOf(new URL(`${origin}${PATHS[provider.kind].authorize}?${query}`))).searchParams.get('code')!;
}
