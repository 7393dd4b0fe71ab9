/**
 * Agents that act for people (token exchange, RFC 8693). An agent may, with a token of the person that names it: as its audience (see
 * core/agents/audiences), or as `may_act`, which every token of a sign-in has in which the app asked for one agent. What it then may is
 * never more than that token, than what the person allowed it, and than its own capabilities; and it ends when any of these ends.
 */

import type { Audiences } from '../agents/audiences.js';
import type { AgentMember } from '../agents/client.js';
import { isAgentId, type LivingAgents } from '../agents/living.js';
import type { Audit } from '../audit/audit.js';
import type { Caller } from '../caller.js';
import { type Acting, actorsIn, type LivingToken, type OAuthTokens } from '../credentials/oauth-tokens.js';

/** What an agent may do for a person. */
export interface Delegation {
  accountId: string;
  grantId: string;
  sessionId: string | undefined;
  scopes: string[];
  /** It ends no later than the token that it came of. */
  expiresAt: Date;
  act: Acting;
}

/** Why there is none, in words for whoever asked. */
export interface NoDelegation {
  fault: string;
}

interface Needs {
  audit: Audit;
  oauthTokens: Pick<OAuthTokens, 'read'>;
  audiences: Pick<Audiences, 'ofAgent'>;
  livingAgents: Pick<LivingAgents, 'find'>;
}

/** Person, app, agents: longer chains nobody can follow any more. */
const MAX_ACTORS = 4;

export type Delegations = ReturnType<typeof createDelegations>;

export function createDelegations({ audit, oauthTokens, audiences, livingAgents }: Needs) {
  return { find, note };

  /** What this agent may with this token of a person. */
  async function find(
    agentId: string,
    { capabilities }: Pick<AgentMember, 'capabilities'>,
    subjectToken: string,
  ): Promise<Delegation | NoDelegation> {
    const living = await oauthTokens.read(subjectToken);
    if (!living) return no('the subject token is not valid, or no longer');
    if (living === 'expired') return no('the subject token has expired');
    const { claims, person } = living;
    if (!person) return no('the subject token stands for no person');
    if (isForOneThing(living)) return no('what a person allowed an agent for one thing is not passed on');
    const audience = audiences.ofAgent(agentId);
    const isMeant = [claims.aud].flat().includes(audience);
    if (!isMeant && claims.may_act?.sub !== agentId) return no('the subject token does not name this agent');
    const actors = actorsIn(claims.act);
    if (actors.length >= MAX_ACTORS) return no(`at most ${MAX_ACTORS} agents act one for another`);
    const allowed = await allowedBy(living, agentId);
    if (!allowed) return no('agents act one for another in one organization, or where the person named both');
    const { sub: accountId, sid: sessionId, exp, act, scope = '' } = claims;
    return {
      accountId,
      grantId: person.grant.id,
      sessionId,
      scopes: scope.split(' ').filter((name) => allowed.includes(name) && capabilities.includes(name)),
      expiresAt: new Date(exp * 1000),
      act: { sub: agentId, ...(act && { act }) },
    };
  }

  /**
   * What the person said yes to when the app asked them for this agent. An agent may also pass on what it may itself, to one that they
   * did not name: to one of its own organization, and to no other.
   */
  async function allowedBy({ claims, person }: LivingToken, agentId: string): Promise<string[] | undefined> {
    const { resources = {} } = (person?.grant.payload ?? {}) as { resources?: Record<string, string> };
    const named = resources[audiences.ofAgent(agentId)]?.split(' ');
    if (named || !claims.act) return named ?? [];
    const [before, agent] = [await livingAgents.find(claims.act.sub), await livingAgents.find(agentId)];
    const areColleagues = before && agent && before.organizationId === agent.organizationId;
    return areColleagues ? (claims.scope?.split(' ') ?? []) : undefined;
  }

  /** Writes down that an agent got a token for a person. */
  async function note(agentId: string, { accountId, sessionId, act }: Delegation, scope: string, caller: Caller) {
    await audit.record({
      action: 'token.exchanged',
      actor: { kind: 'agent', id: agentId },
      accountId,
      clientId: agentId,
      ...(sessionId && { sessionId }),
      caller,
      detail: { scope, actors: actorsIn(act) },
    });
  }
}

/** An agent's own grant is an approval: one thing, for a few minutes (see core/approvals). A token by exchange would be more than that. */
function isForOneThing({ claims, person }: LivingToken): boolean {
  return isAgentId(person?.grant.clientId ?? '') || claims.authorization_details !== undefined;
}

const no = (fault: string): NoDelegation => ({ fault });
