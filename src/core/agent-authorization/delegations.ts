/**
 * Agents that act for people (token exchange, RFC 8693). An agent may, with a token of the person
 * that names it: as its audience (see core/agents/audiences), or as `may_act`, which every token of
 * a sign-in has in which the app asked for one agent. What it then may is never more than that
 * token, than what the person allowed it, and than its own capabilities; and it ends when any of
 * these ends.
 */

import { type ActiveAgents, isAgentId } from '../agents/active-agents.js';
import type { Audiences } from '../agents/audiences.js';
import type { AgentMember } from '../agents/client.js';
import type { Audit } from '../audit/audit.js';
import { type Acting, type ActiveToken, actorsIn, type OAuthTokens } from '../credentials/oauth-tokens.js';
import type { RequestMeta } from '../request-meta.js';

/** What an agent may do for a person. */
export interface Delegation {
  accountId: string;
  grantId: string;
  sessionId: string | undefined;
  scopes: string[];
  /** It ends no later than the token that it came of. */
  expiresAt: Date;
  act: Acting;
  /** The audiences that the person said yes to, agents among them, each with its scopes. */
  named: Record<string, string>;
}

/** Why there is none, in words for whoever asked. */
export interface NoDelegation {
  error: string;
}

interface Deps {
  audit: Audit;
  oauthTokens: Pick<OAuthTokens, 'read'>;
  audiences: Pick<Audiences, 'ofAgent' | 'agentIn'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
}

/** Person, app, agents: longer chains nobody can follow any more. */
const MAX_ACTORS = 4;
const TOO_MANY = `at most ${MAX_ACTORS} agents act one for another`;
const UNRELATED_AGENT = 'agents act one for another in one organization, or where the person named both';

export type Delegations = ReturnType<typeof createDelegations>;

export function createDelegations({ audit, oauthTokens, audiences, activeAgents }: Deps) {
  return { find, denialReason, auditExchange };

  /** What this agent may with this token of a person. */
  async function find(
    agentId: string,
    { capabilities }: Pick<AgentMember, 'capabilities'>,
    subjectToken: string,
  ): Promise<Delegation | NoDelegation> {
    const living = await oauthTokens.read(subjectToken);
    if (!living) return denied('the subject token is not valid, or no longer');
    if (living === 'expired') return denied('the subject token has expired');
    const { claims, person } = living;
    if (!person) return denied('the subject token stands for no person');
    if (isForOneThing(living)) return denied('what a person allowed an agent for one thing is not passed on');
    const audience = audiences.ofAgent(agentId);
    const isMeant = [claims.aud].flat().includes(audience);
    if (!isMeant && claims.may_act?.sub !== agentId) return denied('the subject token does not name this agent');
    if (actorsIn(claims.act).length >= MAX_ACTORS) return denied(TOO_MANY);
    const { resources: named = {} } = person.grant.payload as { resources?: Record<string, string> };
    const allowed = await allowedBy(living, agentId, named);
    if (!allowed) return denied(UNRELATED_AGENT);
    const { sub: accountId, sid: sessionId, exp, act, scope = '' } = claims;
    return {
      accountId,
      grantId: person.grant.id,
      sessionId,
      scopes: scope.split(' ').filter((name) => allowed.includes(name) && capabilities.includes(name)),
      expiresAt: new Date(exp * 1000),
      act: { sub: agentId, ...(act && { act }) },
      named,
    };
  }

  /**
   * Why the agent that acts now gets no token for this audience: it would be another agent's, who
   * could do nothing with it.
   */
  async function denialReason(audience: string, { act, named }: Delegation): Promise<string | undefined> {
    const next = audiences.agentIn(audience);
    if (!next) return undefined;
    if (actorsIn(act).length >= MAX_ACTORS) return TOO_MANY;
    return audience in named || (await shareOrganization(act.sub, next)) ? undefined : UNRELATED_AGENT;
  }

  /**
   * What the person said yes to when the app asked them for this agent. An agent may also pass on
   * what it may itself, to one that they did not name: to one of its own organization, and to no
   * other.
   */
  async function allowedBy(
    { claims }: ActiveToken,
    agentId: string,
    named: Delegation['named'],
  ): Promise<string[] | undefined> {
    const scopes = named[audiences.ofAgent(agentId)]?.split(' ');
    if (scopes || !claims.act) return scopes ?? [];
    return (await shareOrganization(claims.act.sub, agentId)) ? (claims.scope?.split(' ') ?? []) : undefined;
  }

  async function shareOrganization(one: string, other: string): Promise<boolean> {
    const [before, agent] = [await activeAgents.find(one), await activeAgents.find(other)];
    return before !== undefined && before.organizationId === agent?.organizationId;
  }

  /** Writes down that an agent got a token for a person. */
  async function auditExchange(
    agentId: string,
    { accountId, sessionId, act }: Delegation,
    scope: string,
    meta: RequestMeta,
  ) {
    await audit.record({
      action: 'token.exchanged',
      actor: { kind: 'agent', id: agentId },
      accountId,
      clientId: agentId,
      ...(sessionId && { sessionId }),
      meta,
      detail: { scope, actors: actorsIn(act) },
    });
  }
}

/**
 * An agent's own grant is an approval: one thing, for a few minutes (see core/approvals). A token
 * by exchange would be more than that.
 */
function isForOneThing({ claims, person }: ActiveToken): boolean {
  return isAgentId(person?.grant.clientId ?? '') || claims.authorization_details !== undefined;
}

const denied = (error: string): NoDelegation => ({ error });
