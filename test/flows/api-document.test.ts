// What the OpenAPI document says is what the API does: every operation is called, with a yes and
// with every no that can be had, and each answer is held against the document. A new endpoint needs
// a line in YES; without it, this fails.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../src/core/accounts/accounts.js';
import { systemMeta } from '../../src/core/request-meta.js';
import { onboard } from '../support/agents.js';
import { type ApiContract, type ApiRequest, type OperationName, readContract } from '../support/api-contract.js';
import { addCapTable, CAP_TABLE, requestApproval } from '../support/approval-requests.js';
import { Authenticator } from '../support/authenticator.js';
import { newExternalUser, obtainProviderCode, openFakeProvider, SETTINGS } from '../support/fake-providers.js';
import { mailTo, tokenIn } from '../support/mailbox.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

/** A person who is signed in: what the lines below need of one. */
interface SignedIn {
  email: string;
  accessToken: string;
  refreshToken: string;
  sessionId: string;
  bearer: { authorization: string };
}

type Yes = (person: SignedIn) => ApiRequest | Promise<ApiRequest>;

const newcomer = () => ({ email: `${randomUUID()}@example.com`, password: PASSWORD, full_name: 'Jane Developer' });
const guestEmail = 'guest@example.com';
const NEXT_PASSWORD = 'nine unrelated lanterns';
/** The token of a mailed link. */
async function resetToken(email: string): Promise<string> {
  await server.core.passwordReset.requestReset(email, systemMeta);
  return tokenIn(await mailTo(server, email, /Choose/));
}
async function verifyToken(email: string): Promise<string> {
  await server.core.emailVerification.request((await server.core.accounts.findByEmail(email))!);
  return tokenIn(await mailTo(server, email, /Confirm/));
}
/** An API key. */
async function newKeyOf(email: string) {
  const account = (await server.core.accounts.findByEmail(email))!;
  return server.core.apiKeys.create(account, { name: 'K', format: 'sk_live', lifeSeconds: 3600 }, systemMeta);
}
const keyOf = async (email: string) => (await newKeyOf(email)).record.id;
const secretKeyOf = async (email: string) => (await newKeyOf(email)).key;
/** A personal organization with one more member and a project. */
async function placeOf(email: string): Promise<{ id: string; guest: string; project: string }> {
  const account = (await server.core.accounts.findByEmail(email))!;
  const [own] = await server.core.organizations.listFor(account.id);
  const actor = { accountId: account.id };
  const { id: project } = await server.core.projects.create(actor, own!.id, 'Apollo', systemMeta);
  const guest = await server.core.accounts.findByEmail(guestEmail);
  const member = { accountId: guest!.id, organizationId: own!.id, role: 'viewer' };
  const where = { accountId_organizationId: { accountId: member.accountId, organizationId: member.organizationId } };
  await server.base.db.membership.upsert({ where, create: member, update: {} });
  return { id: own!.id, guest: guest!.id, project };
}
/** A personal organization with an open invitation. */
async function invitationBy(
  email: string,
  invited = 'invited@example.com',
): Promise<{ id: string; invitation: string }> {
  const account = await verified(email);
  const id = await server.core.organizations.personalOrganizationId(account.id);
  const input = { email: invited, role: 'viewer' as const };
  const { id: invitation } = await server.core.invitations.create(account, id, input, systemMeta);
  return { id, invitation };
}
/** The account, once its address is proven. */
async function verified(email: string) {
  const account = (await server.core.accounts.findByEmail(email))!;
  if (!account.emailVerified) await server.core.emailVerification.verify(await verifyToken(email), systemMeta);
  return { ...account, emailVerified: true };
}
/** The token of an invitation. */
async function invitationTo(email: string): Promise<string> {
  await verified(email);
  await invitationBy((await server.account()).email, email);
  return tokenIn(await mailTo(server, email, /invited/));
}
const someApi = () => ({ identifier: `https://api.example/${randomUUID()}`, name: 'Notes' });
async function idOfApi(): Promise<string> {
  const rest = { scopes: [], accessTokenFormat: 'jwt', accessTokenTtlSeconds: undefined } as const;
  const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
  const input = { ...someApi(), ...rest, scopes: [], ...access };
  return (await server.core.resourceRegistry.create(input, { kind: 'system' }, systemMeta)).id;
}
const CALLBACK = 'https://app.example/callback';
/** The body that an app posts after the user authorized it at GitHub. */
const codeOfGithub = async () => ({
  code: await obtainProviderCode(github, newExternalUser(), CALLBACK),
  redirect_uri: CALLBACK,
});
/** A linked identity. */
async function linkOf(email: string): Promise<string> {
  const account = (await server.core.accounts.findByEmail(email))!;
  await server.core.identities.linkByAdmin(account, { issuer: github.issuer, subject: randomUUID() });
  return (await server.core.links.list(account.id))[0]!.id;
}
const newAgent = () => ({ agent_id: 'my-agent', agent_name: 'My agent', capabilities: ['read:cap-table'] });
/** An agent with an owner. */
async function agentOf(email: string): Promise<string> {
  const account = (await server.core.accounts.findByEmail(email))!;
  const wanted = { agentId: 'my-agent', name: 'My agent', capabilities: ['read:cap-table'] };
  const organizationId = await server.core.organizations.personalOrganizationId(account.id);
  return (await server.core.agents.onboarding.onboardInto(organizationId, account, wanted, systemMeta)).agent.id;
}
const ofAgent: Yes = async ({ bearer, email }) => ({ headers: bearer, params: { agent_id: await agentOf(email) } });
/** An approval request of an agent, pending for its owner. */
async function questionTo({ email, bearer }: SignedIn): Promise<string> {
  const agent = await onboard(
    server,
    { agent_id: randomUUID(), capabilities: ['write:equity'] },
    bearer.authorization.slice(7),
  );
  if (!server.core.resources.find(CAP_TABLE)) await addCapTable(server);
  await requestApproval(server, agent, email);
  const account = (await server.core.accounts.findByEmail(email))!;
  return (await server.core.approvals.list(account))[0]!.id;
}
const signedIn: Yes = ({ bearer }) => ({ headers: bearer });
/** An administrator's request. */
async function byAdmin(request: ApiRequest = {}): Promise<ApiRequest> {
  admin ??= server.core.accounts.create({ email: 'admin@example.com', password: PASSWORD }, systemMeta, {
    role: 'admin',
  });
  const login = await server.core.sessionIssuer.issueTokens({ account: await admin, amr: ['pwd'] }, systemMeta);
  return { headers: { authorization: `Bearer ${login.tokens.accessToken}` }, ...request };
}
let admin: Promise<Account> | undefined;
const asAdmin: Yes = () => byAdmin();
const idOf = async (email: string) => (await server.core.accounts.findByEmail(email))!.id;
async function newTool(): Promise<string> {
  const slug = `tool-${randomUUID()}`;
  await server.core.tools.create({ slug, name: 'Deal room' }, '', systemMeta);
  return slug;
}
async function grantTo(email: string) {
  const [accountId, slug] = [await idOf(email), await newTool()];
  const { id } = await server.core.permissions.grant({ accountId, slug, level: 'read' }, '', systemMeta);
  return { id, user_id: accountId, tool_slug: slug };
}

/** The person's authenticator app, set up but not confirmed. */
async function newApp({ bearer }: SignedIn): Promise<Authenticator> {
  const { body } = await contract.call('POST /api/v1/auth/mfa/totp', { headers: bearer });
  return new Authenticator(body.secret);
}
const confirmed: Yes = async (person) => {
  const { bearer } = person;
  const otp = (await newApp(person)).code();
  await contract.call('POST /api/v1/auth/mfa/totp/confirm', { headers: bearer, json: { otp } });
  return { headers: bearer };
};

/** For each operation, a request that is answered with a yes. */
const YES: Record<OperationName, Yes> = {
  'POST /api/v1/auth/register': () => ({ json: newcomer() }),
  'POST /api/v1/auth/login': ({ email }) => ({ form: { username: email, password: PASSWORD } }),
  'POST /api/v1/auth/login-json': ({ email }) => ({ json: { email, password: PASSWORD } }),
  'POST /api/v1/auth/ainative-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
  'POST /api/v1/auth/proxy-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
  'POST /api/v1/auth/github/callback': async () => ({ json: await codeOfGithub() }),
  'POST /api/v1/auth/github/link': async ({ bearer }) => ({ headers: bearer, json: await codeOfGithub() }),
  'GET /api/v1/auth/links': async ({ bearer, email }) => {
    await linkOf(email);
    return { headers: bearer };
  },
  'GET /api/v1/auth/links/{id}/token': async ({ bearer, email }) => {
    await contract.call('POST /api/v1/auth/github/link', { headers: bearer, json: await codeOfGithub() });
    const links = await server.core.links.list(await idOf(email));
    return { headers: bearer, params: { id: links[0]!.id } };
  },
  'DELETE /api/v1/auth/links/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: await linkOf(email) },
  }),
  'POST /api/v1/auth/refresh': ({ refreshToken }) => ({ json: { refreshToken } }),
  'POST /api/v1/auth/logout': signedIn,
  'GET /api/v1/auth/me': signedIn,
  'POST /api/v1/auth/forgot-password': ({ email }) => ({ json: { email } }),
  'POST /api/v1/auth/reset-password': async ({ email }) => ({
    json: { token: await resetToken(email), new_password: NEXT_PASSWORD },
  }),
  'POST /api/v1/auth/verify-email': async ({ email }) => ({ json: { token: await verifyToken(email) } }),
  'POST /api/v1/auth/change-password': ({ bearer }) => ({
    headers: bearer,
    json: { current_password: PASSWORD, new_password: NEXT_PASSWORD },
  }),
  'GET /api/v1/auth/me/profile': signedIn,
  'POST /api/v1/auth/reauth': ({ bearer }) => ({ headers: bearer, json: { password: PASSWORD } }),
  'POST /api/v1/auth/mfa/totp': signedIn,
  'POST /api/v1/auth/mfa/totp/confirm': async (person) => ({
    headers: person.bearer,
    json: { otp: (await newApp(person)).code() },
  }),
  'DELETE /api/v1/auth/mfa/totp': confirmed,
  'POST /api/v1/auth/mfa/recovery-codes': confirmed,
  'PATCH /api/v1/auth/me/profile': ({ bearer }) => ({ headers: bearer, json: { timezone: 'Europe/Vienna' } }),
  'GET /api/v1/auth/sessions': signedIn,
  'DELETE /api/v1/auth/sessions': signedIn,
  'DELETE /api/v1/auth/sessions/{id}': ({ bearer, sessionId }) => ({ headers: bearer, params: { id: sessionId } }),
  'POST /api/v1/api-keys': ({ bearer }) => ({ headers: bearer, json: { name: 'CI', expires_in_days: 90 } }),
  'GET /api/v1/api-keys': signedIn,
  'DELETE /api/v1/api-keys/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: await keyOf(email) },
  }),
  'POST /api/v1/api-keys/{id}/rotate': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: await keyOf(email) },
    json: { grace_period: '1h' },
  }),
  'GET /api/v1/capabilities': () => ({}),
  'POST /api/v1/agents/onboard': () => ({ json: newAgent() }),
  'POST /api/v1/agents/claim': async ({ bearer }) => {
    const wanted = { agentId: 'stray', name: 'Stray', capabilities: ['read:cap-table'] };
    const { claimToken } = await server.core.agents.onboarding.onboardUnclaimed(wanted, systemMeta);
    return { headers: bearer, json: { token: claimToken } };
  },
  'GET /api/v1/agents': signedIn,
  'GET /api/v1/agents/{agent_id}': ofAgent,
  'DELETE /api/v1/agents/{agent_id}': ofAgent,
  'POST /api/v1/agents/{agent_id}/rotate-key': ofAgent,
  'POST /api/v1/organizations': ({ bearer }) => ({ headers: bearer, json: { name: 'Acme' } }),
  'GET /api/v1/organizations': signedIn,
  'GET /api/v1/organizations/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).id },
  }),
  'POST /api/v1/organizations/{id}/invitations': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: await server.core.organizations.personalOrganizationId((await verified(email)).id) },
    json: { email: newcomer().email, role: 'operator' },
  }),
  'GET /api/v1/organizations/{id}/invitations': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await invitationBy(email)).id },
  }),
  'DELETE /api/v1/organizations/{id}/invitations/{invitation_id}': async ({ bearer, email }) => {
    const { id, invitation } = await invitationBy(email);
    return { headers: bearer, params: { id, invitation_id: invitation } };
  },
  'GET /api/v1/approvals': async (person) => {
    await questionTo(person);
    return { headers: person.bearer };
  },
  'POST /api/v1/approvals/{id}': async (person) => ({
    headers: person.bearer,
    params: { id: await questionTo(person) },
    json: { decision: 'approve' },
  }),
  'POST /api/v1/invitations/accept': async ({ bearer, email }) => ({
    headers: bearer,
    json: { token: await invitationTo(email) },
  }),
  'PATCH /api/v1/organizations/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).id },
    json: { name: 'Acme' },
  }),
  'GET /api/v1/organizations/{id}/members': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).id },
  }),
  'PATCH /api/v1/organizations/{id}/members/{account_id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).id, account_id: (await placeOf(email)).guest },
    json: { role: 'operator' },
  }),
  'DELETE /api/v1/organizations/{id}/members/{account_id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).id, account_id: (await placeOf(email)).guest },
  }),
  'POST /api/v1/projects': ({ bearer }) => ({ headers: bearer, json: { name: 'Apollo' } }),
  'GET /api/v1/projects': signedIn,
  'GET /api/v1/projects/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).project },
  }),
  'PATCH /api/v1/projects/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).project },
    json: { name: 'Gemini' },
  }),
  'DELETE /api/v1/projects/{id}': async ({ bearer, email }) => ({
    headers: bearer,
    params: { id: (await placeOf(email)).project },
  }),
  'POST /api/v1/resources': async (person) => ({
    ...(await asAdmin(person)),
    json: { ...someApi(), scopes: [{ name: 'notes:read', description: 'Read your notes.' }], access_token_ttl: '15m' },
  }),
  'GET /api/v1/resources': asAdmin,
  'PATCH /api/v1/resources/{id}': async (person) => ({
    ...(await asAdmin(person)),
    params: { id: await idOfApi() },
    json: { clients: ['one'], access_token_ttl: null },
  }),
  'DELETE /api/v1/resources/{id}': async (person) => ({
    ...(await asAdmin(person)),
    params: { id: await idOfApi() },
  }),
  'POST /api/login': ({ email }) => ({ json: { email, password: PASSWORD } }),
  'POST /api/token': ({ email }) => ({ json: { email, password: PASSWORD } }),
  'POST /api/logout': signedIn,
  'GET /api/me': signedIn,
  'PUT /api/me/password': ({ bearer }) => ({
    headers: bearer,
    json: { current_password: PASSWORD, new_password: NEXT_PASSWORD },
  }),
  'POST /api/me/password': ({ bearer }) => ({
    headers: bearer,
    json: { current_password: PASSWORD, new_password: NEXT_PASSWORD },
  }),
  'POST /api/validate': signedIn,
  'GET /api/users': () => byAdmin(),
  'POST /api/users': () => byAdmin({ json: { ...newcomer(), name: 'John Doe', role: 'viewer' } }),
  'PUT /api/users/{id}': async ({ email }) => byAdmin({ params: { id: await idOf(email) }, json: { name: 'J. Doe' } }),
  'DELETE /api/users/{id}': async ({ email }) => byAdmin({ params: { id: await idOf(email) } }),
  'GET /api/tools': signedIn,
  'POST /api/tools': () => byAdmin({ json: { slug: `t-${randomUUID()}`, name: 'T', url: 'https://t.example/x' } }),
  'DELETE /api/tools/{slug}': async () => byAdmin({ params: { slug: await newTool() } }),
  'GET /api/permissions': async ({ email }) => {
    await grantTo(email);
    return byAdmin();
  },
  'POST /api/permissions': async ({ email }) =>
    byAdmin({ json: { user_id: await idOf(email), tool_slug: await newTool(), level: 'write' } }),
  'DELETE /api/permissions': async ({ email }) => byAdmin({ json: await grantTo(email) }),
  'DELETE /api/permissions/{id}': async ({ email }) => byAdmin({ params: { id: (await grantTo(email)).id } }),
  'GET /api/keys': async ({ bearer, email }) => {
    await keyOf(email);
    return { headers: bearer };
  },
  'POST /api/keys': ({ bearer }) => ({ headers: bearer, json: { name: 'ci-deploy' } }),
  'DELETE /api/keys/{id}': async ({ bearer, email }) => ({ headers: bearer, params: { id: await keyOf(email) } }),
  'GET /api/v1/test-auth/auth-status': signedIn,
  'POST /api/v1/test-auth/create-test-user': () => ({ json: newcomer() }),
  'POST /api/v1/test-auth/test-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
};

/** Refusals that are one operation's own. */
const NO: [OperationName, code: string, Yes][] = [
  ['POST /api/v1/auth/register', 'conflict', ({ email }) => ({ json: { ...newcomer(), email } })],
  ['POST /api/v1/auth/login', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
  ['POST /api/v1/auth/login-json', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
  ['POST /api/v1/auth/proxy-login', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
  [
    'POST /api/v1/auth/login',
    'csrf_validation_failed',
    ({ email }) => ({ json: { email, password: PASSWORD }, headers: { origin: 'https://evil.example' } }),
  ],
  [
    'POST /api/v1/auth/github/callback',
    'invalid_credentials',
    () => ({ json: { code: 'unknown', redirect_uri: CALLBACK } }),
  ],
  [
    'POST /api/v1/auth/github/callback',
    'link_required',
    async ({ email }) => ({
      json: { code: await obtainProviderCode(github, newExternalUser({ email }), CALLBACK), redirect_uri: CALLBACK },
    }),
  ],
  ['GET /api/v1/auth/links/{id}/token', 'not_found', ({ bearer }) => ({ headers: bearer, params: { id: 'none' } })],
  [
    'GET /api/v1/auth/links/{id}/token',
    'provider_sign_in_required',
    async ({ bearer, email }) => {
      await contract.call('POST /api/v1/auth/github/link', { headers: bearer, json: await codeOfGithub() });
      const links = await server.core.links.list(await idOf(email));
      const identityId = links[0]!.id;
      await server.base.db.storedTokens.update({ where: { identityId }, data: { expiresAt: new Date(0) } });
      return { headers: bearer, params: { id: identityId } };
    },
  ],
  ['POST /api/v1/auth/refresh', 'invalid_token', () => ({ json: { refresh_token: 'unknown' } })],
  ['POST /api/v1/auth/refresh', 'no_auth', () => ({})],
  ['POST /api/v1/auth/reset-password', 'invalid_token', () => ({ json: { token: 'x', new_password: NEXT_PASSWORD } })],
  ['POST /api/v1/auth/verify-email', 'invalid_token', () => ({ json: { token: 'x' } })],
  [
    'POST /api/v1/auth/change-password',
    'invalid_credentials',
    ({ bearer }) => ({ headers: bearer, json: { current_password: 'wrong', new_password: NEXT_PASSWORD } }),
  ],
  [
    'POST /api/v1/approvals/{id}',
    'not_found',
    ({ bearer }) => ({ headers: bearer, params: { id: 'none' }, json: { decision: 'deny' } }),
  ],
  ['POST /api/v1/invitations/accept', 'not_found', ({ bearer }) => ({ headers: bearer, json: { token: 'x' } })],
  ['GET /api/v1/resources', 'insufficient_role', ({ bearer }) => ({ headers: bearer })],
  [
    'DELETE /api/v1/resources/{id}',
    'conflict',
    async (person) => ({ ...(await asAdmin(person)), params: { id: 'own' } }),
  ],
  ['POST /api/login', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
  ['POST /api/token', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
  ['POST /api/validate', 'no_auth', () => ({})],
  [
    'POST /api/logout',
    'csrf_validation_failed',
    ({ accessToken }) => ({ headers: { cookie: `tools_session=${accessToken}`, origin: 'https://evil.example' } }),
  ],
  ['GET /api/users', 'insufficient_role', signedIn],
  ['GET /api/users', 'invalid_request', () => byAdmin({ query: { limit: 'many' } })],
  ['POST /api/users', 'conflict', ({ email }) => byAdmin({ json: { ...newcomer(), email } })],
  ['DELETE /api/users/{id}', 'not_found', () => byAdmin({ params: { id: 'unknown' } })],
  [
    'PUT /api/users/{id}',
    'conflict',
    async ({ email }) => byAdmin({ params: { id: await idOf(email) }, json: { email: guestEmail } }),
  ],
  ['DELETE /api/tools/{slug}', 'not_found', () => byAdmin({ params: { slug: 'none' } })],
  ['DELETE /api/permissions', 'not_found', () => byAdmin({ query: { user_id: 'unknown', tool_slug: 'none' } })],
  ['GET /api/keys', 'insufficient_role', ({ bearer }) => ({ headers: bearer, query: { user_id: 'other' } })],
  ['POST /api/v1/agents/onboard', 'insufficient_role', () => ({ json: { ...newAgent(), capabilities: ['admin'] } })],
  [
    'POST /api/v1/agents/onboard',
    'conflict',
    async ({ bearer, email }) => {
      await agentOf(email);
      return { headers: bearer, json: newAgent() };
    },
  ],
  ['DELETE /api/v1/auth/sessions/{id}', 'not_found', ({ bearer }) => ({ headers: bearer, params: { id: 'none' } })],
];

/** Other ways to a yes. */
const ALSO: [OperationName, Yes][] = [
  ['POST /api/v1/auth/login', ({ email }) => ({ json: { email, password: PASSWORD, otp: '123456' } })],
  [
    'POST /api/v1/auth/login',
    ({ email }) => ({ json: { email, password: PASSWORD }, headers: { 'sec-fetch-site': 'same-origin' } }),
  ],
  ['POST /api/v1/auth/refresh', signedIn],
  ['POST /api/v1/agents/onboard', ({ bearer }) => ({ headers: bearer, json: newAgent() })],
  ['POST /api/v1/auth/refresh', ({ refreshToken }) => ({ headers: { cookie: `cap_refresh=${refreshToken}` } })],
  [
    'POST /api/v1/auth/refresh',
    ({ refreshToken }) => ({
      headers: { cookie: `cap_refresh=${refreshToken}`, 'sec-fetch-site': 'same-origin' },
    }),
  ],
  ['GET /api/v1/test-auth/auth-status', () => ({})],
  [
    'POST /api/validate',
    async ({ email, bearer }) => ({ headers: bearer, json: { tool: (await grantTo(email)).tool_slug } }),
  ],
  ['POST /api/validate', ({ bearer }) => ({ headers: bearer, json: { tool: 'none' } })],
  ['POST /api/validate', ({ accessToken }) => ({ headers: { cookie: `tools_session=${accessToken}` } })],
  ['POST /api/validate', async ({ email }) => ({ headers: { 'x-api-key': await secretKeyOf(email) } })],
  ['GET /api/me', async ({ email }) => ({ headers: { 'x-api-key': await secretKeyOf(email) } })],
  [
    'GET /api/v1/auth/me',
    async ({ email, bearer }) => {
      await grantTo(email);
      return { headers: bearer };
    },
  ],
];

const github = await openFakeProvider('github');
const settings = {
  GITHUB_CLIENT_ID: SETTINGS.GITHUB_CLIENT_ID,
  GITHUB_CLIENT_SECRET: SETTINGS.GITHUB_CLIENT_SECRET,
  GITHUB_URL: new URL(github.issuer).origin,
  FEDERATION_STORE_TOKENS: 'github',
  FEDERATION_REDIRECT_URIS: CALLBACK,
  TEST_AUTH: 'true',
  // Limits are on, so that responses carry their headers, but too high to reach.
  RATE_LIMIT_ANONYMOUS: '10000',
  RATE_LIMIT_HUMAN: '10000',
  RATE_LIMIT_AGENT: '10000',
  RATE_LIMIT_DEFAULT: '10000',
  RATE_LIMIT_VALIDATE: '10000',
};
const server: TestServer = await startServer({ settings });
const contract: ApiContract = await readContract(server.origin);
const operations = [...contract.operations];
const named = (wanted: (operation: (typeof operations)[0][1]) => unknown) =>
  operations.filter(([, operation]) => wanted(operation)).map(([name]) => name);
const needsCredential = named(({ security }) => security.every((way) => Object.keys(way).length > 0));
const looksAtCredential = named(({ security }) => security.some((way) => 'bearer' in way));
const changesByCookie = named(({ security }) => security.some((way) => 'csrf' in way));
const readsBody = named(({ requestBody }) => requestBody);
const needsBody = named(({ requestBody }) => requestBody?.required);

describe('the OpenAPI document', () => {
  let person: SignedIn;
  beforeAll(async () => {
    await server.account(guestEmail);
    person = await signIn();
  });
  afterAll(async () => {
    await server.close();
    await github.close();
  });

  async function signIn(): Promise<SignedIn> {
    const { email } = await server.account();
    const { body } = await contract.call('POST /api/v1/auth/login-json', { json: { email, password: PASSWORD } });
    const bearer = { authorization: `Bearer ${body.access_token}` };
    const { body: logins } = await contract.call('GET /api/v1/auth/sessions', { headers: bearer });
    return {
      email,
      accessToken: body.access_token,
      refreshToken: body.refresh_token,
      sessionId: logins[0].id,
      bearer,
    };
  }

  it('is tried as a whole', () => {
    expect(Object.keys(YES).sort()).toEqual(operations.map(([name]) => name).sort());
  });

  it.each(operations.map(([name]) => name))('is true of %s', async (name) => {
    const { status } = await contract.call(name, await YES[name]!(await signIn()));
    expect(status).toBeLessThan(300);
  });

  it.each(ALSO)('is true of another way through %s', async (name, request) => {
    const { status } = await contract.call(name, await request(await signIn()));
    expect(status).toBeLessThan(300);
  });

  it.each(NO)('is true of %s when it refuses with %s', async (name, code, request) => {
    const { body } = await contract.call(name, await request(person));
    expect(body.error).toBe(code);
  });

  it.each(needsCredential)('is true of %s without a credential', async (name) => {
    const { status, body } = await contract.call(name);
    expect([status, body.error]).toEqual([401, 'no_auth']);
  });

  it.each(looksAtCredential)('is true of %s with a malformed token', async (name) => {
    for (const authorization of ['Bearer not-a-token', 'Basic amFuZTpzZWNyZXQ=', `Bearer ${person.refreshToken}`]) {
      const { status, body } = await contract.call(name, { headers: { authorization } });
      expect([status, body.error]).toEqual([401, 'invalid_token']);
    }
  });

  it.each(changesByCookie)('is true of %s by cookie without its CSRF token', async (name) => {
    const { status, body } = await contract.call(name, { headers: { cookie: `cap_access=${person.accessToken}` } });
    expect([status, body.error]).toEqual([403, 'csrf_validation_failed']);
  });

  it.each(readsBody)('is true of %s when the body is no JSON, of another type, or too long', async (name) => {
    const { headers } = await YES[name]!(person);
    const json = { ...headers, 'content-type': 'application/json' };
    const text = { ...headers, 'content-type': 'text/plain' };
    expect((await contract.call(name, { headers: json, body: '{' })).status).toBe(400);
    expect((await contract.call(name, { headers: text, body: 'hello' })).status).toBe(415);
    expect((await contract.call(name, { headers: json, body: `"${'x'.repeat(70_000)}"` })).status).toBe(413);
  });

  it.each(needsBody)('is true of %s without a body', async (name) => {
    const { headers } = await YES[name]!(person);
    const { status, body } = await contract.call(name, { ...(headers && { headers }) });
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(Object.keys(body.fields).length).toBeGreaterThan(0);
  });

  it('would not pass an answer that differs', async () => {
    await expect(contract.call('GET /api/v1/auth/nowhere')).rejects.toThrow('not in the document');
  });
});
