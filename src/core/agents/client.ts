/** The OAuth client of an agent. It is derived from the agent and not stored. */
import { epochSeconds } from '../../base/clock.js';
import type { Client } from '../../base/db/open.js';
import type { Agent } from './active-agents.js';
import { type AgentClaims, claimsOf } from './tokens.js';

export const CIBA_GRANT = 'urn:openid:params:grant-type:ciba';
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** The member `agent` of the client metadata, for the protocol engine. Registration rejects it. */
export interface AgentMember extends AgentClaims {
  capabilities: string[];
  /** When an unclaimed agent expires, in epoch seconds. */
  endsAt?: number;
}

/**
 * Holds one client object for each cached agent, because the engine caches clients by object
 * identity.
 */
const clientsByAgent = new WeakMap<Agent, Client>();

/** Returns the OAuth client of an agent; the same object for the same agent. */
export function toClient(agent: Agent): Client {
  const client = clientsByAgent.get(agent) ?? buildClient(agent);
  clientsByAgent.set(agent, client);
  return client;
}

function buildClient(agent: Agent): Client {
  const { id, name, keyHash, organizationId, capabilities, claimed, expiresAt, createdAt, updatedAt } = agent;
  return {
    id,
    name,
    metadata: {
      client_name: name,
      // Only claimed agents can act for users: an unclaimed agent has no responsible owner.
      grant_types: ['client_credentials', ...(claimed ? [CIBA_GRANT, TOKEN_EXCHANGE_GRANT] : [])],
      response_types: [],
      redirect_uris: [],
      // Only claimed agents can use CIBA: an unclaimed agent has no owner who could approve.
      ...(claimed && { backchannel_token_delivery_mode: 'poll', authorization_details_types: ['agent_action'] }),
      token_endpoint_auth_method: 'client_secret_basic',
      agent: { capabilities, ...(expiresAt && { endsAt: epochSeconds(expiresAt) }), ...claimsOf(agent) },
    },
    secretHash: `sha256:${keyHash}`,
    registrationTokenHash: null,
    origin: 'agent',
    firstParty: false,
    pkceRequired: true,
    organizationId,
    createdAt,
    updatedAt,
    lastUsedAt: null,
    documentFreshUntil: null,
    network: null,
    lastAuthorizationAt: null,
  };
}
