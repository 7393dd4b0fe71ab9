/**
 * What agents ask of the person, for the first-party apps in which they answer. No agent answers
 * for itself, and no app in between.
 */
import { z } from 'zod';
import type { Approval } from '../../core/agent-authorization/approvals.js';
import type { Core } from '../../core/core.js';
import type { LoginPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoint.js';
import type { Context } from '../http/context.js';
import { Done } from './schemas.js';

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
    binding_message: z.string().describe('What the agent shows elsewhere, to tell which question this is.'),
    authorization_details: z.array(z.looseObject({ type: z.string(), actions: z.array(z.string()) })),
    resource: z.string(),
    scope: z.string(),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime().describe('Until then it can be answered.'),
  })
  .meta({ id: 'Approval' });

export function addApprovals({ api, approvals }: Deps): void {
  const accepts = ['login'] as const;
  api.get(
    '/api/v1/approvals',
    { summary: 'What agents ask me now', accepts, response: [200, z.array(ApprovalSchema)] },
    list,
  );
  api.post(
    '/api/v1/approvals/:id',
    {
      summary: 'Allow it once, or refuse it',
      description: 'A yes is good for one token, which lives for five minutes.',
      accepts,
      requireRecentAuth: true,
      body: Decision,
      response: [200, Done],
      errors: ['not_found', 'conflict'],
    },
    decide,
  );

  async function list(ctx: Context, _input: unknown, { account }: LoginPrincipal): Promise<void> {
    ctx.body = (await approvals.list(account)).map(serialize);
  }

  async function decide(ctx: Context, { decision }: z.output<typeof Decision>, { login }: LoginPrincipal) {
    await approvals.decide(login, ctx.params.id, decision, ctx.state.meta);
    ctx.body = { ok: true, message: decision === 'approve' ? 'Allowed.' : 'Refused.' };
  }
}

const serialize = ({
  id,
  agent,
  bindingMessage,
  asked,
  createdAt,
  expiresAt,
}: Approval): z.input<typeof ApprovalSchema> => ({
  id,
  agent: { client_id: agent.id, agent_id: agent.agentId, agent_name: agent.name, company_id: agent.organizationId },
  binding_message: bindingMessage,
  authorization_details: asked.actions.map((action) => ({ ...action })),
  resource: asked.resource,
  scope: asked.scopes.join(' '),
  created_at: createdAt.toISOString(),
  expires_at: expiresAt.toISOString(),
});
