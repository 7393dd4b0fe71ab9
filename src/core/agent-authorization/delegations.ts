/**
 * Delegation to agents (token exchange, RFC 8693). The subject token must name the agent: as its
 * audience (see core/agents/audiences) or as `may_act`. The agent's token is limited to the scopes
 * of the subject token, the user's consent for the agent, and the agent's capabilities. It expires
 * with the subject token.
 */

import { type ActiveAgents, isAgentId } from '../agents/active-agents.js';
import type { Audiences } from '../agents/audiences.js';
import type { AgentMember } from '../agents/client.js';
import type { Audit } from '../audit/audit.js';
import { type Acting, type ActiveToken, actorsIn, type OAuthTokens } from '../credentials/oauth-tokens.js';
import type { RequestMeta } from '../request-meta.js';

/** The access of an agent that acts for a user. */
export interface Delegation {
  accountId: string;
  grantId: string;
  sessionId: string | undefined;
  scopes: string[];
  /** When the subject token expires. */
  expiresAt: Date;
  act: Acting;
  /** The audiences in the user's grant, including agents, with their scopes. */
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

/** The maximum length of a chain: longer ones cannot be reviewed by a user. */
const MAX_ACTORS = 4;
const TOO_MANY = `a chain of delegation has at most ${MAX_ACTORS} agents`;
const UNRELATED_AGENT = 'an agent can delegate only within its organization, or to an agent that the user named';

export type Delegations = ReturnType<typeof createDelegations>;

export function createDelegations({ audit, oauthTokens, audiences, activeAgents }: Deps) {
  return { find, denialReason, auditExchange };

  /** Returns the access of this agent with a user's token, or the reason for a denial. */
  async function find(
    agentId: string,
    { capabilities }: Pick<AgentMember, 'capabilities'>,
    subjectToken: string,
  ): Promise<Delegation | NoDelegation> {
    const active = await oauthTokens.read(subjectToken);
    if (!active) return denied('the subject token is invalid or has been revoked');
    if (active === 'expired') return denied('the subject token has expired');
    const { claims, user } = active;
    if (!user) return denied('the subject token has no user');
    if (isApproval(active)) return denied('an approval of a single action cannot be delegated');
    const audience = audiences.ofAgent(agentId);
    const isAudience = [claims.aud].flat().includes(audience);
    if (!isAudience && claims.may_act?.sub !== agentId) return denied('the subject token does not name this agent');
    if (actorsIn(claims.act).length >= MAX_ACTORS) return denied(TOO_MANY);
    const { resources: named = {} } = user.grant.payload as { resources?: Record<string, string> };
    const allowed = await allowedScopes(active, agentId, named);
    if (!allowed) return denied(UNRELATED_AGENT);
    const { sub: accountId, sid: sessionId, exp, act, scope = '' } = claims;
    return {
      accountId,
      grantId: user.grant.id,
      sessionId,
      scopes: scope.split(' ').filter((name) => allowed.includes(name) && capabilities.includes(name)),
      expiresAt: new Date(exp * 1000),
      act: { sub: agentId, ...(act && { act }) },
      named,
    };
  }

  /**
   * Returns why the acting agent gets no token for this audience, if the audience is another agent
   * that could not exchange the token.
   */
  async function denialReason(audience: string, { act, named }: Delegation): Promise<string | undefined> {
    const next = audiences.agentIn(audience);
    if (!next) return undefined;
    if (actorsIn(act).length >= MAX_ACTORS) return TOO_MANY;
    return audience in named || (await shareOrganization(act.sub, next)) ? undefined : UNRELATED_AGENT;
  }

  /**
   * Returns the scopes that the user granted this agent. An agent can also delegate its own scopes
   * to an agent that the user did not name, within its organization. Undefined: no delegation.
   */
  async function allowedScopes(
    { claims }: ActiveToken,
    agentId: string,
    named: Delegation['named'],
  ): Promise<string[] | undefined> {
    const scopes = named[audiences.ofAgent(agentId)]?.split(' ');
    if (scopes || !claims.act) return scopes ?? [];
    return (await shareOrganization(claims.act.sub, agentId)) ? (claims.scope?.split(' ') ?? []) : undefined;
  }

  async function shareOrganization(one: string, other: string): Promise<boolean> {
    const [first, second] = [await activeAgents.find(one), await activeAgents.find(other)];
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
 * Reports whether the token comes from an approval: one action, for a few minutes. An exchanged
 * token would allow more than that.
 */
function isApproval({ claims, user }: ActiveToken): boolean {
  return isAgentId(user?.grant.clientId ?? '') || claims.authorization_details !== undefined;
}

const denied = (error: string): NoDelegation => ({ error });
