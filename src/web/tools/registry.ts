/** Tools, and the permissions of users in them. */
import { z } from 'zod';
import { invalidRequest } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { PermissionInTool } from '../../core/tools/permissions.js';
import type { Tool } from '../../core/tools/tools.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { LevelSchema, Ok } from './schemas.js';

interface Deps extends Pick<Core, 'tools' | 'permissions'> {
  api: Api;
}

const NewTool = z.object({
  slug: boundedString(100).describe('The identifier that the tool sends in requests.'),
  name: boundedString(),
  url: boundedString().optional().describe("The tool's URL, usable as a resource indicator (RFC 8707)."),
});
const ToolSchema = z
  .object({
    slug: z.string(),
    name: z.string(),
    url: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Tool' });
const NewPermission = z.object({ user_id: boundedString(100), tool_slug: boundedString(100), level: LevelSchema });
const PermissionSelector = z
  .object({
    id: boundedString(100).describe('The id of the permission.'),
    user_id: boundedString(100).describe('The id of the user.'),
    tool_slug: boundedString(100).describe('The slug of the tool.'),
  })
  .partial();
const PermissionQuery = PermissionSelector.pick({ user_id: true, tool_slug: true }).extend(PageQuery.shape);
const PermissionSchema = z
  .object({
    id: z.string(),
    user_id: z.uuid(),
    tool_slug: z.string(),
    level: LevelSchema,
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Permission' });

export function addRegistry({ api, tools, permissions }: Deps): void {
  const adminOnly = { accepts: ['session'], admin: true } as const;
  const adminChange = { ...adminOnly, requireRecentAuthentication: true } as const;
  api.get(
    '/api/tools',
    {
      summary: 'List tools',
      accepts: ['session', 'external', 'api-key'],
      query: PageQuery,
      response: [200, z.array(ToolSchema)],
    },
    listTools,
  );
  api.post(
    '/api/tools',
    {
      ...adminChange,
      summary: 'Register a tool',
      body: NewTool,
      response: [201, Ok.extend({ tool: ToolSchema })],
      errors: ['conflict'],
    },
    createTool,
  );
  api.delete(
    '/api/tools/:slug',
    { ...adminChange, summary: 'Remove a tool and its permissions', response: [200, Ok], errors: ['not_found'] },
    removeTool,
  );
  api.get(
    '/api/permissions',
    {
      ...adminOnly,
      summary: 'List permissions',
      query: PermissionQuery,
      response: [200, z.array(PermissionSchema)],
    },
    listPermissions,
  );
  api.post(
    '/api/permissions',
    {
      ...adminChange,
      summary: 'Grant or update a permission',
      body: NewPermission,
      response: [200, Ok.extend({ permission: PermissionSchema })],
      errors: ['not_found'],
    },
    grant,
  );
  api.delete(
    '/api/permissions',
    {
      ...adminChange,
      summary: 'Revoke a permission by user and tool',
      description: 'Send `user_id` and `tool_slug`, or `id`, in the query or the body.',
      query: PermissionSelector,
      body: PermissionSelector,
      response: [200, Ok],
      errors: ['not_found'],
    },
    revoke,
  );
  api.delete(
    '/api/permissions/:id',
    { ...adminChange, summary: 'Revoke a permission', response: [200, Ok], errors: ['not_found'] },
    revokeById,
  );

  async function listTools(ctx: Context, page: PageQuery): Promise<void> {
    sendPage(ctx, await tools.list(page), toTool);
  }

  async function createTool(
    ctx: Context,
    input: z.output<typeof NewTool>,
    { account }: SessionPrincipal,
  ): Promise<void> {
    ctx.body = { ok: true, tool: toTool(await tools.create(input, account.id, ctx.state.meta)) };
  }

  async function removeTool(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    await tools.remove(ctx.params.slug, account.id, ctx.state.meta);
    ctx.body = { ok: true };
  }

  async function listPermissions(
    ctx: Context,
    { user_id: accountId, tool_slug: slug, ...page }: z.output<typeof PermissionQuery>,
  ): Promise<void> {
    sendPage(ctx, await permissions.list({ accountId, slug }, page), toPermission);
  }

  async function grant(ctx: Context, input: z.output<typeof NewPermission>, { account }: SessionPrincipal) {
    const { user_id: accountId, tool_slug: slug, level } = input;
    const permission = await permissions.grant({ accountId, slug, level }, account.id, ctx.state.meta);
    ctx.body = { ok: true, permission: toPermission(permission) };
  }

  async function revoke(
    ctx: Context,
    input: z.output<typeof PermissionSelector>,
    { account }: SessionPrincipal,
  ): Promise<void> {
    await permissions.revoke(toSelector(input), account.id, ctx.state.meta);
    ctx.body = { ok: true };
  }

  async function revokeById(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    await permissions.revoke({ id: ctx.params.id }, account.id, ctx.state.meta);
    ctx.body = { ok: true };
  }
}

function toSelector({ id, user_id: accountId, tool_slug: slug }: z.output<typeof PermissionSelector>) {
  if (id) return { id };
  if (accountId && slug) return { accountId, slug };
  throw invalidRequest('Some values are missing.', {
    ...(!accountId && { user_id: "Enter the user's id." }),
    ...(!slug && { tool_slug: "Enter the tool's slug." }),
  });
}

const toTool = ({ slug, name, url, createdAt }: Tool): z.input<typeof ToolSchema> => ({
  slug,
  name,
  url,
  created_at: createdAt.toISOString(),
});

const toPermission = ({
  id,
  accountId,
  level,
  createdAt,
  tool,
}: PermissionInTool): z.input<typeof PermissionSchema> => ({
  id,
  user_id: accountId,
  tool_slug: tool.slug,
  level: level as z.input<typeof LevelSchema>,
  created_at: createdAt.toISOString(),
});
