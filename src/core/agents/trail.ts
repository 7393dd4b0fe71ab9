/**
 * What is written down of agents, whoever did it: they themselves, or somebody in their
 * organization.
 */
import type { Queryable } from '../../base/db/open.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import type { Actor } from '../organizations/organizations.js';
import type { RequestMeta } from '../request-meta.js';
import type { Agent } from './active-agents.js';

/** Who does something with an agent: the agent itself, or somebody in its organization. */
export type AgentActor = { agent: Agent } | { member: Actor };

export function createAgentAudit({ audit }: { audit: Audit }) {
  return { record };

  async function record(
    action: 'agent.onboarded' | 'agent.key_rotated' | 'agent.deleted',
    { id, agentId, organizationId, owner }: Agent,
    by: AgentActor,
    meta: RequestMeta,
    tx: Queryable,
    more: AuditEntry['detail'] = {},
  ): Promise<void> {
    const actor: AuditEntry['actor'] =
      'member' in by ? { kind: 'account', id: by.member.accountId } : { kind: 'agent', id: by.agent.id };
    const detail = { agent_id: agentId, ...more };
    await audit.record({ action, actor, clientId: id, organizationId, accountId: owner?.id, meta, detail }, tx);
  }
}
