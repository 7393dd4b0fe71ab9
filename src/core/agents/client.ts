/**
 * An agent as the OAuth client that it is too. Nothing of that is stored: it follows from the
 * agent, and ends with it.
 */
import { epochSeconds } from '../../base/clock.js';
import type { Client } from '../../base/db/open.js';
import type { Agent } from './active-agents.js';
import { type AgentClaims, claimsOf } from './tokens.js';

export const CIBA_GRANT = 'urn:openid:params:grant-type:ciba';
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/**
 * What the protocol engine has to know of an agent, in its metadata as a client. No other client
 * can say such a thing of itself.
 */
export interface AgentMember extends AgentClaims {
  capabilities: string[];
  /** In seconds since 1970, if nobody claims it. */
  endsAt?: number;
}

/** The same agent, as long as it is remembered, is the same client. */
const known = new WeakMap<Agent, Client>();

export function toClient(agent: Agent): Client {
  const client = known.get(agent) ?? build(agent);
  known.set(agent, client);
  return client;
}

function build(agent: Agent): Client {
  const { id, name, keyHash, organizationId, capabilities, claimed, expiresAt, createdAt, updatedAt } = agent;
  return {
    id,
    name,
    metadata: {
      client_name: name,
      // Nobody would answer for what a stranger's agent does for a person.
      grant_types: ['client_credentials', ...(claimed ? [CIBA_GRANT, TOKEN_EXCHANGE_GRANT] : [])],
      response_types: [],
      redirect_uris: [],
      // What it may ask of people; nobody would answer to an agent that nobody answers for.
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
    lastBegunAt: null,
  };
}
