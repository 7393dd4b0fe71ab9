/** The actor of an action on an agent, and the audit event of the action. */
import type { AuditEvent } from '../audit/audit.js';
import type { Actor } from '../organizations/organizations.js';
import type { RequestMeta } from '../request-meta.js';
import type { Agent } from './active-agents.js';

/** The agent itself, or a member of its organization. */
export type AgentActor = { agent: Agent } | { member: Actor };

/** Returns the audit event of an action on an agent. */
export function agentEvent(
  { id, agentId, organizationId, owner }: Agent,
  actor: AgentActor,
  meta: RequestMeta,
  detail: AuditEvent['detail'] = {},
): AuditEvent {
  return {
    by: 'member' in actor ? actor.member.accountId : { kind: 'agent', id: actor.agent.id },
    accountId: owner?.id,
    clientId: id,
    organizationId,
    meta,
    detail: { agent_id: agentId, ...detail },
  };
}
