/** One approval: its types, and conversions of its stored row. */
import type { Account, Approval as ApprovalRow } from '../../base/db/open.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Agent } from '../agents/active-agents.js';
import type { AuditActor, AuditEvent } from '../audit/audit.js';

/** One action of an agent, as authorization details (RFC 9396). The user sees every member. */
export interface AgentAction {
  type: 'agent_action';
  /** Descriptions of the action, for the user. */
  actions: string[];
  /** The object that the action concerns. */
  identifier?: string | undefined;
  datatypes?: string[] | undefined;
  /** The APIs that the action uses. */
  locations?: string[] | undefined;
  /** Named values of the action, such as an amount. */
  parameters?: Record<string, string | number | boolean> | undefined;
}

/** The access that an approval grants: exactly this, for one API. */
export interface ApprovalRequest {
  /** The identifier of the API. */
  resource: string;
  scopes: string[];
  actions: AgentAction[];
}

/** An open request, as shown to the user. */
export interface Approval {
  id: string;
  agent: Pick<Agent, 'id' | 'agentId' | 'name' | 'organizationId'>;
  bindingMessage: string;
  requested: ApprovalRequest;
  createdAt: Date;
  expiresAt: Date;
}

/**
 * Reports whether the account still belongs to the user whom the agent asked. Returns false after a
 * password change, because another person may own the account by now.
 */
export function isStillOwner({ createdAt }: Pick<ApprovalRow, 'createdAt'>, account: Account | null): boolean {
  const { status, passwordChangedAt } = account ?? {};
  return status === 'active' && !(passwordChangedAt && passwordChangedAt > createdAt);
}

/** Returns the requested access of a stored request. */
export const requestOf = ({ request }: Pick<ApprovalRow, 'request'>) => request as unknown as ApprovalRequest;

/** Returns the audit event of a request. */
export function approvalEvent(
  row: ApprovalRow,
  by: string | AuditActor,
  organizationId: string,
  meta: RequestMeta,
): AuditEvent {
  const { id, agentId: clientId, accountId } = row;
  const { resource, scopes, actions } = requestOf(row);
  const detail = { approval: id, resource, scopes, actions: actions.flatMap((action) => action.actions) };
  return { by, accountId, clientId, organizationId, meta, detail };
}

/** Returns a stored request as it is shown to the user. */
export const toApproval = (row: ApprovalRow & { agent: Approval['agent'] }): Approval => ({
  id: row.id,
  agent: row.agent,
  bindingMessage: row.bindingMessage,
  requested: requestOf(row),
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
});
