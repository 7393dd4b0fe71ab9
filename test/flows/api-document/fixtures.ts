// The accounts, organizations, keys, agents and other records that the requests need.

import { randomUUID } from 'node:crypto';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Account } from '../../../src/core/accounts/accounts.js';
import { onboard } from '../../support/agents.js';
import type { ApiContract, ApiRequest } from '../../support/api-contract.js';
import { addCapTable, CAP_TABLE, requestApproval } from '../../support/approval-requests.js';
import { Authenticator } from '../../support/authenticator.js';
import { type FakeProvider, newExternalUser, obtainProviderCode } from '../../support/fake-providers.js';
import { mailTo, tokenIn } from '../../support/mailbox.js';
import { PASSWORD, type TestServer } from '../../support/server.js';

/** A user who is signed in to the JSON API. */
export interface User {
  email: string;
  accessToken: string;
  refreshToken: string;
  sessionId: string;
  bearer: { authorization: string };
}

/** An organization of the user with another member and a project. */
export interface OrganizationFixture {
  organizationId: string;
  memberId: string;
  projectId: string;
}

/** The redirect URI of an app that forwards codes of GitHub. */
export const CALLBACK = 'https://app.example/callback';
export const NEXT_PASSWORD = 'nine unrelated lanterns';

export const newAccount = () => ({
  email: `${randomUUID()}@example.com`,
  password: PASSWORD,
  full_name: 'Jane Developer',
});
export const newAgent = () => ({ agent_id: 'my-agent', agent_name: 'My agent', capabilities: ['read:cap-table'] });
export const newResource = () => ({ identifier: `https://api.example/${randomUUID()}`, name: 'Notes' });

export type Fixtures = ReturnType<typeof createFixtures>;

export function createFixtures(server: TestServer, contract: ApiContract, github: FakeProvider) {
  const { core } = server;
  let admin: Promise<Account> | undefined;
  return {
    accountId,
    signIn,
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
  };

  async function findAccount(email: string): Promise<Account> {
    return (await core.accounts.findByEmail(email))!;
  }

  async function accountId(email: string): Promise<string> {
    return (await findAccount(email)).id;
  }

  /** Creates an account and signs it in. */
  async function signIn(): Promise<User> {
    const { email } = await server.account();
    const { body } = await contract.call('POST /api/v1/auth/login-json', { json: { email, password: PASSWORD } });
    const bearer = { authorization: `Bearer ${body.access_token}` };
    const { body: sessions } = await contract.call('GET /api/v1/auth/sessions', { headers: bearer });
    return {
      email,
      accessToken: body.access_token,
      refreshToken: body.refresh_token,
      sessionId: sessions[0].id,
      bearer,
    };
  }

  /** Adds the credentials of an administrator to a request. */
  async function asAdmin(request: ApiRequest = {}): Promise<ApiRequest> {
    const input = { email: 'admin@example.com', password: PASSWORD };
    admin ??= core.accounts.create(input, systemMeta, { role: 'admin' });
    const { tokens } = await core.sessionIssuer.issueTokens({ account: await admin, amr: ['pwd'] }, systemMeta);
    return { headers: { authorization: `Bearer ${tokens.accessToken}` }, ...request };
  }

  /** Returns an authenticator app that is not confirmed yet. */
  async function startTotpEnrolment({ bearer }: User): Promise<Authenticator> {
    const { body } = await contract.call('POST /api/v1/auth/mfa/totp', { headers: bearer });
    return new Authenticator(body.secret);
  }

  async function enrolInTotp(user: User): Promise<void> {
    const otp = (await startTotpEnrolment(user)).code();
    await contract.call('POST /api/v1/auth/mfa/totp/confirm', { headers: user.bearer, json: { otp } });
  }

  async function resetToken(email: string): Promise<string> {
    await core.passwordReset.requestReset(email, systemMeta);
    return tokenIn(await mailTo(server, email, /Choose/));
  }

  async function verificationToken(email: string): Promise<string> {
    await core.emailVerification.request(await findAccount(email));
    return tokenIn(await mailTo(server, email, /Confirm/));
  }

  async function verifyEmail(email: string): Promise<Account> {
    const account = await findAccount(email);
    if (!account.emailVerified)
      await core.emailVerification.verify(await verificationToken(email), { account }, systemMeta);
    return findAccount(email);
  }

  async function createApiKey(email: string): Promise<{ id: string; key: string }> {
    const input = { name: 'K', format: 'sk_live', lifeSeconds: 3600 } as const;
    const { record, key } = await core.apiKeys.create({ account: await findAccount(email) }, input, systemMeta);
    return { id: record.id, key };
  }

  /** Adds another member and a project to the personal organization of the user. */
  async function createOrganization(email: string): Promise<OrganizationFixture> {
    const member = await server.account();
    const token = await invitationToken(member.email, email);
    await core.invitations.accept(token, { account: await findAccount(member.email) }, systemMeta);
    const actor = { accountId: await accountId(email) };
    const organizationId = await core.organizations.personalOrganizationId(actor.accountId);
    const { id: projectId } = await core.projects.create(actor, organizationId, 'Apollo', systemMeta);
    return { organizationId, memberId: member.id, projectId };
  }

  /** Invites an address to the personal organization of the user. */
  async function createInvitation(email: string, invited = 'invited@example.com') {
    const account = await verifyEmail(email);
    const organizationId = await core.organizations.personalOrganizationId(account.id);
    const input = { email: invited, role: 'viewer' as const };
    const { id: invitationId } = await core.invitations.create({ account }, organizationId, input, systemMeta);
    return { organizationId, invitationId };
  }

  /** Returns the token of an invitation that the user can accept. */
  async function invitationToken(email: string, inviter?: string): Promise<string> {
    await verifyEmail(email);
    await createInvitation(inviter ?? (await server.account()).email, email);
    return tokenIn(await mailTo(server, email, /invited/));
  }

  async function createResource(): Promise<string> {
    const tokens = { accessTokenFormat: 'jwt', accessTokenTtlSeconds: undefined } as const;
    const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
    const input = { ...newResource(), scopes: [], ...tokens, ...access };
    return (await core.resourceRegistry.create(input, { kind: 'system' }, systemMeta)).id;
  }

  /** Returns the body that an app posts after a user authorized it at GitHub. */
  async function githubCode() {
    return { code: await obtainProviderCode(github, newExternalUser(), CALLBACK), redirect_uri: CALLBACK };
  }

  async function createLink(email: string): Promise<string> {
    const account = await findAccount(email);
    await core.identities.linkByAdmin(account, { issuer: github.issuer, subject: randomUUID() });
    return (await core.links.list(account.id))[0]!.id;
  }

  /** Links an identity at GitHub whose tokens are stored. */
  async function createLinkWithToken({ bearer, email }: User): Promise<string> {
    await contract.call('POST /api/v1/auth/github/link', { headers: bearer, json: await githubCode() });
    return (await core.links.list(await accountId(email)))[0]!.id;
  }

  /** Creates an agent in the personal organization of the user. */
  async function createAgent(email: string): Promise<string> {
    const account = await findAccount(email);
    const input = { agentId: 'my-agent', name: 'My agent', capabilities: ['read:cap-table'] };
    const organizationId = await core.organizations.personalOrganizationId(account.id);
    return (await core.agents.onboarding.onboardInto(organizationId, { account }, input, systemMeta)).agent.id;
  }

  /** Lets an agent of the user request an approval. */
  async function createApprovalRequest({ email, accessToken }: User): Promise<string> {
    const agent = await onboard(server, { agent_id: randomUUID(), capabilities: ['write:equity'] }, accessToken);
    if (!core.resources.find(CAP_TABLE)) await addCapTable(server);
    await requestApproval(server, agent, email);
    return (await core.approvals.list(await findAccount(email), FIRST_PAGE)).items[0]!.id;
  }

  async function createTool(): Promise<string> {
    const slug = `tool-${randomUUID()}`;
    await core.tools.create({ slug, name: 'Deal room' }, '', systemMeta);
    return slug;
  }

  async function grantPermission(email: string) {
    const [userId, slug] = [await accountId(email), await createTool()];
    const { id } = await core.permissions.grant({ accountId: userId, slug, level: 'read' }, '', systemMeta);
    return { id, user_id: userId, tool_slug: slug };
  }
}
