/** The actor of an action on an agent, and the audit event of the action. */

import type { RequestMeta } from '../../base/request-meta.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { AuditEvent } from '../audit/audit.js';
import type { Actor } from '../organizations/organizations.js';
import type { Agent } from './active-agents.js';

/** The agent itself, or a member of its organization, with the session if there is one. */
export type AgentActor = { agent: Agent } | { member: Actor; user: ActingUser };

/** Returns the audit event of an action on an agent. */
export function agentEvent(
  { id, agentId, organizationId, owner }: Agent,
  actor: { agent: Agent } | { member: Actor },
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
