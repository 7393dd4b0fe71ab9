/** Agents: onboarding, claiming, key rotation, deletion. Secrets are returned once. */
import { z } from 'zod';
import { forbidden } from '../../base/app-error.js';
import { HOUR_SECONDS } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Agent } from '../../core/agents/active-agents.js';
import type { AgentActor } from '../../core/agents/actor.js';
import type { FreshAgent } from '../../core/agents/key.js';
import type { Core } from '../../core/core.js';
import {
  type AgentPrincipal,
  type ApiKeyPrincipal,
  actorOf,
  type LoginPrincipal,
} from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { Done } from './schemas.js';

interface Deps extends Pick<Core, 'agents' | 'ownershipClaims' | 'organizations' | 'resources'> {
  api: Api;
  issuer: string;
  rateLimiter: RateLimiter;
  onboarding: Config['agentOnboarding'];
  onboardingToken: string | undefined;
}

/** Each onboarding creates an organization, so the limit per network is low. */
const STRANGERS: Limit = { name: 'agent-onboarding', points: 10, seconds: HOUR_SECONDS };
/** The page on which a user claims an agent. */
const CLAIM_PATH = '/account/agents/claim';

const NewAgent = z.object({
  agent_id: boundedString(100).describe('Your id of the agent, unique in its organization.'),
  agent_name: boundedString(100),
  capabilities: z.array(boundedString(200)).max(100).describe('Names of capabilities: see `GET /api/v1/capabilities`.'),
  organization_id: boundedString().optional().describe("For signed-in users. Default: the user's own organization."),
});
const Claim = z.object({ token: boundedString(200) });
const AgentSchema = z
  .object({
    agent_id: z.string(),
    agent_name: z.string(),
    company_id: z.string().describe('The id of its organization.'),
    client_id: z.string().describe("The OAuth client id. The agent's key is the client secret."),
    capabilities: z.array(z.string()),
    claimed: z.boolean().describe('Whether a user has claimed the agent.'),
    expires_at: z.iso.datetime().nullable().describe('When an unclaimed agent expires.'),
    provisioned_at: z.iso.datetime(),
  })
  .meta({ id: 'Agent' });
const FreshAgentAnswer = AgentSchema.extend({
  token: z.string().describe('An access token with all capabilities, valid for one week.'),
  api_key: z.string().describe("The agent's key. Shown once."),
}).meta({ id: 'FreshAgent' });
const OnboardedAgent = FreshAgentAnswer.extend({
  claim_url: z.url().optional().describe('For an unclaimed agent: the page on which a user can claim it.'),
}).meta({ id: 'OnboardedAgent' });
const Capability = z.object({ name: z.string(), description: z.string() }).meta({ id: 'Capability' });

const ONBOARD_DESCRIPTION = `
With an administrator's token, the agent joins that organization. Without a token, it gets its own organization, expires after seven
days unless a user claims it at \`claim_url\`, and cannot have the capability \`admin\`.`.trim();
const Place = z.object({
  organization_id: boundedString().optional().describe('Limits the request to this organization.'),
});

export function addAgents(deps: Deps): void {
  const { api, issuer, rateLimiter, onboarding, onboardingToken, agents, ownershipClaims, organizations, resources } =
    deps;
  const readers = ['login', 'api-key'] as const;
  const bounds = ['not_found', 'insufficient_role', 'project_scope_violation'] as const;
  api.get(
    '/api/v1/capabilities',
    { summary: 'List capabilities', accepts: [], response: [200, z.array(Capability)] },
    listCapabilities,
  );
  api.post(
    '/api/v1/agents/onboard',
    {
      summary: 'Onboard an agent',
      description: ONBOARD_DESCRIPTION,
      accepts: ['login'],
      optional: onboarding === 'open',
      sharedSecret: onboarding === 'token' ? onboardingToken : undefined,
      requireRecentAuthentication: true,
      body: NewAgent,
      response: [201, OnboardedAgent],
      errors: ['insufficient_role', 'not_found', 'conflict'],
    },
    onboard,
  );
  api.post(
    '/api/v1/agents/claim',
    {
      summary: 'Claim an agent',
      accepts: ['login'],
      requireRecentAuthentication: true,
      body: Claim,
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
      query: Place,
      response: [200, z.array(AgentSchema)],
      errors: bounds,
    },
    list,
  );
  api.get(
    '/api/v1/agents/:agent_id',
    {
      summary: 'Get an agent',
      accepts: [...readers, 'agent'],
      query: Place,
      response: [200, AgentSchema],
      errors: bounds,
    },
    show,
  );
  api.delete(
    '/api/v1/agents/:agent_id',
    {
      summary: 'Delete an agent and revoke its key and tokens',
      accepts: ['login', 'agent'],
      query: Place,
      response: [200, Done],
      errors: bounds,
    },
    remove,
  );
  api.post(
    '/api/v1/agents/:agent_id/rotate-key',
    {
      summary: 'Rotate the key of an agent and revoke its tokens',
      accepts: ['login', 'agent'],
      requireRecentAuthentication: true,
      query: Place,
      response: [201, FreshAgentAnswer],
      errors: [...bounds, 'conflict'],
    },
    rotateKey,
  );

  function listCapabilities(ctx: Context): void {
    ctx.body = resources.capabilities().map(({ name, description }) => ({ name, description }));
  }

  async function onboard(ctx: Context, input: z.output<typeof NewAgent>, principal: LoginPrincipal | undefined) {
    const { meta } = ctx.state;
    const wanted = { agentId: input.agent_id, name: input.agent_name, capabilities: input.capabilities };
    if (principal) {
      const { account } = principal;
      const organizationId = input.organization_id ?? (await organizations.personalOrganizationId(account.id));
      ctx.body = toFresh(await agents.onboarding.onboardInto(organizationId, account, wanted, meta));
      return;
    }
    await rateLimiter.consume(STRANGERS, rateLimitKey(meta.address));
    const { claimToken, ...fresh } = await agents.onboarding.onboardUnclaimed(wanted, meta);
    ctx.body = { ...toFresh(fresh), claim_url: `${issuer}${CLAIM_PATH}?token=${claimToken}` };
  }

  async function claim(ctx: Context, { token }: z.output<typeof Claim>, { account }: LoginPrincipal): Promise<void> {
    ctx.body = serialize(await ownershipClaims.claim(token, account, ctx.state.meta));
  }

  async function list(ctx: Context, place: Place, principal: LoginPrincipal | ApiKeyPrincipal): Promise<void> {
    ctx.body = (await agents.listFor(actorOf(principal), place.organization_id)).map(serialize);
  }

  async function show(ctx: Context, place: Place, principal: Visitor): Promise<void> {
    ctx.body = serialize(await find(ctx, place, principal));
  }

  async function remove(ctx: Context, place: Place, principal: LoginPrincipal | AgentPrincipal): Promise<void> {
    requireKey(principal, 'An agent deletes itself with its key, not with a token.');
    await agents.remove(agentActorOf(principal), await find(ctx, place, principal), ctx.state.meta);
    ctx.body = { ok: true, message: 'The agent is gone, and with it its key and tokens.' };
  }

  async function rotateKey(ctx: Context, place: Place, principal: LoginPrincipal | AgentPrincipal): Promise<void> {
    requireKey(principal, 'An agent replaces its key with that key, not with a token.');
    const agent = await find(ctx, place, principal);
    ctx.body = toFresh(await agents.rotateKey(agentActorOf(principal), agent, ctx.state.meta));
  }

  /** A stolen access token must not become a key, which lives longer, or delete the agent. */
  function requireKey(principal: LoginPrincipal | AgentPrincipal, description: string): void {
    if (principal.kind === 'agent' && principal.by !== 'key') throw forbidden('insufficient_scope', description);
  }

  function find(ctx: Context, { organization_id: organizationId }: Place, principal: Visitor): Promise<Agent> {
    return agents.findFor(agentActorOf(principal), ctx.params.agent_id, organizationId);
  }
}

type Place = z.output<typeof Place>;
type Visitor = LoginPrincipal | ApiKeyPrincipal | AgentPrincipal;

const agentActorOf = (principal: Visitor): AgentActor =>
  principal.kind === 'agent' ? { agent: principal.agent } : { member: actorOf(principal) };

const serialize = (agent: Agent): z.input<typeof AgentSchema> => ({
  agent_id: agent.agentId,
  agent_name: agent.name,
  company_id: agent.organizationId,
  client_id: agent.id,
  capabilities: agent.capabilities,
  claimed: agent.claimed,
  expires_at: agent.expiresAt?.toISOString() ?? null,
  provisioned_at: agent.createdAt.toISOString(),
});

const toFresh = ({ agent, key, token }: FreshAgent): z.input<typeof FreshAgentAnswer> => ({
  ...serialize(agent),
  token,
  api_key: key,
});
