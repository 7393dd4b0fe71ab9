/**
 * Delegation to agents (token exchange, RFC 8693). The subject token must name the agent: as its
 * audience (see core/agents/audiences) or as `may_act`. The agent's token is limited to the scopes
 * of the subject token and the agent's capabilities. It is also limited to the user's consent for
 * the agent, unless another agent of the same organization delegates to it. It expires with the
 * subject token.
 */

import type { RequestMeta } from '../../base/request-meta.js';
import { type ActiveAgents, isAgentId } from '../agents/active-agents.js';
import type { Audiences } from '../agents/audiences.js';
import type { AgentMember } from '../agents/client.js';
import type { Audit } from '../audit/audit.js';
import { type Acting, type ActiveToken, actorsIn, type OAuthTokens } from '../credentials/oauth-tokens.js';

/** The access of an agent that acts for a user. */
export interface Delegation {
  accountId: string;
  grantId: string;
  sessionId: string | undefined;
  scopes: string[];
  /** When the subject token expires. */
  expiresAt: Date;
  act: Acting;
  /** The scopes that the user granted, separated by spaces, by audience. Includes agents. */
  named: Record<string, string>;
}

/** A denial, with the reason for the client. */
export interface NoDelegation {
  error: string;
}

interface Deps {
  audit: Audit;
  oauthTokens: Pick<OAuthTokens, 'read'>;
  audiences: Pick<Audiences, 'ofAgent' | 'agentIn'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
}

/** The maximum number of agents in a chain of delegation: users cannot review longer chains. */
const MAX_ACTORS = 4;
const TOO_MANY_ACTORS = `a chain of delegation has at most ${MAX_ACTORS} agents`;
const UNRELATED_AGENT = 'an agent can delegate only within its organization, or to an agent that the user consented to';

export type Delegations = ReturnType<typeof createDelegations>;

export function createDelegations({ audit, oauthTokens, audiences, activeAgents }: Deps) {
  return { find, denialReason, auditExchange };

  /** Returns the access that this agent gets for a user's token, or the reason for a denial. */
  async function find(
    agentId: string,
    { capabilities }: Pick<AgentMember, 'capabilities'>,
    subjectToken: string,
  ): Promise<Delegation | NoDelegation> {
    const activeToken = await oauthTokens.read(subjectToken);
    if (!activeToken) return denied('the subject token is invalid or has been revoked');
    if (activeToken === 'expired') return denied('the subject token has expired');
    const { claims, user } = activeToken;
    if (!user) return denied('the subject token has no user');
    if (isFromApproval(activeToken)) return denied('an approval of a single action cannot be delegated');
    const audience = audiences.ofAgent(agentId);
    const isAudience = [claims.aud].flat().includes(audience);
    if (!isAudience && claims.may_act?.sub !== agentId) return denied('the subject token does not name this agent');
    if (actorsIn(claims.act).length >= MAX_ACTORS) return denied(TOO_MANY_ACTORS);
    const { resources: named = {} } = user.grant.payload as { resources?: Record<string, string> };
    const allowedScopes = await findAllowedScopes(activeToken, agentId, named);
    if (!allowedScopes) return denied(UNRELATED_AGENT);
    const { sub: accountId, sid: sessionId, exp, act, scope = '' } = claims;
    return {
      accountId,
      grantId: user.grant.id,
      sessionId,
      scopes: scope.split(' ').filter((name) => allowedScopes.includes(name) && capabilities.includes(name)),
      expiresAt: new Date(exp * 1000),
      act: { sub: agentId, ...(act && { act }) },
      named,
    };
  }

  /**
   * Returns the reason for a denial if the audience is an agent that could not exchange the token
   * further. Otherwise returns undefined.
   */
  async function denialReason(audience: string, { act, named }: Delegation): Promise<string | undefined> {
    const nextAgentId = audiences.agentIn(audience);
    if (!nextAgentId) return undefined;
    if (actorsIn(act).length >= MAX_ACTORS) return TOO_MANY_ACTORS;
    return audience in named || (await shareOrganization(act.sub, nextAgentId)) ? undefined : UNRELATED_AGENT;
  }

  /**
   * Returns the scopes that the user granted this agent. Without such a grant, returns the scopes
   * of the subject token if an agent of the same organization delegates it, or no scopes if no
   * agent does. Otherwise returns undefined.
   */
  async function findAllowedScopes(
    { claims }: ActiveToken,
    agentId: string,
    named: Delegation['named'],
  ): Promise<string[] | undefined> {
    const scopes = named[audiences.ofAgent(agentId)]?.split(' ');
    if (scopes || !claims.act) return scopes ?? [];
    return (await shareOrganization(claims.act.sub, agentId)) ? (claims.scope?.split(' ') ?? []) : undefined;
  }

  async function shareOrganization(agentId: string, otherAgentId: string): Promise<boolean> {
    const [first, second] = [await activeAgents.find(agentId), await activeAgents.find(otherAgentId)];
    return first !== undefined && first.organizationId === second?.organizationId;
  }

  /** Audits that an agent received a token for a user. */
  async function auditExchange(
    agentId: string,
    { accountId, sessionId, act }: Delegation,
    scope: string,
    meta: RequestMeta,
  ) {
    await audit.record(undefined, 'token.exchanged', {
      by: { kind: 'agent', id: agentId },
      accountId,
      clientId: agentId,
      ...(sessionId && { sessionId }),
      meta,
      detail: { scope, actors: actorsIn(act) },
    });
  }
}

/**
 * Reports whether the token comes from an approval, which allows one action for a few minutes.
 * Exchanging the token would allow more than that.
 */
function isFromApproval({ claims, user }: ActiveToken): boolean {
  return isAgentId(user?.grant.clientId ?? '') || claims.authorization_details !== undefined;
}

const denied = (error: string): NoDelegation => ({ error });
