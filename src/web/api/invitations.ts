/**
 * Invitations to an organization. Only users who signed in here can invite: no keys, agents or
 * apps.
 */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { InvitationWithInviter } from '../../core/invitations/invitations.js';
import { ORGANIZATION_ROLES, type OrganizationRole } from '../../core/organizations/roles.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { MessageResponse, OrganizationSchema, toOrganization } from './schemas.js';

interface Deps extends Pick<Core, 'invitations'> {
  api: Api;
}

const NewInvitation = z.object({
  email: boundedString(),
  role: z.enum(ORGANIZATION_ROLES).describe('At most the role of the inviting member.'),
});
const Acceptance = z.object({ token: boundedString().describe('The token of the mailed link.') });
const InvitationSchema = z
  .object({
    id: z.string(),
    organization_id: z.string(),
    email: z.email(),
    role: z.enum(ORGANIZATION_ROLES),
    invited_by: z.object({ id: z.uuid(), email: z.email(), name: z.string().nullable() }),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
  })
  .meta({ id: 'Invitation' });

export function addInvitations({ api, invitations }: Deps): void {
  const accepts = ['session'] as const;
  const errors = ['not_found', 'insufficient_role'] as const;

  api.post(
    '/api/v1/organizations/:id/invitations',
    {
      summary: 'Invite a user by e-mail',
      description:
        'The mailed link works once, within one week. It replaces an earlier invitation of the same address.',
      accepts,
      requireRecentAuthentication: true,
      body: NewInvitation,
      response: [201, InvitationSchema],
      errors: [...errors, 'conflict'],
    },
    create,
  );
  api.get(
    '/api/v1/organizations/:id/invitations',
    { summary: 'List invitations', accepts, query: PageQuery, response: [200, z.array(InvitationSchema)], errors },
    list,
  );
  api.delete(
    '/api/v1/organizations/:id/invitations/:invitation_id',
    { summary: 'Revoke an invitation', accepts, response: [200, MessageResponse], errors },
    revoke,
  );
  api.post(
    '/api/v1/invitations/accept',
    {
      summary: 'Accept an invitation',
      description: 'Requires an account whose verified e-mail address was invited.',
      accepts,
      body: Acceptance,
      response: [200, OrganizationSchema],
      errors: [...errors, 'conflict'],
    },
    accept,
  );

  async function create(ctx: Context, input: z.output<typeof NewInvitation>, { authenticated }: SessionPrincipal) {
    ctx.body = serialize(await invitations.create(authenticated, ctx.params.id, input, ctx.state.meta));
  }

  async function list(ctx: Context, page: PageQuery, { account }: SessionPrincipal): Promise<void> {
    sendPage(ctx, await invitations.list(account.id, ctx.params.id, page), serialize);
  }

  async function revoke(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    const { id, invitation_id: invitationId } = ctx.params;
    await invitations.revoke(account.id, id, invitationId, ctx.state.meta);
    ctx.body = { ok: true, message: 'The invitation was revoked.' };
  }

  async function accept(ctx: Context, { token }: z.output<typeof Acceptance>, { authenticated }: SessionPrincipal) {
    ctx.body = toOrganization(await invitations.accept(token, authenticated, ctx.state.meta));
  }
}

const serialize = (invitation: InvitationWithInviter): z.input<typeof InvitationSchema> => ({
  id: invitation.id,
  organization_id: invitation.organizationId,
  email: invitation.email,
  role: invitation.role as OrganizationRole,
  invited_by: {
    id: invitation.invitedBy.id,
    email: invitation.invitedBy.email,
    name: invitation.invitedBy.name,
  },
  created_at: invitation.createdAt.toISOString(),
  expires_at: invitation.expiresAt.toISOString(),
});
