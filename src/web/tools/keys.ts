/**
 * `/api/keys`: the API keys of `/api/v1/api-keys` for tools. Keys created here have the prefix `cb`
 * and never expire, and administrators can manage those of other users.
 */
import { z } from 'zod';
import { notFound } from '../../base/app-error.js';
import { type ApiKey, KEY_ROLES } from '../../core/api-keys/api-keys.js';
import { formatWith } from '../../core/api-keys/formats.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { Ok } from './schemas.js';

interface Deps extends Pick<Core, 'accounts' | 'apiKeys'> {
  api: Api;
}

const UserQuery = z.object({ user_id: boundedString(100).optional().describe('Another user, for administrators.') });
const NewKey = UserQuery.extend({ name: boundedString() });
const NewKeyResponse = Ok.extend({
  key: z.string().describe('The key. Shown once.'),
  prefix: z.string().describe('The first characters of the key.'),
  warning: z.string(),
});
const ApiKeySchema = z
  .object({
    id: z.string(),
    user_id: z.uuid(),
    name: z.string(),
    prefix: z.string(),
    role: z.enum(KEY_ROLES),
    last_used_at: z.iso.datetime().nullable(),
    expires_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'ToolsKey' });

export function addApiKeys({ api, accounts, apiKeys }: Deps): void {
  const accepts = ['session'] as const;
  const errors = ['insufficient_role', 'not_found'] as const;
  api.get(
    '/api/keys',
    {
      summary: 'List my active keys',
      accepts,
      query: UserQuery.extend(PageQuery.shape),
      response: [200, z.array(ApiKeySchema)],
      errors,
    },
    list,
  );
  api.post(
    '/api/keys',
    {
      summary: 'Create a key that never expires',
      accepts,
      requireRecentAuthentication: true,
      body: NewKey,
      response: [201, NewKeyResponse],
      errors: [...errors, 'conflict'],
    },
    create,
  );
  api.delete(
    '/api/keys/:id',
    {
      summary: 'Revoke a key',
      accepts,
      response: [200, Ok],
      errors: [...errors, 'reauth_required'],
    },
    revoke,
  );

  async function list(
    ctx: Context,
    { user_id: userId, ...page }: z.output<typeof UserQuery> & PageQuery,
    principal: SessionPrincipal,
  ): Promise<void> {
    const { id } = await requireOwner(principal, userId);
    sendPage(ctx, await apiKeys.list(id, page, 'active'), serialize);
  }

  async function create(ctx: Context, input: z.output<typeof NewKey>, principal: SessionPrincipal): Promise<void> {
    const account = await requireOwner(principal, input.user_id);
    const values = { name: input.name, format: 'cb', lifeSeconds: null } as const;
    const { key, record } = await apiKeys.create({ account }, values, ctx.state.meta, principal.authenticated);
    ctx.body = { ok: true, key, prefix: displayedPrefix(record), warning: 'Save this key now: it is not shown again.' };
  }

  async function revoke(ctx: Context, _input: unknown, principal: SessionPrincipal): Promise<void> {
    const { id: by, role } = principal.account;
    const owner = (await apiKeys.ownerOf(ctx.params.id)) ?? by;
    // Keys of other users are hidden from everyone but administrators.
    if (owner !== by && role === 'admin') api.requireRecentAuthentication(principal);
    await apiKeys.revoke(role === 'admin' ? owner : by, ctx.params.id, ctx.state.meta, by);
    ctx.body = { ok: true };
  }

  /** Returns the current user, or the one that an administrator names. */
  async function requireOwner(principal: SessionPrincipal, userId: string | undefined) {
    if (userId === undefined || userId === principal.account.id) return principal.account;
    api.requireAdmin(principal);
    const account = await accounts.find(userId);
    if (!account) throw notFound('Account not found.');
    return account;
  }
}

const displayedPrefix = ({ format, prefix }: ApiKey) => formatWith(format).displayPrefix(prefix);

const serialize = (key: ApiKey): z.input<typeof ApiKeySchema> => ({
  id: key.id,
  user_id: key.accountId,
  name: key.name,
  prefix: displayedPrefix(key),
  role: key.role as z.input<typeof ApiKeySchema>['role'],
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
  expires_at: key.expiresAt?.toISOString() ?? null,
  created_at: key.createdAt.toISOString(),
});
