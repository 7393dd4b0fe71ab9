// The requests of the API document's tests: at least one for each operation that succeeds, and
// those that fail with an error specific to the operation.
import { randomUUID } from 'node:crypto';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { ApiRequest, OperationName } from '../../support/api-contract.js';
import { type FakeProvider, newExternalUser, obtainProviderCode } from '../../support/fake-providers.js';
import { PASSWORD, type TestServer } from '../../support/server.js';
import { CALLBACK, type Fixtures, NEXT_PASSWORD, newAccount, newAgent, newResource, type User } from './fixtures.js';

export type BuildRequest = (user: User) => ApiRequest | Promise<ApiRequest>;

export function createRequests(server: TestServer, github: FakeProvider, fixtures: Fixtures) {
  const {
    accountId,
    asAdmin,
    enrolInTotp,
    startTotpEnrolment,
    resetToken,
    verificationToken,
    verifyEmail,
    createApiKey,
    createOrganization,
    createInvitation,
    invitationToken,
    createResource,
    githubCode,
    createLink,
    createLinkWithToken,
    createAgent,
    createApprovalRequest,
    createTool,
    grantPermission,
  } = fixtures;

  const signedIn: BuildRequest = ({ bearer }) => ({ headers: bearer });
  const withAgent: BuildRequest = async ({ bearer, email }) => ({
    headers: bearer,
    params: { agent_id: await createAgent(email) },
  });
  const withTotp: BuildRequest = async (user) => {
    await enrolInTotp(user);
    return { headers: user.bearer };
  };
  const memberParams = async (email: string) => {
    const { organizationId, memberId } = await createOrganization(email);
    return { id: organizationId, account_id: memberId };
  };

  /** For each operation, a request that succeeds. */
  const successfulRequests: Record<OperationName, BuildRequest> = {
    'POST /api/v1/auth/register': () => ({ json: newAccount() }),
    'POST /api/v1/auth/login': ({ email }) => ({ form: { username: email, password: PASSWORD } }),
    'POST /api/v1/auth/login-json': ({ email }) => ({ json: { email, password: PASSWORD } }),
    'POST /api/v1/auth/ainative-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
    'POST /api/v1/auth/proxy-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
    'POST /api/v1/auth/github/callback': async () => ({ json: await githubCode() }),
    'POST /api/v1/auth/github/link': async ({ bearer }) => ({ headers: bearer, json: await githubCode() }),
    'GET /api/v1/auth/links': async ({ bearer, email }) => {
      await createLink(email);
      return { headers: bearer };
    },
    'GET /api/v1/auth/links/{id}/token': async (user) => ({
      headers: user.bearer,
      params: { id: await createLinkWithToken(user) },
    }),
    'DELETE /api/v1/auth/links/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: await createLink(email) },
    }),
    'POST /api/v1/auth/refresh': ({ refreshToken }) => ({ json: { refreshToken } }),
    'POST /api/v1/auth/logout': signedIn,
    'GET /api/v1/auth/me': signedIn,
    'POST /api/v1/auth/forgot-password': ({ email }) => ({ json: { email } }),
    'POST /api/v1/auth/reset-password': async ({ email }) => ({
      json: { token: await resetToken(email), new_password: NEXT_PASSWORD },
    }),
    'POST /api/v1/auth/verify-email': async ({ email, bearer }) => ({
      headers: bearer,
      json: { token: await verificationToken(email) },
    }),
    'POST /api/v1/auth/change-password': ({ bearer }) => ({
      headers: bearer,
      json: { current_password: PASSWORD, new_password: NEXT_PASSWORD },
    }),
    'GET /api/v1/auth/me/profile': signedIn,
    'POST /api/v1/auth/reauth': ({ bearer }) => ({ headers: bearer, json: { password: PASSWORD } }),
    'POST /api/v1/auth/mfa/totp': signedIn,
    'POST /api/v1/auth/mfa/totp/confirm': async (user) => ({
      headers: user.bearer,
      json: { otp: (await startTotpEnrolment(user)).code() },
    }),
    'DELETE /api/v1/auth/mfa/totp': withTotp,
    'POST /api/v1/auth/mfa/recovery-codes': withTotp,
    'PATCH /api/v1/auth/me/profile': ({ bearer }) => ({ headers: bearer, json: { timezone: 'Europe/Vienna' } }),
    'GET /api/v1/auth/sessions': signedIn,
    'DELETE /api/v1/auth/sessions': signedIn,
    'DELETE /api/v1/auth/sessions/{id}': ({ bearer, sessionId }) => ({ headers: bearer, params: { id: sessionId } }),
    'POST /api/v1/api-keys': ({ bearer }) => ({ headers: bearer, json: { name: 'CI', expires_in_days: 90 } }),
    'GET /api/v1/api-keys': signedIn,
    'DELETE /api/v1/api-keys/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createApiKey(email)).id },
    }),
    'POST /api/v1/api-keys/{id}/rotate': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createApiKey(email)).id },
      json: { grace_period: '1h' },
    }),
    'GET /api/v1/capabilities': () => ({}),
    'POST /api/v1/agents/onboard': () => ({ json: newAgent() }),
    'POST /api/v1/agents/claim': async ({ bearer }) => {
      const input = { agentId: 'unclaimed', name: 'Unclaimed', capabilities: ['read:cap-table'] };
      const { claimToken } = await server.core.agents.onboarding.onboardUnclaimed(input, systemMeta);
      return { headers: bearer, json: { token: claimToken } };
    },
    'GET /api/v1/agents': signedIn,
    'GET /api/v1/agents/{agent_id}': withAgent,
    'DELETE /api/v1/agents/{agent_id}': withAgent,
    'POST /api/v1/agents/{agent_id}/rotate-key': withAgent,
    'POST /api/v1/organizations': ({ bearer }) => ({ headers: bearer, json: { name: 'Acme' } }),
    'GET /api/v1/organizations': signedIn,
    'GET /api/v1/organizations/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).organizationId },
    }),
    'POST /api/v1/organizations/{id}/invitations': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: await server.core.organizations.personalOrganizationId((await verifyEmail(email)).id) },
      json: { email: newAccount().email, role: 'operator' },
    }),
    'GET /api/v1/organizations/{id}/invitations': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createInvitation(email)).organizationId },
    }),
    'DELETE /api/v1/organizations/{id}/invitations/{invitation_id}': async ({ bearer, email }) => {
      const { organizationId, invitationId } = await createInvitation(email);
      return { headers: bearer, params: { id: organizationId, invitation_id: invitationId } };
    },
    'GET /api/v1/approvals': async (user) => {
      await createApprovalRequest(user);
      return { headers: user.bearer };
    },
    'POST /api/v1/approvals/{id}': async (user) => ({
      headers: user.bearer,
      params: { id: await createApprovalRequest(user) },
      json: { decision: 'approve' },
    }),
    'POST /api/v1/invitations/accept': async ({ bearer, email }) => ({
      headers: bearer,
      json: { token: await invitationToken(email) },
    }),
    'PATCH /api/v1/organizations/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).organizationId },
      json: { name: 'Acme' },
    }),
    'GET /api/v1/organizations/{id}/members': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).organizationId },
    }),
    'PATCH /api/v1/organizations/{id}/members/{account_id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: await memberParams(email),
      json: { role: 'operator' },
    }),
    'DELETE /api/v1/organizations/{id}/members/{account_id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: await memberParams(email),
    }),
    'POST /api/v1/projects': ({ bearer }) => ({ headers: bearer, json: { name: 'Apollo' } }),
    'GET /api/v1/projects': signedIn,
    'GET /api/v1/projects/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).projectId },
    }),
    'PATCH /api/v1/projects/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).projectId },
      json: { name: 'Gemini' },
    }),
    'DELETE /api/v1/projects/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createOrganization(email)).projectId },
    }),
    'POST /api/v1/resources': () => {
      const scopes = [{ name: 'notes:read', description: 'Read your notes.' }];
      return asAdmin({ json: { ...newResource(), scopes, access_token_ttl: '15m' } });
    },
    'GET /api/v1/resources': () => asAdmin(),
    'PATCH /api/v1/resources/{id}': async () =>
      asAdmin({ params: { id: await createResource() }, json: { clients: ['one'], access_token_ttl: null } }),
    'DELETE /api/v1/resources/{id}': async () => asAdmin({ params: { id: await createResource() } }),
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
    'GET /api/users': () => asAdmin(),
    'POST /api/users': () => asAdmin({ json: { ...newAccount(), name: 'John Doe', role: 'viewer' } }),
    'PUT /api/users/{id}': async ({ email }) =>
      asAdmin({ params: { id: await accountId(email) }, json: { name: 'J. Doe' } }),
    'DELETE /api/users/{id}': async ({ email }) => asAdmin({ params: { id: await accountId(email) } }),
    'GET /api/tools': signedIn,
    'POST /api/tools': () => asAdmin({ json: { slug: `t-${randomUUID()}`, name: 'T', url: 'https://t.example/x' } }),
    'DELETE /api/tools/{slug}': async () => asAdmin({ params: { slug: await createTool() } }),
    'GET /api/permissions': async ({ email }) => {
      await grantPermission(email);
      return asAdmin();
    },
    'POST /api/permissions': async ({ email }) =>
      asAdmin({ json: { user_id: await accountId(email), tool_slug: await createTool(), level: 'write' } }),
    'DELETE /api/permissions': async ({ email }) => asAdmin({ json: await grantPermission(email) }),
    'DELETE /api/permissions/{id}': async ({ email }) => asAdmin({ params: { id: (await grantPermission(email)).id } }),
    'GET /api/keys': async ({ bearer, email }) => {
      await createApiKey(email);
      return { headers: bearer };
    },
    'POST /api/keys': ({ bearer }) => ({ headers: bearer, json: { name: 'ci-deploy' } }),
    'DELETE /api/keys/{id}': async ({ bearer, email }) => ({
      headers: bearer,
      params: { id: (await createApiKey(email)).id },
    }),
    'GET /api/v1/test-auth/auth-status': signedIn,
    'POST /api/v1/test-auth/create-test-user': () => ({ json: newAccount() }),
    'POST /api/v1/test-auth/test-login': ({ email }) => ({ json: { email, password: PASSWORD } }),
  };

  /** Errors that are specific to an operation. */
  const errorRequests: [OperationName, code: string, BuildRequest][] = [
    ['POST /api/v1/auth/register', 'conflict', ({ email }) => ({ json: { ...newAccount(), email } })],
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
      async (user) => {
        // The token is about to expire, and GitHub rejects its refresh token.
        github.tokenResponse = { expires_in: 30, refresh_token: 'revoked' };
        const id = await createLinkWithToken(user);
        github.tokenResponse = {};
        return { headers: user.bearer, params: { id } };
      },
    ],
    ['POST /api/v1/auth/refresh', 'invalid_token', () => ({ json: { refresh_token: 'unknown' } })],
    ['POST /api/v1/auth/refresh', 'no_auth', () => ({})],
    [
      'POST /api/v1/auth/reset-password',
      'invalid_token',
      () => ({ json: { token: 'x', new_password: NEXT_PASSWORD } }),
    ],
    ['POST /api/v1/auth/verify-email', 'invalid_token', () => ({ json: { token: 'x' } })],
    [
      'POST /api/v1/auth/verify-email',
      'reauth_required',
      async ({ email }) => ({ json: { token: await verificationToken(email) } }),
    ],
    [
      'POST /api/v1/auth/verify-email',
      'invalid_credentials',
      async ({ email }) => ({ json: { token: await verificationToken(email), password: 'wrong' } }),
    ],
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
    ['DELETE /api/v1/resources/{id}', 'conflict', () => asAdmin({ params: { id: 'own' } })],
    ['POST /api/login', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
    ['POST /api/token', 'invalid_credentials', ({ email }) => ({ json: { email, password: 'wrong' } })],
    ['POST /api/validate', 'no_auth', () => ({})],
    [
      'POST /api/logout',
      'csrf_validation_failed',
      ({ accessToken }) => ({ headers: { cookie: `tools_session=${accessToken}`, origin: 'https://evil.example' } }),
    ],
    ['GET /api/users', 'insufficient_role', signedIn],
    ['GET /api/users', 'invalid_request', () => asAdmin({ query: { limit: 'many' } })],
    ['POST /api/users', 'conflict', ({ email }) => asAdmin({ json: { ...newAccount(), email } })],
    ['DELETE /api/users/{id}', 'not_found', () => asAdmin({ params: { id: 'unknown' } })],
    [
      'PUT /api/users/{id}',
      'conflict',
      async ({ email }) =>
        asAdmin({ params: { id: await accountId(email) }, json: { email: (await server.account()).email } }),
    ],
    ['DELETE /api/tools/{slug}', 'not_found', () => asAdmin({ params: { slug: 'none' } })],
    ['DELETE /api/permissions', 'not_found', () => asAdmin({ query: { user_id: 'unknown', tool_slug: 'none' } })],
    ['GET /api/keys', 'insufficient_role', ({ bearer }) => ({ headers: bearer, query: { user_id: 'other' } })],
    ['POST /api/v1/agents/onboard', 'insufficient_role', () => ({ json: { ...newAgent(), capabilities: ['admin'] } })],
    [
      'POST /api/v1/agents/onboard',
      'conflict',
      async ({ bearer, email }) => {
        await createAgent(email);
        return { headers: bearer, json: newAgent() };
      },
    ],
    ['DELETE /api/v1/auth/sessions/{id}', 'not_found', ({ bearer }) => ({ headers: bearer, params: { id: 'none' } })],
  ];

  /** Further requests that succeed: other credentials, other bodies. */
  const alternativeRequests: [OperationName, BuildRequest][] = [
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
      async ({ email, bearer }) => ({ headers: bearer, json: { tool: (await grantPermission(email)).tool_slug } }),
    ],
    ['POST /api/validate', ({ bearer }) => ({ headers: bearer, json: { tool: 'none' } })],
    ['POST /api/validate', ({ accessToken }) => ({ headers: { cookie: `tools_session=${accessToken}` } })],
    ['POST /api/validate', async ({ email }) => ({ headers: { 'x-api-key': (await createApiKey(email)).key } })],
    ['GET /api/me', async ({ email }) => ({ headers: { 'x-api-key': (await createApiKey(email)).key } })],
    [
      'GET /api/v1/auth/me',
      async ({ email, bearer }) => {
        await grantPermission(email);
        return { headers: bearer };
      },
    ],
  ];

  return { successfulRequests, alternativeRequests, errorRequests };
}
