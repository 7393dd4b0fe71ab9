/**
 * The token that comes with a new key. It has the form of the one that the protocol engine makes
 * for an agent's `client_credentials` (RFC 9068), and is verified as such, but lives longer; who
 * has just been given a key need not ask again for a week.
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
   * For our own API, with all that the agent may do, and for tools that ask who it is; at most
   * until it ends.
   */
  async function sign(agent: Agent): Promise<string> {
    const { id, capabilities, expiresAt: ends } = agent;
    const expiresAt = addSeconds(clock.now(), AGENT_TOKEN_SECONDS);
    const scope = [...capabilities, VALIDATE_SCOPE].join(' ');
    const claims = { jti: randomToken(), sub: id, client_id: id, scope, ...claimsOf(agent) };
    return jwts.sign(kind, claims, ends && ends < expiresAt ? ends : expiresAt);
  }
}

/** What every token of an agent says of it, whoever made the token. */
export interface AgentClaims {
  company_id: string;
  /** When the token was made; see Agent. */
  claimed: boolean;
  /** The key that it came from: it ends with it. */
  key_id: string;
}

export const claimsOf = ({ organizationId, claimed, keyId }: Agent): AgentClaims => ({
  company_id: organizationId,
  claimed,
  key_id: keyId,
});
