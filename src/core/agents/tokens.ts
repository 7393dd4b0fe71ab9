/**
 * Issues the access token that is returned with a new key. It has the format of the token that the
 * engine issues for an agent's `client_credentials` (RFC 9068), but a longer lifetime: one week.
 */
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { Jwts } from '../keys/jwts.js';
import { VALIDATE_SCOPE } from '../resources/scope.js';
import type { Agent } from './active-agents.js';

interface Deps {
  clock: Clock;
  issuer: string;
  jwts: Jwts;
}

export const AGENT_TOKEN_SECONDS = 7 * DAY_SECONDS;

export type AgentTokens = ReturnType<typeof createAgentTokens>;

export function createAgentTokens({ clock, issuer, jwts }: Deps) {
  const kind = { typ: 'at+jwt', audience: `${issuer}/api/v1` };

  return { sign };

  /**
   * Returns a token for our own API with all capabilities of the agent and the scope to validate
   * tokens. It expires no later than the agent.
   */
  async function sign(agent: Agent): Promise<string> {
    const { id, capabilities, expiresAt: agentExpiresAt } = agent;
    const expiresAt = addSeconds(clock.now(), AGENT_TOKEN_SECONDS);
    const scope = [...capabilities, VALIDATE_SCOPE].join(' ');
    const claims = { jti: randomToken(), sub: id, client_id: id, scope, ...claimsOf(agent) };
    return jwts.sign(kind, claims, agentExpiresAt && agentExpiresAt < expiresAt ? agentExpiresAt : expiresAt);
  }
}

/** The claims of every token of an agent. */
export interface AgentClaims {
  company_id: string;
  /** Whether the agent was claimed when the token was issued. */
  claimed: boolean;
  /** The key when the token was issued. Rotating the key revokes the token. */
  key_id: string;
}

/** Returns the claims that describe an agent in its tokens. */
export const claimsOf = ({ organizationId, claimed, keyId }: Agent): AgentClaims => ({
  company_id: organizationId,
  claimed,
  key_id: keyId,
});
