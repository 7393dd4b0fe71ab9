// All kinds of credentials that can be sent to a route: valid, invalid and misplaced ones, of two
// accounts.
import { rmSync } from 'node:fs';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser } from '../support/browser.js';
import { makeKey, tokenWithProof } from '../support/client-keys.js';
import { AUDIENCE, signToken } from '../support/external-issuer.js';
import { movableClock } from '../support/movable-clock.js';
import { registerDynamically } from '../support/registration.js';
import { obtainCode, REDIRECT_URI, redeemCode, requestToken, type TestClient } from '../support/relying-party.js';
import { basicAuth } from '../support/request.js';
import { createResource } from '../support/resources.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { openTokenFamily, revoke } from '../support/token-family.js';
import { asHeader, makeBundleFolder, makeTrustDomain } from '../support/workloads.js';

export const LOGIN_COOKIE = 'signet_login';
const OTHER_API = 'https://api.example/v1';
const EXTERNAL_ISSUER = 'https://auth.example';
const SHARED_SECRET = 'a secret that two systems share, 2';
const DAY_MS = 86_400_000;
const SIDES = ['own', 'other'] as const;

/** The account that a credential belongs to. */
export type Side = (typeof SIDES)[number];
export type Headers = Record<string, string>;

/** A credential, and what it proves. A kind with `headers` only proves nothing. */
export interface Kind {
  headers: Headers;
  loginCookie?: Side;
  openid?: Side;
  client?: true;
  registration?: Side;
  /** A first-party access token in the Authorization header or in the cookie of the JSON API. */
  user?: Side;
  /** A first-party access token in the cookie of the tools API. */
  toolsUser?: Side;
  external?: Side;
  apiKey?: Side;
  /** The API key is limited to a project. */
  isProjectKey?: true;
  agent?: Side | 'unclaimed';
  /** The SPIFFE ID. */
  workload?: string;
  /** Returns a new credential of this kind, because a route can revoke the one that it receives. */
  renew?: () => Promise<Headers>;
}

export interface Credentials {
  kinds: Record<string, Kind>;
  accountIds: Record<Side, string>;
  agentIds: Record<Side, string>;
  /** A dynamically registered client whose registration access token is of the side `own`. */
  registered: TestClient & { managementToken: string };
  admin: { session: Kind; otherCredentials: Record<string, Kind> };
}

const bearer = (token: string): Kind => ({ headers: { authorization: `Bearer ${token}` } });
const loginCookie = (value: string): Kind => ({ headers: { cookie: `${LOGIN_COOKIE}=${value}` } });
const apiCookie = (value: string): Kind => ({ headers: { cookie: `cap_access=${value}` } });
const toolsCookie = (value: string): Kind => ({ headers: { cookie: `tools_session=${value}` } });

/** Starts a server that accepts every kind of credential. */
export async function startMatrixServer() {
  const domain = makeTrustDomain('example.org');
  const bundles = makeBundleFolder(domain);
  const { clock, later } = movableClock();
  const server = await startServer({
    clock,
    settings: {
      SPIFFE_TRUST_DOMAIN: domain.name,
      SPIFFE_BUNDLES: bundles.folder,
      TRUSTED_PROXIES: '127.0.0.1',
      JWT_SECRET: SHARED_SECRET,
      JWT_ISSUER: EXTERNAL_ISSUER,
      JWT_AUDIENCE: AUDIENCE,
      GITHUB_CLIENT_ID: 'x',
      GITHUB_CLIENT_SECRET: 'x',
      FEDERATION_STORE_TOKENS: 'github',
    },
  });
  return { server, close, createCredentials };

  async function close() {
    await server.close();
    rmSync(bundles.folder, { recursive: true, force: true });
  }

  async function createCredentials(): Promise<Credentials> {
    await createResource(server, OTHER_API, { scopes: [{ name: 'things:read' }] });
    const client = await server.client();
    const kinds: Record<string, Kind> = {};
    /** Tokens that prove nothing, neither as a bearer token nor as a login cookie. */
    const invalid: Record<string, string> = {};
    const accountIds = { own: '', other: '' };
    const agentIds = { own: '', other: '' };
    for (const side of SIDES) {
      const account = await server.account();
      const context: Context = { server, client, account, side, kinds, invalid };
      accountIds[side] = account.id;
      const cookieValue = await addOAuthTokens(context, later);
      await addSessions(context);
      const { organizationId, apiKey } = await addApiKeys(context);
      agentIds[side] = await addAgents(context, organizationId);
      await addExternalTokens(context);
      Object.assign(kinds, {
        [`value of the login cookie in the API cookie, ${side}`]: apiCookie(cookieValue),
        [`API key in the API cookie, ${side}`]: apiCookie(apiKey),
      });
    }
    const own = (await server.core.accounts.find(accountIds.own))!;
    await addClientTokens(server, own.email, invalid);
    Object.assign(invalid, {
      'client secret': client.secret,
      'hash of a client secret': (await server.core.clients.find(client.id))!.secretHash!,
      'account id': own.id,
      garbage: 'garbage',
      'garbage in the form of a JWT': 'a.b.c',
    });
    for (const [name, token] of Object.entries(invalid)) {
      kinds[name] ??= bearer(token);
      if (!name.startsWith('value of the login cookie')) kinds[`${name}, as login cookie`] = loginCookie(token);
    }
    kinds['certificate of a workload'] = {
      headers: { 'x-client-cert': asHeader(domain.workload('/api')) },
      workload: `spiffe://${domain.name}/api`,
    };
    kinds['client id and secret'] = { headers: { authorization: basicAuth(client) }, client: true };
    kinds['client with a wrong secret'] = { headers: { authorization: basicAuth({ ...client, secret: 'wrong' }) } };
    kinds['user with a password'] = { headers: { authorization: basicAuth({ id: own.email, secret: PASSWORD }) } };
    const registered = await registerDynamically(server);
    const otherRegistered = await registerDynamically(server);
    kinds['registration access token, own'] = { ...bearer(registered.managementToken), registration: 'own' };
    kinds['registration access token, other'] = { ...bearer(otherRegistered.managementToken), registration: 'other' };
    return { kinds, accountIds, agentIds, registered, admin: await createAdmin(server, client) };
  }
}

/** Opens a session without a browser. Returns its tokens. */
export async function openSession({ core }: Pick<TestServer, 'core'>, accountId: string) {
  const account = (await core.accounts.find(accountId))!;
  return (await core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens;
}

interface Context {
  server: TestServer;
  client: TestClient;
  account: Awaited<ReturnType<TestServer['account']>>;
  side: Side;
  kinds: Record<string, Kind>;
  invalid: Record<string, string>;
}

/** Returns a value of the login cookie. */
async function addOAuthTokens(
  { server, client, account, side, kinds, invalid }: Context,
  later: ReturnType<typeof movableClock>['later'],
) {
  const browser = new Browser(server.origin);
  const obtain = () => obtainCode(server, client, account.email, {}, browser);
  const open = (more: Record<string, string> = {}) => openTokenFamily(server, client, account.email, more, browser);
  const forOwnApi = { scope: 'openid memory:read', resource: `${server.issuer}/api/v1` };
  const family = await open();
  const revoked = await open();
  const revokedJwt = await open(forOwnApi);
  await revoke(server, client, revoked.accessToken);
  await revoke(server, client, revokedJwt.accessToken);
  const forExpired = await obtain();
  const expired = await later(-DAY_MS, () => redeemCode(server, client, forExpired));
  const loginCookieValue = browser.cookies.get(LOGIN_COOKIE)!.value;
  Object.assign(kinds, {
    [`login cookie, ${side}`]: { ...loginCookie(loginCookieValue), loginCookie: side },
    [`opaque access token, ${side}`]: { ...bearer(family.accessToken), openid: side },
    [`opaque access token as login cookie, ${side}`]: loginCookie(family.accessToken),
    [`opaque access token as API key, ${side}`]: { headers: { 'x-api-key': family.accessToken } },
  });
  Object.assign(invalid, {
    [`value of the login cookie, ${side}`]: loginCookieValue,
    [`JWT for our API, ${side}`]: (await open(forOwnApi)).accessToken,
    [`JWT for another API, ${side}`]: (await open({ scope: 'openid things:read', resource: OTHER_API })).accessToken,
    [`refresh token, ${side}`]: family.refreshToken,
    [`authorization code, ${side}`]: (await obtain()).code,
    [`ID token, ${side}`]: (await redeemCode(server, client, await obtain())).body.id_token,
    [`expired access token, ${side}`]: expired.body.access_token,
    [`revoked access token, ${side}`]: revoked.accessToken,
    [`revoked JWT, ${side}`]: revokedJwt.accessToken,
  });
  return loginCookieValue;
}

async function addSessions({ server, account, side, kinds, invalid }: Context) {
  const { accessToken, refreshToken } = await openSession(server, account.id);
  const renewAs = (toKind: (token: string) => Kind) => async () =>
    toKind((await openSession(server, account.id)).accessToken).headers;
  Object.assign(kinds, {
    [`first-party access token, ${side}`]: { ...bearer(accessToken), user: side, renew: renewAs(bearer) },
    [`first-party access token in the API cookie, ${side}`]: {
      ...apiCookie(accessToken),
      user: side,
      renew: renewAs(apiCookie),
    },
    [`first-party access token in the tools cookie, ${side}`]: {
      ...toolsCookie(accessToken),
      toolsUser: side,
      renew: renewAs(toolsCookie),
    },
    [`first-party access token as login cookie, ${side}`]: loginCookie(accessToken),
    [`first-party access token with the DPoP scheme, ${side}`]: { headers: { authorization: `DPoP ${accessToken}` } },
  });
  const revoked = await openSession(server, account.id);
  const { session } = (await server.core.tokens.inspect(revoked.refreshToken))!;
  await server.core.sessions.revoke(session.id, 'revoked', systemMeta);
  invalid[`first-party refresh token, ${side}`] = refreshToken;
  invalid[`first-party access token of a revoked session, ${side}`] = revoked.accessToken;
  const signedOut = new Browser(server.origin);
  await signedOut.signIn(account.email, PASSWORD);
  invalid[`login cookie of a revoked session, ${side}`] = signedOut.cookies.get(LOGIN_COOKIE)!.value;
  await signedOut.submit(await signedOut.open('/logout'));
}

async function addApiKeys({ server: { core }, account, side, kinds, invalid }: Context) {
  const create = (more: object = {}) =>
    core.apiKeys.create(
      { account },
      { name: 'Key', format: 'sk_live', lifeSeconds: null, role: 'operator', ...more },
      systemMeta,
    );
  const [organization] = await core.organizations.listFor(account.id);
  const project = await core.projects.create({ accountId: account.id }, organization!.id, 'Project', systemMeta);
  const { key } = await create();
  Object.assign(kinds, {
    [`API key, ${side}`]: { ...bearer(key), apiKey: side },
    [`API key in X-API-Key, ${side}`]: { headers: { 'x-api-key': key }, apiKey: side },
    [`API key of a project, ${side}`]: {
      ...bearer((await create({ projectId: project.id })).key),
      apiKey: side,
      isProjectKey: true,
    },
  });
  const revoked = await create({ format: 'cap' });
  await core.apiKeys.revoke(account.id, revoked.record.id, systemMeta);
  invalid[`revoked API key, ${side}`] = revoked.key;
  invalid[`expired API key, ${side}`] = (await create({ format: 'cb', lifeSeconds: -1 })).key;
  invalid[`mistyped API key, ${side}`] = key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
  return { organizationId: organization!.id, apiKey: key };
}

/** Returns the id of the agent. */
async function addAgents({ server: { core }, account, side, kinds, invalid }: Context, organizationId: string) {
  const wanted = { agentId: 'my-agent', name: 'My agent', capabilities: ['read:cap-table'] };
  const onboard = (agentId: string) =>
    core.agents.onboarding.onboardInto(organizationId, { account }, { ...wanted, agentId }, systemMeta);
  const { agent, key, token } = await onboard('my-agent');
  const unclaimed = await core.agents.onboarding.onboardUnclaimed(wanted, systemMeta);
  Object.assign(kinds, {
    [`agent key, ${side}`]: { ...bearer(key), agent: side },
    [`agent key in X-API-Key, ${side}`]: { headers: { 'x-api-key': key }, agent: side },
    [`agent key in the API cookie, ${side}`]: apiCookie(key),
    [`agent token, ${side}`]: { ...bearer(token), agent: side },
    [`agent token in the API cookie, ${side}`]: apiCookie(token),
    [`key of an unclaimed agent, ${side}`]: { ...bearer(unclaimed.key), agent: 'unclaimed' },
  });
  const deleted = await onboard('deleted');
  await core.agents.remove({ member: { accountId: account.id }, user: { account } }, deleted.agent, systemMeta);
  invalid[`key of a deleted agent, ${side}`] = deleted.key;
  invalid[`token of a deleted agent, ${side}`] = deleted.token;
  return agent.id;
}

const signExternal = (sub: string, claims: object = {}) =>
  signToken(new TextEncoder().encode(SHARED_SECRET), 'HS256', { iss: EXTERNAL_ISSUER, sub, role: 'admin', ...claims });

async function addExternalTokens({ account, side, kinds, invalid }: Context) {
  const token = await signExternal(account.id);
  kinds[`token of an external issuer, ${side}`] = { ...bearer(token), external: side };
  kinds[`token of an external issuer in the API cookie, ${side}`] = apiCookie(token);
  invalid[`expired token of an external issuer, ${side}`] = await signExternal(account.id, { exp: 1 });
  invalid[`token of an external issuer for another audience, ${side}`] = await signExternal(account.id, { aud: 'x' });
}

async function addClientTokens(server: TestServer, email: string, invalid: Record<string, string>) {
  const client = await server.client();
  const app = await server.client({ token_endpoint_auth_method: 'none' });
  const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  const withoutOpenid = await openTokenFamily(server, client, email, { scope: 'profile', nonce: '' });
  const { code, verifier } = await obtainCode(server, app, email);
  const codeGrant = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: REDIRECT_URI };
  const clientGrant = { grant_type: 'client_credentials' };
  const forOwnApi = { ...clientGrant, resource: `${server.issuer}/api/v1`, scope: 'memory:read' };
  const responses = {
    'DPoP-bound access token': tokenWithProof(server, app, await makeKey(), codeGrant),
    'access token of a client': requestToken(server, machine, clientGrant),
    'JWT of a client': requestToken(server, machine, forOwnApi),
    'DPoP-bound JWT of a client': tokenWithProof(server, machine, await makeKey(), forOwnApi),
  };
  invalid['opaque access token without openid'] = withoutOpenid.accessToken;
  for (const [name, response] of Object.entries(responses)) invalid[name] = (await response).body.access_token!;
}

/** Creates an administrator with a session, and with credentials that do not give access as one. */
async function createAdmin(server: TestServer, client: TestClient): Promise<Credentials['admin']> {
  const { core } = server;
  const input = { email: 'admin@example.com', name: 'Ada', password: PASSWORD };
  const account = await core.accounts.create(input, systemMeta, { role: 'admin', verified: true });
  const forOwnApi = { scope: 'openid memory:read', resource: `${server.issuer}/api/v1` };
  const apiKey = await core.apiKeys.create(
    { account },
    { name: 'Key', format: 'sk_live', lifeSeconds: null },
    systemMeta,
  );
  return {
    session: bearer((await openSession(server, account.id)).accessToken),
    otherCredentials: {
      'API key of an administrator': bearer(apiKey.key),
      'access token of an app of an administrator': bearer(
        (await openTokenFamily(server, client, account.email, forOwnApi)).accessToken,
      ),
      'token of an external issuer for an administrator': bearer(await signExternal(account.id)),
    },
  };
}
