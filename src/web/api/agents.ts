/** Agents: onboarding, claiming, key rotation, deletion. Secrets are returned once. */

import { z } from 'zod';
import { forbidden } from '../../base/app-error.js';
import type { Config } from '../../base/config.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import { slicePage } from '../../base/paging.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { Agent } from '../../core/agents/active-agents.js';
import type { AgentActor } from '../../core/agents/actor.js';
import type { Core } from '../../core/core.js';
import {
  type AgentPrincipal,
  type ApiKeyPrincipal,
  actingUserOf,
  actorOf,
  type SessionPrincipal,
} from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { AgentSchema, AgentWithKeySchema, OnboardedAgentSchema, serialize, serializeWithKey } from './agent-schemas.js';
import { MessageResponse } from './schemas.js';

interface Deps extends Pick<Core, 'agents' | 'ownershipClaims' | 'organizations' | 'resources'> {
  api: Api;
  issuer: string;
  rateLimiter: RateLimiter;
  onboarding: Config['agentOnboarding'];
  onboardingToken: string | undefined;
}

/** Each onboarding creates an organization, so the limit per network is low. */
const ONBOARDING_LIMIT = LIMITS['agent-onboarding'];
/** The page on which a user claims an agent. */
const CLAIM_PATH = '/account/agents/claim';

const NewAgent = z.object({
  agent_id: boundedString(100).describe('Your id of the agent, unique in its organization.'),
  agent_name: boundedString(100),
  capabilities: z.array(boundedString(200)).max(100).describe('Names of capabilities: see `GET /api/v1/capabilities`.'),
  organization_id: boundedString().optional().describe("For signed-in users. Default: the user's own organization."),
});
const ClaimBody = z.object({ token: boundedString(200) });
const CapabilitySchema = z.object({ name: z.string(), description: z.string() }).meta({ id: 'Capability' });

const ONBOARD_DESCRIPTION = `
With an administrator's token, the agent joins that organization. Without a token, it gets its own organization, expires after seven
days unless a user claims it at \`claim_url\`, and cannot have the capability \`admin\`.`.trim();
const OrganizationQuery = z.object({
  organization_id: boundedString().optional().describe('Limits the request to this organization.'),
});

export function addAgents(deps: Deps): void {
  const { api, issuer, rateLimiter, onboarding, onboardingToken, agents, ownershipClaims, organizations, resources } =
    deps;
  const readers = ['session', 'api-key'] as const;
  const readErrors = ['not_found', 'insufficient_role', 'project_scope_violation'] as const;
  api.get(
    '/api/v1/capabilities',
    { summary: 'List capabilities', accepts: [], query: PageQuery, response: [200, z.array(CapabilitySchema)] },
    listCapabilities,
  );
  api.post(
    '/api/v1/agents/onboard',
    {
      summary: 'Onboard an agent',
      description: ONBOARD_DESCRIPTION,
      accepts: ['session'],
      optional: onboarding === 'open',
      sharedSecret: onboarding === 'token' ? onboardingToken : undefined,
      requireRecentAuthentication: true,
      body: NewAgent,
      response: [201, OnboardedAgentSchema],
      errors: ['insufficient_role', 'not_found', 'conflict'],
    },
    onboard,
  );
  api.post(
    '/api/v1/agents/claim',
    {
      summary: 'Claim an agent',
      accepts: ['session'],
      requireRecentAuthentication: true,
      body: ClaimBody,
      response: [200, AgentSchema],
      errors: ['not_found'],
    },
    claim,
  );
  api.get(
    '/api/v1/agents',
    {
      summary: 'List agents',
      accepts: readers,
      query: OrganizationQuery.extend(PageQuery.shape),
      response: [200, z.array(AgentSchema)],
      errors: readErrors,
    },
    list,
  );
  api.get(
    '/api/v1/agents/:agent_id',
    {
      summary: 'Get an agent',
      accepts: [...readers, 'agent'],
      query: OrganizationQuery,
      response: [200, AgentSchema],
      errors: readErrors,
    },
    show,
  );
  api.delete(
    '/api/v1/agents/:agent_id',
    {
      summary: 'Delete an agent and revoke its key and tokens',
      accepts: ['session', 'agent'],
      query: OrganizationQuery,
      response: [200, MessageResponse],
      errors: readErrors,
    },
    remove,
  );
  api.post(
    '/api/v1/agents/:agent_id/rotate-key',
    {
      summary: 'Rotate the key of an agent and revoke its tokens',
      accepts: ['session', 'agent'],
      requireRecentAuthentication: true,
      query: OrganizationQuery,
      response: [201, AgentWithKeySchema],
      errors: [...readErrors, 'conflict'],
    },
    rotateKey,
  );

  async function listCapabilities(ctx: Context, page: PageQuery): Promise<void> {
    const shown = slicePage(resources.capabilities(), page, {
      list: 'capabilities',
      keyOf: ({ position }) => position,
    });
    sendPage(ctx, shown, ({ name, description }) => ({ name, description }));
  }

  async function onboard(ctx: Context, input: z.output<typeof NewAgent>, principal: SessionPrincipal | undefined) {
    const { meta } = ctx.state;
    const values = { agentId: input.agent_id, name: input.agent_name, capabilities: input.capabilities };
    if (principal) {
      const { account, authenticated } = principal;
      const organizationId = input.organization_id ?? (await organizations.personalOrganizationId(account.id));
      ctx.body = serializeWithKey(await agents.onboarding.onboardInto(organizationId, authenticated, values, meta));
      return;
    }
    await rateLimiter.consume(ONBOARDING_LIMIT, rateLimitKey(meta.address));
    const { claimToken, ...onboarded } = await agents.onboarding.onboardUnclaimed(values, meta);
    ctx.body = { ...serializeWithKey(onboarded), claim_url: `${issuer}${CLAIM_PATH}?token=${claimToken}` };
  }

  async function claim(
    ctx: Context,
    { token }: z.output<typeof ClaimBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    ctx.body = serialize(await ownershipClaims.claim(token, authenticated, ctx.state.meta));
  }

  async function list(
    ctx: Context,
    { organization_id: organizationId, ...page }: OrganizationQuery & PageQuery,
    principal: SessionPrincipal | ApiKeyPrincipal,
  ): Promise<void> {
    sendPage(ctx, await agents.listFor(actorOf(principal), page, organizationId), serialize);
  }

  async function show(ctx: Context, query: OrganizationQuery, principal: AgentApiPrincipal): Promise<void> {
    ctx.body = serialize(await find(ctx, query, principal));
  }

  async function remove(
    ctx: Context,
    query: OrganizationQuery,
    principal: SessionPrincipal | AgentPrincipal,
  ): Promise<void> {
    requireKey(principal, 'An agent can delete itself only with its key, not with a token.');
    await agents.remove(agentActorOf(principal), await find(ctx, query, principal), ctx.state.meta);
    ctx.body = { ok: true, message: 'The agent was deleted, and its key and tokens were revoked.' };
  }

  async function rotateKey(
    ctx: Context,
    query: OrganizationQuery,
    principal: SessionPrincipal | AgentPrincipal,
  ): Promise<void> {
    requireKey(principal, 'An agent can rotate its key only with that key, not with a token.');
    const agent = await find(ctx, query, principal);
    ctx.body = serializeWithKey(await agents.rotateKey(agentActorOf(principal), agent, ctx.state.meta));
  }

  /** A stolen access token must not become a key, which lives longer, or delete the agent. */
  function requireKey(principal: SessionPrincipal | AgentPrincipal, description: string): void {
    if (principal.kind === 'agent' && principal.by !== 'key') throw forbidden('insufficient_scope', description);
  }

  function find(
    ctx: Context,
    { organization_id: organizationId }: OrganizationQuery,
    principal: AgentApiPrincipal,
  ): Promise<Agent> {
    return agents.findFor(agentActorOf(principal), ctx.params.agent_id, organizationId);
  }
}

type OrganizationQuery = z.output<typeof OrganizationQuery>;
type AgentApiPrincipal = SessionPrincipal | ApiKeyPrincipal | AgentPrincipal;

const agentActorOf = (principal: AgentApiPrincipal): AgentActor =>
  principal.kind === 'agent'
    ? { agent: principal.agent }
    : { member: actorOf(principal), user: actingUserOf(principal) };
