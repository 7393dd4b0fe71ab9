/**
 * Organizations, members and projects. API keys can read what they are limited to; users can change
 * it.
 */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import { type ApiKeyPrincipal, actorOf, type SessionPrincipal } from '../../core/credentials/principal.js';
import type { Member } from '../../core/organizations/members.js';
import type { Project } from '../../core/organizations/projects.js';
import { ORGANIZATION_ROLES } from '../../core/organizations/roles.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { MessageResponse, OrganizationSchema, toOrganization } from './schemas.js';

interface Deps extends Pick<Core, 'organizations' | 'members' | 'projects'> {
  api: Api;
}

const NameBody = z.object({ name: boundedString() });
const RoleChange = z.object({ role: z.enum(ORGANIZATION_ROLES) });
const NewProject = NameBody.extend({
  organization_id: boundedString().optional().describe("Default: the user's own organization."),
});
const MemberSchema = z
  .object({
    id: z.uuid(),
    email: z.email(),
    name: z.string().nullable(),
    role: z.enum(ORGANIZATION_ROLES),
    since: z.iso.datetime(),
  })
  .meta({ id: 'Member' });
const MemberRemovalSchema = MessageResponse.extend({
  agents_without_owner: z
    .int()
    .describe('How many agents of the organization the member owned. They stay active, with their keys.'),
}).meta({ id: 'MemberRemoval' });
const ProjectSchema = z
  .object({ id: z.string(), name: z.string(), organization_id: z.string(), created_at: z.iso.datetime() })
  .meta({ id: 'Project' });

export function addOrganizations({ api, organizations, members, projects }: Deps): void {
  const accepts = ['session'] as const;
  const readers = ['session', 'api-key'] as const;
  const errors = ['not_found', 'insufficient_role'] as const;
  const readErrors = [...errors, 'project_scope_violation'] as const;

  api.post(
    '/api/v1/organizations',
    {
      summary: 'Create an organization',
      accepts,
      body: NameBody,
      response: [201, OrganizationSchema],
      errors: ['conflict'],
    },
    create,
  );
  api.get(
    '/api/v1/organizations',
    {
      summary: 'List my organizations',
      accepts: readers,
      query: PageQuery,
      response: [200, z.array(OrganizationSchema)],
      errors: ['project_scope_violation'],
    },
    list,
  );
  api.get(
    '/api/v1/organizations/:id',
    { summary: 'Get an organization', accepts: readers, response: [200, OrganizationSchema], errors: readErrors },
    show,
  );
  api.patch(
    '/api/v1/organizations/:id',
    { summary: 'Rename an organization', accepts, body: NameBody, response: [200, OrganizationSchema], errors },
    rename,
  );
  api.get(
    '/api/v1/organizations/:id/members',
    {
      summary: 'List members',
      accepts: readers,
      query: PageQuery,
      response: [200, z.array(MemberSchema)],
      errors: readErrors,
    },
    listMembers,
  );
  api.patch(
    '/api/v1/organizations/:id/members/:account_id',
    {
      summary: "Update a member's role",
      accepts,
      requireRecentAuthentication: true,
      body: RoleChange,
      response: [200, MessageResponse],
      errors: [...errors, 'conflict'],
    },
    changeRole,
  );
  api.delete(
    '/api/v1/organizations/:id/members/:account_id',
    {
      summary: 'Remove a member or leave the organization',
      accepts,
      requireRecentAuthentication: true,
      response: [200, MemberRemovalSchema],
      errors: [...errors, 'conflict'],
    },
    removeMember,
  );
  api.post(
    '/api/v1/projects',
    {
      summary: 'Create a project',
      accepts,
      body: NewProject,
      response: [201, ProjectSchema],
      errors: [...errors, 'conflict'],
    },
    createProject,
  );
  api.get(
    '/api/v1/projects',
    {
      summary: 'List projects',
      accepts: readers,
      query: PageQuery,
      response: [200, z.array(ProjectSchema)],
      errors: ['project_scope_violation'],
    },
    listProjects,
  );
  api.get(
    '/api/v1/projects/:id',
    { summary: 'Get a project', accepts: readers, response: [200, ProjectSchema], errors: readErrors },
    showProject,
  );
  api.patch(
    '/api/v1/projects/:id',
    { summary: 'Rename a project', accepts, body: NameBody, response: [200, ProjectSchema], errors },
    renameProject,
  );
  api.delete(
    '/api/v1/projects/:id',
    {
      summary: 'Delete a project and its keys',
      accepts,
      requireRecentAuthentication: true,
      response: [200, MessageResponse],
      errors,
    },
    removeProject,
  );

  type ReaderPrincipal = SessionPrincipal | ApiKeyPrincipal;

  async function create(
    ctx: Context,
    { name }: z.output<typeof NameBody>,
    { account }: SessionPrincipal,
  ): Promise<void> {
    ctx.body = toOrganization(await organizations.create(account.id, name, ctx.state.meta));
  }

  async function list(ctx: Context, page: PageQuery, principal: ReaderPrincipal): Promise<void> {
    sendPage(ctx, await organizations.visibleTo(actorOf(principal), page), toOrganization);
  }

  async function show(ctx: Context, _input: unknown, principal: ReaderPrincipal): Promise<void> {
    ctx.body = toOrganization(await organizations.find(actorOf(principal), ctx.params.id));
  }

  async function rename(ctx: Context, { name }: z.output<typeof NameBody>, principal: SessionPrincipal): Promise<void> {
    ctx.body = toOrganization(await organizations.rename(actorOf(principal), ctx.params.id, name, ctx.state.meta));
  }

  async function listMembers(ctx: Context, page: PageQuery, principal: ReaderPrincipal): Promise<void> {
    sendPage(ctx, await members.list(actorOf(principal), ctx.params.id, page), toMember);
  }

  async function changeRole(ctx: Context, { role }: z.output<typeof RoleChange>, principal: SessionPrincipal) {
    const { id, account_id: accountId } = ctx.params;
    await members.changeRole(actorOf(principal), id, accountId, role, ctx.state.meta);
    ctx.body = { ok: true, message: 'The role was changed.' };
  }

  async function removeMember(ctx: Context, _input: unknown, principal: SessionPrincipal): Promise<void> {
    const { id, account_id: accountId } = ctx.params;
    const agentCount = await members.remove(actorOf(principal), id, accountId, ctx.state.meta);
    ctx.body = { ok: true, message: 'The account is no longer a member.', agents_without_owner: agentCount };
  }

  async function createProject(ctx: Context, input: z.output<typeof NewProject>, principal: SessionPrincipal) {
    const actor = actorOf(principal);
    const organizationId = input.organization_id ?? (await organizations.personalOrganizationId(actor.accountId));
    ctx.body = toProject(await projects.create(actor, organizationId, input.name, ctx.state.meta));
  }

  async function listProjects(ctx: Context, page: PageQuery, principal: ReaderPrincipal): Promise<void> {
    sendPage(ctx, await projects.visibleTo(actorOf(principal), page), toProject);
  }

  async function showProject(ctx: Context, _input: unknown, principal: ReaderPrincipal): Promise<void> {
    ctx.body = toProject(await projects.find(actorOf(principal), ctx.params.id));
  }

  async function renameProject(ctx: Context, { name }: z.output<typeof NameBody>, principal: SessionPrincipal) {
    ctx.body = toProject(await projects.rename(actorOf(principal), ctx.params.id, name, ctx.state.meta));
  }

  async function removeProject(ctx: Context, _input: unknown, principal: SessionPrincipal): Promise<void> {
    await projects.remove(actorOf(principal), ctx.params.id, ctx.state.meta);
    ctx.body = { ok: true, message: 'The project and its keys were deleted.' };
  }
}

const toMember = ({ account: { id, email, name }, role, since }: Member): z.input<typeof MemberSchema> => ({
  id,
  email,
  name,
  role,
  since: since.toISOString(),
});

const toProject = ({ id, name, organizationId, createdAt }: Project): z.input<typeof ProjectSchema> => ({
  id,
  name,
  organization_id: organizationId,
  created_at: createdAt.toISOString(),
});
