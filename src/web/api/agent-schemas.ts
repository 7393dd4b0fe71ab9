/** Schemas of agents in responses, and the serializers for them. */
import { z } from 'zod';
import type { Agent } from '../../core/agents/active-agents.js';
import type { FreshAgent } from '../../core/agents/key.js';

export const AgentSchema = z
  .object({
    agent_id: z.string(),
    agent_name: z.string(),
    company_id: z.string().describe('The id of its organization.'),
    client_id: z.string().describe("The OAuth client id. The agent's key is the client secret."),
    capabilities: z.array(z.string()),
    claimed: z.boolean().describe('Whether a user has claimed the agent.'),
    owner_id: z
      .uuid()
      .nullable()
      .describe('The account that owns the agent. Null if it is unclaimed, or its owner was suspended or removed.'),
    expires_at: z.iso.datetime().nullable().describe('When an unclaimed agent expires.'),
    provisioned_at: z.iso.datetime(),
  })
  .meta({ id: 'Agent' });
export const AgentWithKeySchema = AgentSchema.extend({
  token: z.string().describe('An access token with all capabilities, valid for one week.'),
  api_key: z.string().describe("The agent's key. Shown once."),
}).meta({ id: 'FreshAgent' });
export const OnboardedAgentSchema = AgentWithKeySchema.extend({
  claim_url: z.url().optional().describe('For an unclaimed agent: the page on which a user can claim it.'),
}).meta({ id: 'OnboardedAgent' });

/** Serializes an agent without its key. */
export const serialize = (agent: Agent): z.input<typeof AgentSchema> => ({
  agent_id: agent.agentId,
  agent_name: agent.name,
  company_id: agent.organizationId,
  client_id: agent.id,
  capabilities: agent.capabilities,
  claimed: agent.claimed,
  owner_id: agent.owner?.id ?? null,
  expires_at: agent.expiresAt?.toISOString() ?? null,
  provisioned_at: agent.createdAt.toISOString(),
});

/** Serializes an agent with its new key, which is returned once. */
export const serializeWithKey = ({ agent, key, token }: FreshAgent): z.input<typeof AgentWithKeySchema> => ({
  ...serialize(agent),
  token,
  api_key: key,
});
