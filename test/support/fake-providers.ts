// Providers elsewhere, as far as they can be told apart over the wire: GitHub, Google, LinkedIn.
// Each says yes at once for whoever is its `person`, and keeps to its own rules. `spoil` puts
// something else in the place of an answer.
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SignJWT } from 'jose';
import type { Base } from '../../src/base/base.js';
import type { Browser, Page } from './browser.js';
import { makePair } from './external-issuer.js';
import { bodyOf, openHttpServer } from './http-server.js';

export interface PersonElsewhere {
  id: string;
  email?: string | undefined;
  verified?: boolean;
  name?: string;
  picture?: string;
  /** Google's: the organization whose mail it hosts. */
  hd?: string;
}

export interface FakeProvider {
  kind: 'github' | 'google' | 'linkedin';
  issuer: string;
  person: PersonElsewhere;
  /** By path: answers in place of its own. */
  spoil: Record<string, (res: ServerResponse, body: string) => unknown>;
  /** Claims that its next ID tokens have instead. */
  claims: Record<string, unknown>;
  /** What its next answers with tokens have instead. */
  answers: Record<string, unknown>;
  /** Signs with a key that it does not publish. */
  forges: boolean;
  /**
   * GitHub's: whether its tokens expire, and can be renewed; then a refresh token is good for one
   * use. Google's can with a new consent.
   */
  expires: boolean;
  /** All tokens that it ever gave. */
  given: { access: string[]; refresh: string[] };
  /** Refresh tokens that were spent, and tokens that it was asked to forget. */
  spent: string[];
  forgotten: string[];
  asked: { path: string; query: URLSearchParams; headers: IncomingMessage['headers']; body: string }[];
  close(): Promise<void>;
}

interface Given {
  person: PersonElsewhere;
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

/** Making RSA keys takes long: one serves all. */
const once = <Value>(make: () => Promise<Value>) => {
  let made: Promise<Value> | undefined;
  return () => {
    made ??= make();
    return made;
  };
};
const published = once(() => makePair('RS256'));
const unpublished = once(() => makePair('RS256'));

let people = 0;
/** Somebody whom nobody here knows yet. */
export function newPerson(more: Partial<PersonElsewhere> = {}): PersonElsewhere {
  people += 1;
  return {
    id: String(1000 + people),
    email: `elsewhere${people}@gmail.com`,
    verified: true,
    name: 'Mara Lindqvist',
    picture: 'https://pictures.example/mara.png',
    ...more,
  };
}

export async function openFakeProvider(kind: FakeProvider['kind']): Promise<FakeProvider> {
  const pair = await published();
  const codes = new Map<string, Given>();
  const tokens = new Map<string, PersonElsewhere>();
  const refreshTokens = new Map<string, Given>();
  const consented = new Set<string>();
  const paths = PATHS[kind];
  const isGithub = kind === 'github';

  const server = await openHttpServer(async (req, res) => {
    const url = new URL(req.url!, 'http://own.invalid');
    const body = await bodyOf(req);
    self.asked.push({ path: url.pathname, query: url.searchParams, headers: req.headers, body });
    const spoilt = self.spoil[url.pathname];
    if (spoilt) return spoilt(res, body);
    if (url.pathname === paths.authorize) return authorize(url, res);
    if (url.pathname === '/revoke') return forget(new URLSearchParams(body).get('token')!, res);
    if (url.pathname === paths.token) return redeem(req, new URLSearchParams(body), res);
    if (isGithub) return githubApi(url.pathname, req, res);
    return openid(url.pathname, req, res);
  });
  // By its number: a name has two addresses, and a process that is busy for a moment gives the
  // first one up. And it is another site.
  const origin = server.origin.replace('localhost', '127.0.0.1');
  const self: FakeProvider = {
    kind,
    issuer: origin + ISSUER_PATH[kind],
    person: newPerson(),
    spoil: {},
    claims: {},
    answers: {},
    forges: false,
    expires: false,
    given: { access: [], refresh: [] },
    spent: [],
    forgotten: [],
    asked: [],
    close: server.close,
  };
  return self;

  function authorize({ searchParams }: URL, res: ServerResponse): unknown {
    const redirectUri = searchParams.get('redirect_uri')!;
    const code = randomUUID();
    codes.set(code, {
      person: self.person,
      redirectUri,
      challenge: searchParams.get('code_challenge'),
      nonce: searchParams.get('nonce'),
      scope: searchParams.get('scope') ?? NEEDED[kind],
      // Whoever said yes before is not asked again, unless it is told to.
      offline:
        searchParams.get('access_type') === 'offline' &&
        (searchParams.get('prompt') === 'consent' || !consented.has(self.person.id)),
    });
    consented.add(self.person.id);
    const answer = new URL(redirectUri);
    answer.searchParams.set('code', code);
    answer.searchParams.set('state', searchParams.get('state')!);
    // GitHub and Google say who answers (RFC 9207); Google adds what nobody asked for.
    if (kind !== 'linkedin') answer.searchParams.set('iss', self.issuer);
    if (kind === 'google') answer.searchParams.set('prompt', 'none');
    return res.writeHead(302, { location: answer.href }).end();
  }

  async function redeem(req: IncomingMessage, params: URLSearchParams, res: ServerResponse): Promise<unknown> {
    if (isGithub && req.headers.accept !== 'application/json') {
      return res.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' }).end('access_token=gho_x');
    }
    const refuse = (error: string, status = 400) =>
      json(res, isGithub ? 200 : status, { error, error_description: 'No.', error_uri: `${origin}/docs` });
    if (!isClient(req, params)) return refuse(isGithub ? 'incorrect_client_credentials' : 'invalid_client', 401);
    // LinkedIn takes no verifier from a client that has a secret.
    if (kind === 'linkedin' && params.has('code_verifier')) return refuse('invalid_client', 401);
    if (params.get('grant_type') === 'refresh_token') return refresh(params.get('refresh_token')!, res);
    const given = codes.get(params.get('code')!);
    codes.delete(params.get('code')!);
    const verifier = params.get('code_verifier');
    const tryConsume =
      given?.redirectUri === params.get('redirect_uri') &&
      (!given.challenge ||
        createHash('sha256')
          .update(verifier ?? '')
          .digest('base64url') === given.challenge);
    if (!tryConsume) {
      return refuse({ github: 'bad_verification_code', google: 'invalid_grant', linkedin: 'invalid_request' }[kind]);
    }
    const refreshToken = isGithub ? self.expires : kind === 'google' && given.offline;
    return json(res, 200, await answerFor(given, refreshToken ? newRefreshToken(given) : undefined));
  }

  /**
   * GitHub takes each once, and its answer is 200 whatever it says; Google takes the same again and
   * again.
   */
  async function refresh(token: string, res: ServerResponse): Promise<unknown> {
    self.spent.push(token);
    const given = refreshTokens.get(token);
    if (!given) return json(res, isGithub ? 200 : 400, { error: isGithub ? 'bad_refresh_token' : 'invalid_grant' });
    if (!isGithub) return json(res, 200, { ...(await answerFor({ ...given, nonce: null })), scope: undefined });
    refreshTokens.delete(token);
    return json(res, 200, await answerFor(given, newRefreshToken(given)));
  }

  function newRefreshToken(given: Given): string {
    const token = `${kind}-r-${randomUUID()}`;
    refreshTokens.set(token, given);
    self.given.refresh.push(token);
    return token;
  }

  async function answerFor(given: Given, refreshToken?: string): Promise<object> {
    const token = `${kind}-${randomUUID()}`;
    tokens.set(token, given.person);
    self.given.access.push(token);
    const granted = { access_token: token, ...(refreshToken && { refresh_token: refreshToken }) };
    if (isGithub) {
      const scope = given.scope.replaceAll(' ', ',');
      const life = self.expires && { expires_in: 28_800 };
      return { ...granted, scope, token_type: 'bearer', ...life, ...self.answers };
    }
    const idTokenOf = await idToken(given);
    const answer = { expires_in: 3599, scope: given.scope, token_type: 'Bearer', id_token: idTokenOf };
    return { ...granted, ...answer, ...self.answers };
  }

  function forget(token: string, res: ServerResponse): unknown {
    self.forgotten.push(token);
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

  async function idToken({ person, nonce }: Given): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: self.issuer,
      aud: CLIENT_ID,
      iat: now,
      exp: now + 3600,
      ...(nonce && kind === 'google' && { nonce }), // LinkedIn leaves it out
      ...claimsOf(person),
      ...self.claims,
    };
    const present = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
    return new SignJWT(present)
      .setProtectedHeader({ alg: 'RS256', kid: pair.kid })
      .sign((self.forges ? await unpublished() : pair).privateKey);
  }

  function claimsOf({ id, email, verified, name, picture, hd }: PersonElsewhere) {
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
    const person = tokens.get((headers.authorization ?? '').replace('Bearer ', ''));
    if (!headers['user-agent']) return json(res, 403, { message: 'Request forbidden by administrative rules.' });
    if (!person) return json(res, 401, { message: 'Bad credentials' });
    const { id, email, verified, name, picture } = person;
    if (path === '/api/v3/user') {
      return json(res, 200, { id: Number(id), login: 'mara', name: name ?? null, email: null, avatar_url: picture });
    }
    if (path !== '/api/v3/user/emails') return json(res, 404, { message: 'Not Found' });
    const other = { email: 'other@example.net', primary: false, verified: true, visibility: null };
    return json(res, 200, email ? [other, { email, primary: true, verified, visibility: 'private' }] : []);
  }

  function openid(path: string, { headers }: IncomingMessage, res: ServerResponse): unknown {
    const place = path.replace(ISSUER_PATH[kind], '');
    if (place === '/.well-known/openid-configuration') {
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
    const person = tokens.get((headers.authorization ?? '').replace('Bearer ', ''));
    if (path !== '/userinfo') return json(res, 404, {});
    if (!person) return json(res, 401, {});
    return json(res, 200, claimsOf(person));
  }
}

export const json = (
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): unknown =>
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(JSON.stringify(body));

/** Points a house to these in the place of the real ones: where those stand is no setting. */
export const pointTo =
  (...all: FakeProvider[]) =>
  (base: Base): Base => {
    const providers = base.config.providers.map((provider) => ({
      ...provider,
      issuer: all.find(({ kind }) => kind === provider.kind)?.issuer ?? provider.issuer,
    }));
    return { ...base, config: { ...base.config, providers } };
  };

/** Presses the button of a provider. Ends at the provider's page. */
export async function press(browser: Browser, page: Page, id: string, path = `/login/with/${id}`): Promise<Page> {
  const forms = [...page.html.matchAll(/<form\b[^>]*action="([^"]*)"/g)].map(([, action]) => action!);
  const n = forms.findIndex((action) => action.split('?')[0] === path);
  if (n < 0) throw new Error(`there is no button for ${id} on ${page.url}`);
  return browser.submit(page, {}, n);
}

/** What the provider says to the browser that was sent there: the address that it leads to. */
export async function answerOf(authorizationUrl: URL): Promise<URL> {
  const answer = await fetch(authorizationUrl, { redirect: 'manual' });
  const location = answer.headers.get('location');
  if (!location) throw new Error(`${authorizationUrl} answers ${answer.status}: ${await answer.text()}`);
  return new URL(location);
}

/**
 * Goes to the provider and comes back, from a page with its button; stays where it is not let out.
 */
export async function comeBy(browser: Browser, id: string, at: Page | string = '/login'): Promise<Page> {
  const page = typeof at === 'string' ? await browser.open(at) : at;
  const away = await press(browser, page, id);
  return away.url.origin === browser.origin ? away : browser.open(await answerOf(away.url));
}

/** A code that an app gets, for somebody. */
export async function codeFor(
  otherBrowser: FakeProvider,
  person: PersonElsewhere,
  redirectUri: string,
  more: Record<string, string> = {},
): Promise<string> {
  otherBrowser.person = person;
  const { origin } = new URL(otherBrowser.issuer);
  const query = new URLSearchParams({ redirect_uri: redirectUri, state: 'the-app-s', ...more });
  return (await answerOf(new URL(`${origin}${PATHS[otherBrowser.kind].authorize}?${query}`))).searchParams.get('code')!;
}
