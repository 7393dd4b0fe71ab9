// Every route of the route table, tried with every kind of credential there is, of the own and of a
// foreign account. A new route joins by itself, and fails until a line of the table below says who
// may come in by it.

import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
import { Browser, formsOf } from '../support/browser.js';
import { makeKey, tokenWithProof } from '../support/client-keys.js';
import { AUDIENCE, signToken } from '../support/external-issuer.js';
import { isConsent } from '../support/openid-client.js';
import { registerDynamically } from '../support/registration.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  REDIRECT_URI,
  redeemCode,
  requestToken,
  type TestClient,
} from '../support/relying-party.js';
import { basicAuth, FORM, postForm, sendRequest, type TestResponse } from '../support/request.js';
import { PASSWORD, startServer } from '../support/server.js';
import { openTokenFamily, revoke } from '../support/token-family.js';
import { asHeader, makeBundleFolder, makeTrustDomain } from '../support/workloads.js';

/**
 * Who may come in: `public`, anybody, and a credential changes nothing; `login`, the cookie of a
 * person; `client`, a client that proves who it is; `openid`, an access token with that scope;
 * `registration`, the client itself with its own token of RFC 7592; `first-party`, a person who
 * signed in here; `renewal`, the same with a token in the header; `known`, a person who signed in
 * here, or for whom an external issuer vouches, or an API key of theirs; `reader`, a person who
 * signed in here, or an API key of theirs within its bounds; `agent-reader`, the same or an agent
 * that looks at itself; `agent-admin`, a person who signed in here, or the agent itself;
 * `newcomer`, a person who signed in here, or whoever carries nothing; `adminLogin`, an
 * administrator who signed in here; `validation`, whoever is anybody. A line without methods is for
 * all of them.
 */
type Rule =
  | 'public'
  | 'login'
  | 'client'
  | 'openid'
  | 'registration'
  | 'first-party'
  | 'renewal'
  | 'known'
  | 'reader'
  | 'admin'
  | 'validation'
  | 'agent-reader'
  | 'agent-keeper'
  | 'newcomer';

const TABLE: [Rule, RegExp, methods?: RegExp][] = [
  ['public', /^\/(healthz|readyz)?$/],
  ['public', /^\/\.well-known\/[\w./-]+$/],
  ['public', /^\/oauth\/jwks$/],
  ['public', /^\/(api\/openapi\.json|docs\/api)$/],
  ['public', /^\/(login(\/otp|\/with\/:provider(\/callback)?)?|register|setup|logout)$/],
  ['public', /^\/(forgot-password|reset-password|verify-email|invitations\/accept)$/],
  // The steps of an authorization belong to a browser, known by cookies of their own: see 'another
  // browser' below.
  ['public', /^\/oauth\/authorize(\/:uid)?$/],
  ['public', /^\/interaction\/:uid$/],
  ['public', /^\/device(\/:uid)?$/],
  ['public', /^\/oauth\/logout(\/\w+)?$/],
  ['public', /^\/oauth\/clients\/register$/],
  ['login', /^\/account(\/|$)/],
  ['client', /^\/(api\/v1\/)?oauth\/token$/],
  ['client', /^\/oauth\/(introspect|revoke|par|device|ciba)$/],
  ['openid', /^\/oauth\/userinfo$/],
  ['registration', /^\/oauth\/clients\/register\/:clientId$/],
  [
    'public',
    /^\/api\/v1\/auth\/(register|login|login-json|ainative-login|proxy-login|forgot-password|reset-password|verify-email)$/,
  ],
  ['renewal', /^\/api\/v1\/auth\/refresh$/],
  ['known', /^\/api\/v1\/auth\/me(\/profile)?$/, /^(GET|HEAD)$/],
  ['first-party', /^\/api\/v1\/auth\/(logout|me\/profile|sessions|sessions\/:id|change-password|reauth)$/],
  ['public', /^\/api\/v1\/auth\/github\/callback$/],
  ['first-party', /^\/api\/v1\/auth\/(github\/link|links|links\/:id(\/token)?)$/],
  ['first-party', /^\/api\/v1\/auth\/mfa\/(totp|totp\/confirm|recovery-codes)$/],
  ['reader', /^\/api\/v1\/(organizations(\/:id(\/members)?)?|projects(\/:id)?)$/, /^(GET|HEAD)$/],
  ['first-party', /^\/api\/v1\/(organizations|projects)(\/:id)?(\/members\/:account_id)?$/],
  ['first-party', /^\/api\/v1\/(organizations\/:id\/invitations(\/:invitation_id)?|invitations\/accept)$/],
  ['public', /^\/api\/v1\/capabilities$/],
  ['newcomer', /^\/api\/v1\/agents\/onboard$/],
  ['first-party', /^\/api\/v1\/agents\/claim$/],
  ['reader', /^\/api\/v1\/agents$/, /^(GET|HEAD)$/],
  ['agent-reader', /^\/api\/v1\/agents\/:agent_id$/, /^(GET|HEAD)$/],
  ['agent-keeper', /^\/api\/v1\/agents\/:agent_id(\/rotate-key)?$/],
  ['first-party', /^\/api\/v1\/approvals(\/:id)?$/],
  ['first-party', /^\/api\/v1\/api-keys(\/:id(\/rotate)?)?$/],
  ['admin', /^\/api\/v1\/resources(\/:id)?$/],
  ['public', /^\/api\/(login|token)$/],
  ['validation', /^\/api\/validate$/],
  ['known', /^\/api\/(me|tools)$/, /^(GET|HEAD)$/],
  ['first-party', /^\/api\/(logout|me\/password|keys(\/:id)?)$/],
  ['admin', /^\/api\/(users(\/:id)?|tools(\/:slug)?|permissions(\/:id)?)$/],
];

/** In test:all. */
const THOROUGH = process.env.SIGNET_TEST_STORES === 'all';
const OTHER_API = 'https://api.example/v1';
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const LOGIN_COOKIE = 'signet_login';

const ELSEWHERE = 'https://auth.example';
const SHARED_SECRET = 'a secret that two systems share, 2';

const domain = makeTrustDomain('example.org');
const bundles = makeBundleFolder(domain);

const server = await startServer({
  settings: {
    SPIFFE_TRUST_DOMAIN: domain.name,
    SPIFFE_BUNDLES: bundles.folder,
    TRUSTED_PROXIES: '127.0.0.1',
    JWT_SECRET: SHARED_SECRET,
    JWT_ISSUER: ELSEWHERE,
    JWT_AUDIENCE: AUDIENCE,
    GITHUB_CLIENT_ID: 'x',
    GITHUB_CLIENT_SECRET: 'x',
    FEDERATION_STORE_TOKENS: 'github',
  },
});
afterAll(async () => {
  await server.close();
  rmSync(bundles.folder, { recursive: true, force: true });
});

const routes = server.app.routes.flatMap(({ methods, path }) =>
  methods.map((method) => ({ method, path: String(path), rule: ruleOf(method, String(path)) })),
);

/** OPTIONS tells what could be asked, and nothing else: wherever it is known it is for anybody. */
function ruleOf(method: string, path: string): Rule | undefined {
  const rule = TABLE.find(([, pattern, methods]) => pattern.test(path) && (methods?.test(method) ?? true))?.[0];
  return rule && method === 'OPTIONS' ? 'public' : rule;
}

/** Where no account counts, it makes no difference whose a credential is. */
const ownKinds = () => Object.entries(kinds).filter(([name]) => !name.includes('foreign'));

/** HEAD is GET without a body: tried where time is not short. */
const routesFor = (wanted: Rule) =>
  routes
    .filter(({ method, rule }) => rule === wanted && (THOROUGH || method !== 'HEAD'))
    .map(({ method, path }) => [method, path] as const);

/**
 * Nothing, and every kind. The cookie of the pages is looked at by pages only; that no other door
 * does is tried where time is not short.
 */
const everyKind = ({ onPages = false } = {}): [string, Kind][] =>
  Object.entries({ nothing: { headers: {} } as Kind, ...kinds }).filter(
    ([name]) => onPages || THOROUGH || !name.endsWith('as the login cookie'),
  );

type Credential = Record<string, string>;

/** What it proves, where it proves anything: of whom. */
interface Kind {
  headers: Credential;
  login?: 'own' | 'foreign';
  openid?: 'own' | 'foreign';
  client?: true;
  registration?: 'own' | 'foreign';
  firstParty?: 'own' | 'foreign';
  external?: 'own' | 'foreign';
  /** A first-party token in the cookie of tools. */
  ofTools?: 'own' | 'foreign';
  apiKey?: 'own' | 'foreign';
  /** The key is confined to a project. */
  confined?: true;
  /** Nobody answers for a stranger. */
  agent?: 'own' | 'foreign' | 'stranger';
  /** Its SPIFFE ID. */
  workload?: string;
  /** The same kind anew: what a route does with it may end it. */
  again?: () => Promise<Credential>;
}

const kinds: Record<string, Kind> = {};
const ids = { own: '', foreign: '' };
/** An administrator's login, and all else that an administrator may carry. */
let admin: { login: Kind; unfit: Record<string, Kind> };
const agents = { own: '', foreign: '' };
let registered: TestClient & { managementToken: string };

const bearer = (text: string): Kind => ({ headers: { authorization: `Bearer ${text}` } });
const cookie = (text: string): Kind => ({ headers: { cookie: `${LOGIN_COOKIE}=${text}` } });
const apiCookie = (text: string): Kind => ({ headers: { cookie: `cap_access=${text}` } });
const toolsCookie = (text: string): Kind => ({ headers: { cookie: `tools_session=${text}` } });

/** A login without a page: its tokens. */
async function openLogin(accountId: string) {
  const account = await server.base.db.account.findUniqueOrThrow({ where: { id: accountId } });
  return (await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens;
}

const signExternal = (sub: string, claims: object = {}) =>
  signToken(new TextEncoder().encode(SHARED_SECRET), 'HS256', { iss: ELSEWHERE, sub, role: 'admin', ...claims });

beforeAll(async () => {
  await server.base.db.resource.create({
    data: {
      identifier: OTHER_API,
      name: 'Other API',
      scopes: { create: [{ name: 'things:read', description: 'Read your things.' }] },
    },
  });
  await server.core.resources.reload();
  const client = await server.client();
  const app = await server.client({ token_endpoint_auth_method: 'none' });
  const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  const ownApi = `${server.issuer}/api/v1`;
  const tokens: Record<string, string> = {};

  for (const side of ['own', 'foreign'] as const) {
    const account = await server.account();
    ids[side] = account.id;
    const browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
    const login = browser.cookies.get(LOGIN_COOKIE)!.value;
    const open = (more: Record<string, string>) => openTokenFamily(server, client, account.email, more, browser);
    const plain = await open({});
    const jwt = await open({ scope: 'openid memory:read', resource: ownApi });
    const otherAudience = await open({ scope: 'openid things:read', resource: OTHER_API });
    kinds[`the login cookie, ${side}`] = { ...cookie(login), login: side };
    kinds[`an opaque access token, ${side}`] = { ...bearer(plain.accessToken), openid: side };
    tokens[`the login cookie's value, ${side}`] = login;
    tokens[`a JWT for our API, ${side}`] = jwt.accessToken;
    tokens[`a JWT for another API, ${side}`] = otherAudience.accessToken;
    tokens[`a refresh token, ${side}`] = plain.refreshToken;

    const firstParty = await openLogin(account.id);
    kinds[`a first-party access token that is said to be bound to a key, ${side}`] = {
      headers: { authorization: `DPoP ${firstParty.accessToken}` },
    };
    for (const [name, by] of Object.entries({ '': bearer, ' in its cookie': apiCookie })) {
      const again = async () => by((await openLogin(account.id)).accessToken).headers;
      kinds[`a first-party access token${name}, ${side}`] = { ...by(firstParty.accessToken), firstParty: side, again };
    }
    const again = async () => toolsCookie((await openLogin(account.id)).accessToken).headers;
    kinds[`a first-party access token in the cookie of tools, ${side}`] = {
      ...toolsCookie(firstParty.accessToken),
      ofTools: side,
      again,
    };
    kinds[`a first-party access token as the login cookie, ${side}`] = cookie(firstParty.accessToken);
    kinds[`the login cookie's value in the API's cookie, ${side}`] = apiCookie(login);
    const key = async (more: object = {}) =>
      server.core.apiKeys.create(
        account,
        { name: 'Key', format: 'sk_live', lifeSeconds: null, role: 'operator', ...more },
        systemMeta,
      );
    const [organization] = await server.core.organizations.listFor(account.id);
    const actor = { accountId: account.id };
    const project = await server.core.projects.create(actor, organization!.id, 'Project', systemMeta);
    const wide = await key();
    kinds[`an API key, ${side}`] = { ...bearer(wide.key), apiKey: side };
    kinds[`an API key in its own header, ${side}`] = { headers: { 'x-api-key': wide.key }, apiKey: side };
    const narrowKey = (await key({ projectId: project.id })).key;
    kinds[`the API key of a project, ${side}`] = { ...bearer(narrowKey), apiKey: side, confined: true };
    const revokedKey = await key({ format: 'cap' });
    await server.core.apiKeys.revoke(account.id, revokedKey.record.id, systemMeta);
    tokens[`a revoked API key, ${side}`] = revokedKey.key;
    tokens[`an expired API key, ${side}`] = (await key({ format: 'cb', lifeSeconds: -1 })).key;
    tokens[`a mistyped API key, ${side}`] = wide.key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    const wanted = { agentId: 'my-agent', name: 'My agent', capabilities: ['read:cap-table'] };
    const onboarded = async (agentId: string) =>
      server.core.agents.onboarding.onboardInto(organization!.id, account, { ...wanted, agentId }, systemMeta);
    const agent = await onboarded('my-agent');
    agents[side] = agent.agent.id;
    kinds[`an agent's key, ${side}`] = { ...bearer(agent.key), agent: side };
    kinds[`an agent's key in the header of API keys, ${side}`] = { headers: { 'x-api-key': agent.key }, agent: side };
    kinds[`an agent's token, ${side}`] = { ...bearer(agent.token), agent: side };
    const gone = await onboarded('gone');
    await server.core.agents.remove({ member: actor }, gone.agent, systemMeta);
    tokens[`the key of an agent that is gone, ${side}`] = gone.key;
    tokens[`the token of an agent that is gone, ${side}`] = gone.token;
    const stranger = await server.core.agents.onboarding.onboardUnclaimed(wanted, systemMeta);
    kinds[`the key of an agent that nobody answers for, ${side}`] = { ...bearer(stranger.key), agent: 'stranger' };
    const externalToken = await signExternal(account.id);
    kinds[`a token of an external issuer, ${side}`] = { ...bearer(externalToken), external: side };
    kinds[`a token of an external issuer in the API's cookie, ${side}`] = apiCookie(externalToken);
    kinds[`an API key in the API's cookie, ${side}`] = apiCookie(wide.key);
    kinds[`an agent's key in the API's cookie, ${side}`] = apiCookie(agent.key);
    kinds[`an agent's token in the API's cookie, ${side}`] = apiCookie(agent.token);
    tokens[`an expired token of an external issuer, ${side}`] = await signExternal(account.id, { exp: 1 });
    tokens[`a token of an external issuer for another audience, ${side}`] = await signExternal(account.id, {
      aud: 'x',
    });
    tokens[`a first-party refresh token, ${side}`] = firstParty.refreshToken;
    const over = await openLogin(account.id);
    await server.core.sessions.revoke(
      (await server.core.tokens.inspect(over.refreshToken))!.session.id,
      'revoked',
      systemMeta,
    );
    tokens[`a first-party access token of a login that ended, ${side}`] = over.accessToken;

    const { code } = await obtainCode(server, client, account.email, {}, browser);
    tokens[`a code, ${side}`] = code;
    const { body } = await redeemCode(server, client, await obtainCode(server, client, account.email, {}, browser));
    tokens[`an ID token, ${side}`] = body.id_token!;

    const expired = await open({});
    tokens[`an expired access token, ${side}`] = await expire(expired.accessToken);
    const revoked = await open({});
    await revoke(server, client, revoked.accessToken);
    tokens[`a revoked access token, ${side}`] = revoked.accessToken;
    const revokedJwt = await open({ scope: 'openid memory:read', resource: ownApi });
    await revoke(server, client, revokedJwt.accessToken);
    tokens[`a revoked JWT, ${side}`] = revokedJwt.accessToken;
  }
  const own = await server.core.accounts.findByEmail('user1@example.com');
  const narrow = await openTokenFamily(server, client, own!.email, { scope: 'profile', nonce: '' });
  tokens['an opaque access token without openid'] = narrow.accessToken;
  const bound = await obtainCode(server, app, own!.email);
  const boundTo = { grant_type: 'authorization_code', code: bound.code, code_verifier: bound.verifier };
  const dpop = await tokenWithProof(server, app, await makeKey(), { ...boundTo, redirect_uri: REDIRECT_URI });
  tokens['a token that is bound to a key'] = dpop.body.access_token!;
  const credentials = { grant_type: 'client_credentials' };
  tokens['the token of a client'] = (await requestToken(server, machine, credentials)).body.access_token!;
  const forApi = { ...credentials, resource: ownApi, scope: 'memory:read' };
  tokens['the JWT of a client'] = (await requestToken(server, machine, forApi)).body.access_token!;
  const boundJwt = await tokenWithProof(server, machine, await makeKey(), forApi);
  tokens['the JWT of a client that is bound to a key'] = boundJwt.body.access_token!;
  const ended = new Browser(server.origin);
  await ended.signIn(own!.email, PASSWORD);
  tokens['the login cookie of a login that ended'] = ended.cookies.get(LOGIN_COOKIE)!.value;
  await ended.submit(await ended.open('/logout'));
  tokens['a client secret'] = client.secret;
  tokens['a hash that the store holds'] = (await server.base.db.client.findUniqueOrThrow({ where: { id: client.id } }))
    .secretHash!;
  tokens['an account id'] = ids.own;
  tokens.garbage = 'garbage';
  kinds['the certificate of a workload'] = {
    headers: { 'x-client-cert': asHeader(domain.workload('/api')) },
    workload: `spiffe://${domain.name}/api`,
  };
  tokens['garbage in the form of a JWT'] = 'a.b.c';
  for (const [name, text] of Object.entries(tokens)) {
    kinds[name] ??= bearer(text);
    kinds[`${name}, as the login cookie`] = cookie(text);
  }
  for (const name of ["the login cookie's value, own", "the login cookie's value, foreign"])
    delete kinds[`${name}, as the login cookie`];
  for (const side of ['own', 'foreign']) {
    const { headers } = kinds[`an opaque access token, ${side}`]!;
    kinds[`an opaque access token, ${side}, as the login cookie`] = cookie(headers.authorization!.slice(7));
    kinds[`an opaque access token, ${side}, as an API key`] = {
      headers: { 'x-api-key': headers.authorization!.slice(7) },
    };
  }
  kinds['the name and secret of a client'] = { headers: { authorization: basicAuth(client) }, client: true };
  kinds['a client with a wrong secret'] = { headers: { authorization: basicAuth({ ...client, secret: 'wrong' }) } };
  kinds['a person with a password'] = { headers: { authorization: basicAuth({ id: own!.email, secret: PASSWORD }) } };
  const adminLogin = await server.core.accounts.create(
    { email: 'admin@example.com', name: 'Ada', password: PASSWORD },
    systemMeta,
    { role: 'admin', verified: true },
  );
  const adminApp = await openTokenFamily(server, client, adminLogin.email, {
    scope: 'openid memory:read',
    resource: ownApi,
  });
  const adminTokens = await openLogin(adminLogin.id);
  const newKey = { name: 'Key', format: 'sk_live', lifeSeconds: null } as const;
  admin = {
    login: bearer(adminTokens.accessToken),
    unfit: {
      'an API key of an administrator': bearer((await server.core.apiKeys.create(adminLogin, newKey, systemMeta)).key),
      'an app of an administrator': bearer(adminApp.accessToken),
      'an administrator of an external issuer': bearer(await signExternal(adminLogin.id)),
    },
  };
  registered = await registerDynamically(server);
  const neighbour = await registerDynamically(server);
  kinds["a client's token for its registration, own"] = { ...bearer(registered.managementToken), registration: 'own' };
  kinds["a client's token for its registration, foreign"] = {
    ...bearer(neighbour.managementToken),
    registration: 'foreign',
  };
});

/** The same token, past its end. */
async function expire(accessToken: string): Promise<string> {
  const { sha256 } = await import('../../src/base/crypto.js');
  const past = new Date(Date.now() - 1000);
  const { count } = await server.base.db.oidcArtifact.updateMany({
    where: { kind: 'AccessToken', id: sha256(accessToken) },
    data: { expiresAt: past },
  });
  if (count !== 1) throw new Error('the access token is not where it was');
  return accessToken;
}

let addresses = 0;
/**
 * One request, each from an address of its own, so that no limit stands in front of what is to be
 * tried.
 */
function send(
  method: string,
  path: string,
  headers: Credential,
  more: Record<string, string> = {},
  form?: string,
): Promise<TestResponse> {
  addresses += 1;
  const isJson = /^\/(oauth\/clients\/register|api\/(?!v1\/oauth\/))/.test(path);
  const body = ['POST', 'PUT', 'PATCH'].includes(method)
    ? (form ?? (isJson ? '{}' : 'grant_type=client_credentials&token=x'))
    : undefined;
  return sendRequest(
    server,
    method,
    path,
    {
      accept: 'text/html, application/json',
      'x-forwarded-for': `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses & 255}`,
      ...(body !== undefined && { 'content-type': isJson ? 'application/json' : FORM }),
      ...headers,
      ...more,
    },
    body,
  );
}

/** Each door of programs has a cookie of its own, and does not look at the other's. */
const isOfTools = (path: string) => /^\/api\/(?!v1\/)/.test(path);

/** Whose a credential is at this address, among those of these kinds. */
function sideAt(path: string, kind: Kind, ...wanted: ('firstParty' | 'external' | 'apiKey')[]) {
  if (isOfTools(path) && kind.headers.cookie) return wanted.includes('firstParty') ? kind.ofTools : undefined;
  return wanted.map((name) => kind[name]).find(Boolean);
}

const fill = (path: string, values: Record<string, string> = {}) =>
  path.replace(/:(\w+)/g, (_, name: string) => values[name] ?? 'unknown');

describe('every route, with every kind of credential', () => {
  it('knows of each route who may come in by it', () => {
    const unknown = routes.filter(({ rule }) => !rule).map(({ method, path }) => `${method} ${path}`);
    const sentence = `Nobody says who may come in by ${unknown.join(', ')}: add a line to TABLE in test/security/matrix.test.ts.`;
    expect(unknown, sentence).toEqual([]);
    expect(routes.length).toBeGreaterThan(50);
  });

  it('has no line for a route that is gone', () => {
    const idle = TABLE.filter(([, pattern]) => !routes.some(({ path }) => pattern.test(path)));
    expect(idle.map(String)).toEqual([]);
  });

  it('tries as many kinds as there are', () => {
    expect(Object.keys(kinds).length).toBeGreaterThan(50);
    expect(new Set(Object.values(kinds).map(({ headers }) => JSON.stringify(headers))).size).toBe(
      Object.keys(kinds).length,
    );
  });

  it.each(routesFor('public'))('%s %s is for anybody', async (method, path) => {
    const none = await send(method, fill(path), {});
    expect(none.status).toBeLessThan(500);
    // HEAD is GET without a body, and OPTIONS asks for nothing: there, what proves something is
    // enough.
    const tried = ownKinds().filter(([, kind]) => /^(GET|POST)$/.test(method) || Object.keys(kind).length > 1);
    expect(tried.length).toBeGreaterThanOrEqual(4);
    for (const [name, { headers }] of tried) {
      const answer = await send(method, fill(path), headers);
      expect(answer.status, name).toBe(none.status);
    }
  });

  it.each(routesFor('login'))('%s %s is for a person who is signed in', async (method, path) => {
    for (const [name, { headers, login }] of everyKind({ onPages: true })) {
      const answer = await send(method, fill(path), headers);
      if (login) {
        expect(answer.status, name).toBeLessThan(500);
        expect(answer.headers.location ?? '', name).not.toMatch(/\/login/);
        const other = await server.base.db.account.findUniqueOrThrow({
          where: { id: ids[login === 'own' ? 'foreign' : 'own'] },
        });
        expect(answer.text, name).not.toContain(other.email);
        if (method === 'POST') expect([400, 403], `${name}, without the token of a form`).toContain(answer.status);
      } else {
        expect([answer.status, answer.headers.location?.split('?')[0]], name).toEqual([303, '/login']);
      }
    }
  });

  it.each(routesFor('client'))('%s %s is for a client that proves who it is', async (method, path) => {
    for (const [name, { headers, client }] of [['nothing', { headers: {} }] as [string, Kind], ...ownKinds()]) {
      const answer = await send(method, fill(path), headers);
      if (client) {
        expect(answer.status, name).toBeLessThan(500);
        expect(answer.json.error, name).not.toBe('invalid_client');
      } else {
        expect([400, 401], `${name}: ${answer.text}`).toContain(answer.status);
        expect(['invalid_client', 'invalid_request'], name).toContain(answer.json.error);
      }
    }
  });

  it.each(routesFor('openid'))('%s %s is for an access token with openid', async (method, path) => {
    for (const [name, { headers, openid }] of everyKind()) {
      const answers = [await send(method, fill(path), headers)];
      const text = /^Bearer (.*)/.exec(headers.authorization ?? '')?.[1];
      if (method === 'POST' && text)
        answers.push(await send(method, fill(path), {}, {}, String(new URLSearchParams({ access_token: text }))));
      for (const answer of answers) {
        if (openid) {
          const expected = method === 'HEAD' ? [405, undefined] : [200, ids[openid]];
          expect([answer.status, answer.json.sub], name).toEqual(expected);
        } else {
          expect(method === 'HEAD' ? [405] : [400, 401, 403], `${name}: ${answer.text}`).toContain(answer.status);
          expect(answer.text, name).not.toMatch(/"sub"/);
        }
      }
    }
  });

  it.each(routesFor('registration'))('%s %s is for the client itself', async (method, path) => {
    const before = await server.base.db.client.findUniqueOrThrow({ where: { id: registered.id } });
    for (const [name, { headers, registration }] of everyKind()) {
      if (registration === 'own') continue;
      const answer = await send(method, fill(path, { clientId: registered.id }), headers);
      expect(method === 'HEAD' ? [405] : [400, 401], `${name}: ${answer.text}`).toContain(answer.status);
      expect(answer.text, name).not.toContain(registered.secret);
    }
    expect(await server.base.db.client.findUnique({ where: { id: registered.id } })).toEqual(before);
    if (method === 'GET') {
      const own = kinds["a client's token for its registration, own"]!;
      const answer = await send(method, fill(path, { clientId: registered.id }), own.headers);
      expect([answer.status, answer.json.client_id]).toEqual([200, registered.id]);
    }
  });

  it.each(routesFor('first-party'))('%s %s is for a person who signed in here', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const headers = (await kind.again?.()) ?? kind.headers;
      const answer = await send(method, fill(path), headers);
      const side = sideAt(path, kind, 'firstParty');
      if (!side) {
        expect([401, 403], `${name}: ${answer.text}`).toContain(answer.status);
        expect(answer.headers['www-authenticate'] ?? '', name).toMatch(
          answer.status === 401 ? /resource_metadata/ : /^$/,
        );
      } else if (headers.cookie && !isOfTools(path) && !['GET', 'HEAD'].includes(method)) {
        expect([answer.status, answer.json.error], name).toEqual([403, 'csrf_validation_failed']);
      } else {
        const reads = method === 'GET' || method === 'HEAD';
        // What an id leads to that is nobody's is not there; everything else can be read.
        expect(reads ? [path.includes(':') ? 404 : 200] : [200, 400, 404], name).toContain(answer.status);
        const other = await server.base.db.account.findUniqueOrThrow({
          where: { id: ids[side === 'own' ? 'foreign' : 'own'] },
        });
        for (const text of [other.id, other.email]) expect(answer.text, name).not.toContain(text);
      }
    }
  });

  it.each(routesFor('known'))(
    '%s %s accepts users of ours, users of external issuers, and their keys',
    async (method, path) => {
      for (const [name, kind] of everyKind()) {
        const answer = await send(method, fill(path), (await kind.again?.()) ?? kind.headers);
        const side = sideAt(path, kind, 'firstParty', 'external', 'apiKey');
        expect(side ? [200] : [401, 403], `${name}: ${answer.text}`).toContain(answer.status);
        if (!side) continue;
        const other = await server.base.db.account.findUniqueOrThrow({
          where: { id: ids[side === 'own' ? 'foreign' : 'own'] },
        });
        for (const text of [other.id, other.email, '"role":"admin"']) expect(answer.text, name).not.toContain(text);
      }
    },
  );

  it.each(routesFor('reader'))('%s %s is for a person who signed in here, and for their keys', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const answer = await send(method, fill(path), (await kind.again?.()) ?? kind.headers);
      const side = kind.firstParty ?? kind.apiKey;
      if (!side) expect([401, 403], `${name}: ${answer.text}`).toContain(answer.status);
      else if (kind.confined) expect(answer.status, `${name}: ${answer.text}`).toBe(403);
      else expect(kind.apiKey ? [200, 403, 404] : [200, 404], `${name}: ${answer.text}`).toContain(answer.status);
      if (side && answer.status === 403 && method === 'GET') expect(answer.json.error).toBe('project_scope_violation');
      for (const text of side ? [ids[side === 'own' ? 'foreign' : 'own']] : Object.values(ids))
        expect(answer.text, name).not.toContain(text);
    }
  });

  it.each(routesFor('admin'))('%s %s is for an administrator who signed in here', async (method, path) => {
    const others = everyKind();
    for (const [name, kind] of [...others, ...Object.entries(admin.unfit)]) {
      const answer = await send(method, fill(path), (await kind.again?.()) ?? kind.headers);
      expect([401, 403], `${name}: ${answer.text}`).toContain(answer.status);
    }
    const { status, text } = await send(method, fill(path), admin.login.headers);
    expect(method === 'GET' || method === 'HEAD' ? [200] : [200, 400, 404], text).toContain(status);
  });

  it.each(routesFor('validation'))('%s %s is for whoever is anybody', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const answer = await send(method, fill(path), (await kind.again?.()) ?? kind.headers);
      const side = sideAt(path, kind, 'firstParty', 'external', 'apiKey') ?? kind.agent;
      const isAnybody = side !== undefined || kind.workload !== undefined;
      expect([answer.status, answer.json.valid], name).toEqual(isAnybody ? [200, true] : [401, false]);
      const id = (answer.json.user as { id?: string } | undefined)?.id;
      if (kind.workload) expect(id, name).toBe(kind.workload);
      else if (side === 'stranger') expect(id, name).toMatch(/^agt_/);
      else expect(id, name).toBe(side && ids[side]);
    }
  });

  it.each([...routesFor('agent-reader'), ...routesFor('agent-keeper')])(
    '%s %s is for somebody of its organization, and for the agent itself',
    async (method, path) => {
      const readable = ruleOf(method, path) === 'agent-reader';
      for (const [name, kind] of everyKind()) {
        const side = kind.firstParty ?? (readable ? kind.apiKey : undefined) ?? kind.agent;
        const headers = (await kind.again?.()) ?? kind.headers;
        for (const [place, id] of Object.entries(agents)) {
          const isOwn = side === place;
          if (isOwn && method === 'DELETE') continue; // tried where an agent of its own is there to be deleted
          const answer = await send(method, fill(path, { agent_id: id }), headers);
          const refused = `${name}, at the agent of ${place}: ${answer.text}`;
          if (!side) expect([401, 403], refused).toContain(answer.status);
          else if (headers.cookie && !readable) expect(answer.status, refused).toBe(403);
          else if (!isOwn && (readable || !kind.agent)) expect([403, 404], refused).toContain(answer.status);
          else if (!isOwn)
            expect([401, 403, 404], refused).toContain(answer.status); // its key may be replaced by now
          else if (readable) expect([kind.confined ? 403 : 200], refused).toContain(answer.status);
          else expect([201, 401, 403], refused).toContain(answer.status); // the first one replaced the key
          if (!isOwn) expect(answer.text, refused).not.toMatch(/"(agent_name|api_key|token)"/);
        }
      }
      expect(await server.base.db.agent.count({ where: { id: { in: Object.values(agents) } } })).toBe(2);
    },
  );

  it.each(routesFor('newcomer'))(
    '%s %s is for a person who signed in here, and for whoever is new',
    async (method, path) => {
      const before = await server.base.db.agent.count();
      for (const [name, kind] of everyKind()) {
        const headers = (await kind.again?.()) ?? kind.headers;
        const answer = await send(method, fill(path), headers);
        const isNew = !headers.authorization && !headers['x-api-key'] && !/cap_access=/.test(headers.cookie ?? '');
        if (kind.firstParty && headers.cookie) expect(answer.json.error, name).toBe('csrf_validation_failed');
        else if (kind.firstParty || isNew) expect(answer.json.error, `${name}: ${answer.text}`).toBe('invalid_request');
        else expect([401, 403], `${name}: ${answer.text}`).toContain(answer.status);
      }
      expect(await server.base.db.agent.count()).toBe(before);
    },
  );

  it.each(routesFor('renewal'))('%s %s is for a login that lives', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const headers = (await kind.again?.()) ?? kind.headers;
      const answer = await send(method, fill(path), headers);
      expect(answer.status, `${name}: ${answer.text}`).toBe(kind.firstParty && headers.authorization ? 200 : 401);
    }
  });

  it('returns stored provider tokens only to a session of their owner', async () => {
    const secret = 'gho_given_for_this_person';
    const account = await server.base.db.account.findUniqueOrThrow({ where: { id: ids.own } });
    const tokensToKeep = { accessToken: secret, refreshToken: undefined, tokenType: 'bearer', scope: 'repo' };
    const externalLogin = {
      issuer: 'https://github.com/login/oauth',
      subject: '1',
      tokensToKeep: { ...tokensToKeep, expiresAt: undefined },
    };
    const { identities, links } = server.core;
    await server.base.db.$transaction((tx) => identities.link(account, externalLogin, undefined, systemMeta, tx));
    const link = (await links.list(account.id)).find(({ keepsToken }) => keepsToken)!;
    const statuses = new Set<number>();
    for (const [name, kind] of [...everyKind({ onPages: true }), ...Object.entries(admin.unfit)]) {
      const headers = (await kind.again?.()) ?? kind.headers;
      const answer = await send('GET', `/api/v1/auth/links/${link.id}/token`, headers);
      statuses.add(answer.status);
      expect([answer.status === 200, answer.text.includes(secret)], `${name}: ${answer.text}`).toEqual(
        Array(2).fill(kind.firstParty === 'own'),
      );
    }
    const byAdmin = await send('GET', `/api/v1/auth/links/${link.id}/token`, admin.login.headers);
    expect([byAdmin.status, byAdmin.text.includes(secret)], 'nor to an administrator').toEqual([404, false]);
    expect([...statuses].sort()).toEqual([200, 401, 403, 404]);
  });

  it('knows no method beside those of the table', async () => {
    for (const path of new Set(routes.map((route) => route.path))) {
      const known = new Set(
        server.app.routes.filter((layer) => layer.match(fill(path))).flatMap(({ methods }) => methods),
      );
      for (const method of ALL_METHODS.filter((name) => !known.has(name) && name !== 'OPTIONS' && name !== 'HEAD')) {
        const answer = await send(method, fill(path), kinds['the login cookie, own']!.headers);
        expect(answer.status, `${method} ${path}`).toBe(405);
      }
    }
  });
});

describe('a foreign account', () => {
  /** Signed in, with an app and a second login. */
  async function inhabitant() {
    const account = await server.account();
    const app = await server.client();
    const [browser, second] = [new Browser(server.origin), new Browser(server.origin)];
    await browser.signIn(account.email, PASSWORD);
    await second.signIn(account.email, PASSWORD);
    const family = await openTokenFamily(server, app, account.email, {}, browser);
    return { account, app, browser, second, family };
  }

  const everythingOf = async (accountId: string) => ({
    sessions: await server.base.db.session.findMany({
      where: { accountId },
      select: { id: true, endedAt: true, tokenHash: true },
      orderBy: { id: 'asc' },
    }),
    consents: await server.base.db.consent.findMany({ where: { accountId } }),
    grants: await server.base.db.grant.findMany({ where: { accountId }, select: { id: true } }),
    account: await server.base.db.account.findUnique({ where: { id: accountId } }),
  });

  it('is not changed by its ids in the forms of the account page', async () => {
    const [victim, attacker] = [await inhabitant(), await inhabitant()];
    const before = await everythingOf(victim.account.id);
    expect(before.sessions.length).toBeGreaterThanOrEqual(2);
    expect(before.consents).toHaveLength(1);
    const page = await attacker.browser.open('/account');
    const { csrf = '' } = formsOf(page.html)[0]!.fields;
    const post = (path: string, fields: Record<string, string>) =>
      attacker.browser.open(path, { method: 'POST', body: new URLSearchParams({ csrf, ...fields }) });
    for (const { id } of before.sessions) {
      expect((await post(`/account/logins/${id}/end`, {})).url.pathname).toBe('/account');
      await post(`/account/logins/${encodeURIComponent(`../logins/${id}`)}/end`, { id, account_id: victim.account.id });
    }
    for (const { id } of before.grants) await post('/account/apps/remove', { client_id: id });
    const named = {
      client_id: victim.app.id,
      account_id: victim.account.id,
      accountId: victim.account.id,
      sub: victim.account.id,
    };
    expect((await post('/account/apps/remove', named)).url.pathname).toBe('/account');
    expect(await everythingOf(victim.account.id)).toEqual(before);
    // The same forms do work on what is one's own.
    expect((await post('/account/apps/remove', { client_id: attacker.app.id })).html).not.toContain(attacker.app.id);
    expect((await everythingOf(attacker.account.id)).consents).toEqual([]);
  });

  it('is not changed by the ids of its logins in the API of another', async () => {
    const [victim, attacker] = [await inhabitant(), await inhabitant()];
    await openLogin(victim.account.id);
    const before = await everythingOf(victim.account.id);
    const { accessToken } = await openLogin(attacker.account.id);
    for (const { id } of before.sessions) {
      const answer = await send('DELETE', `/api/v1/auth/sessions/${id}`, { authorization: `Bearer ${accessToken}` });
      expect([answer.status, answer.json.error]).toEqual([404, 'not_found']);
    }
    await send('DELETE', '/api/v1/auth/sessions', { authorization: `Bearer ${accessToken}` });
    expect(await everythingOf(victim.account.id)).toEqual(before);
  });

  it('is not shown on the page of another', async () => {
    const [victim, attacker] = [await inhabitant(), await inhabitant()];
    const { html } = await attacker.browser.open(
      `/account?account_id=${victim.account.id}&email=${victim.account.email}`,
    );
    expect(html).toContain(attacker.account.email);
    for (const text of [victim.account.email, victim.account.id, victim.app.id]) expect(html).not.toContain(text);
    for (const { id } of (await everythingOf(victim.account.id)).sessions) expect(html).not.toContain(id);
  });

  it('cannot be spoken for in a step that began in another browser', async () => {
    const [victim, attacker] = [await inhabitant(), await inhabitant()];
    const app = await server.client();
    const page = await victim.browser.open(authorizeUrl(server, app, pkce().challenge));
    expect(isConsent(page)).toBe(true);
    const { pathname } = page.url;
    expect((await attacker.browser.open(pathname)).status).toBe(400);
    const csrf = formsOf((await attacker.browser.open('/account')).html)[0]!.fields.csrf!;
    const body = new URLSearchParams({ csrf, decision: 'allow' });
    expect((await attacker.browser.open(pathname, { method: 'POST', body })).status).toBe(400);
    expect((await attacker.browser.open(pathname.replace('/interaction', '/oauth/authorize'))).status).toBe(400);
    for (const { account } of [victim, attacker]) {
      expect((await everythingOf(account.id)).consents.map(({ clientId }) => clientId)).not.toContain(app.id);
    }
  });

  it('is not found by its id as a token, nor ended by a client that is not its own', async () => {
    const victim = await inhabitant();
    const before = await everythingOf(victim.account.id);
    const stranger = await server.client();
    const handles = [victim.account.id, ...before.sessions.map(({ id }) => id), ...before.grants.map(({ id }) => id)];
    handles.push(...before.sessions.flatMap(({ tokenHash }) => (tokenHash ? [tokenHash] : [])), randomUUID());
    for (const text of [...handles, victim.family.accessToken, victim.family.refreshToken]) {
      await postForm(server, '/oauth/revoke', { token: text }, { client: stranger });
      const asCookie = await send('GET', '/account', { cookie: `${LOGIN_COOKIE}=${text}` });
      expect(asCookie.status).toBe(303);
    }
    for (const text of handles) {
      expect((await send('GET', '/oauth/userinfo', { authorization: `Bearer ${text}` })).status).toBe(401);
    }
    expect(await everythingOf(victim.account.id)).toEqual(before);
  });
});
