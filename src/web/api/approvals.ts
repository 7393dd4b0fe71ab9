/**
 * Approval requests of agents, for first-party apps. Only users can decide: no agents, no other
 * apps.
 */
import { z } from 'zod';
import type { Approval } from '../../core/agent-authorization/approval.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { MessageResponse } from './schemas.js';

interface Deps extends Pick<Core, 'approvals'> {
  api: Api;
}

const Decision = z.object({ decision: z.enum(['approve', 'deny']) });
const ApprovalSchema = z
  .object({
    id: z.uuid(),
    agent: z.object({
      client_id: z.string(),
      agent_id: z.string(),
      agent_name: z.string(),
      company_id: z.string(),
    }),
    binding_message: z.string().describe('The message that the agent also shows, so that the user can compare both.'),
    authorization_details: z.array(z.looseObject({ type: z.string(), actions: z.array(z.string()) })),
    resource: z.string(),
    scope: z.string(),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime().describe('The request expires then.'),
  })
  .meta({ id: 'Approval' });

export function addApprovals({ api, approvals }: Deps): void {
  const accepts = ['session'] as const;
  api.get(
    '/api/v1/approvals',
    { summary: 'List pending approval requests', accepts, query: PageQuery, response: [200, z.array(ApprovalSchema)] },
    list,
  );
  api.post(
    '/api/v1/approvals/:id',
    {
      summary: 'Approve or deny a request',
      description: 'An approval is valid for one token with a lifetime of 5 minutes.',
      accepts,
      requireRecentAuthentication: true,
      body: Decision,
      response: [200, MessageResponse],
      errors: ['not_found', 'conflict'],
    },
    decide,
  );

  async function list(ctx: Context, page: PageQuery, { account }: SessionPrincipal): Promise<void> {
    sendPage(ctx, await approvals.list(account, page), serialize);
  }

  async function decide(ctx: Context, { decision }: z.output<typeof Decision>, { authenticated }: SessionPrincipal) {
    await approvals.decide(authenticated, ctx.params.id, decision, ctx.state.meta);
    ctx.body = { ok: true, message: decision === 'approve' ? 'Approved.' : 'Denied.' };
  }
}

const serialize = ({
  id,
  agent,
  bindingMessage,
  requested,
  createdAt,
  expiresAt,
}: Approval): z.input<typeof ApprovalSchema> => ({
  id,
  agent: { client_id: agent.id, agent_id: agent.agentId, agent_name: agent.name, company_id: agent.organizationId },
  binding_message: bindingMessage,
  authorization_details: requested.actions.map((action) => ({ ...action })),
  resource: requested.resource,
  scope: requested.scopes.join(' '),
  created_at: createdAt.toISOString(),
  expires_at: expiresAt.toISOString(),
});
