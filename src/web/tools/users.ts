/** `/api/users`: user management for administrators. */
import { z } from 'zod';
import { ACCOUNT_ROLES, ACCOUNT_STATES } from '../../core/accounts/accounts.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { AccountSchema, Ok, serializeAccount } from './schemas.js';

interface Deps extends Pick<Core, 'accounts' | 'userAdministration'> {
  api: Api;
}

const NewUser = z.object({
  email: boundedString(),
  name: boundedString().optional(),
  password: boundedString(),
  role: z.enum(ACCOUNT_ROLES).optional(),
  status: z.enum(ACCOUNT_STATES).optional(),
});
/** PUT updates only the fields that are present, for compatibility. */
const UserUpdate = NewUser.partial().extend({
  name: boundedString().nullable().optional().describe('Null removes the name.'),
});
const UserResponse = Ok.extend({ user: AccountSchema });

export function addUsers({ api, accounts, userAdministration }: Deps): void {
  const adminOnly = { accepts: ['session'], admin: true } as const;
  const adminChange = { ...adminOnly, requireRecentAuthentication: true } as const;
  api.get(
    '/api/users',
    {
      ...adminOnly,
      summary: 'List users, sorted by e-mail address',
      query: PageQuery,
      response: [200, z.array(AccountSchema)],
    },
    list,
  );
  api.post(
    '/api/users',
    { ...adminChange, summary: 'Create a user', body: NewUser, response: [201, UserResponse], errors: ['conflict'] },
    create,
  );
  api.put(
    '/api/users/:id',
    {
      ...adminChange,
      summary: 'Update a user',
      description: 'A new password or a suspension revokes all sessions of the user.',
      body: UserUpdate,
      response: [200, UserResponse],
      errors: ['not_found', 'conflict'],
    },
    update,
  );
  api.delete(
    '/api/users/:id',
    {
      ...adminChange,
      summary: "Delete a user and the user's permissions, API keys and sessions",
      response: [200, Ok],
      errors: ['not_found', 'conflict'],
    },
    remove,
  );

  async function list(ctx: Context, page: PageQuery): Promise<void> {
    sendPage(ctx, await accounts.listByEmail(page), serializeAccount);
  }

  async function create(ctx: Context, input: z.output<typeof NewUser>, { account }: SessionPrincipal): Promise<void> {
    ctx.body = { ok: true, user: serializeAccount(await userAdministration.create(input, account, ctx.state.meta)) };
  }

  async function update(ctx: Context, { name, ...input }: z.output<typeof UserUpdate>, { account }: SessionPrincipal) {
    // An empty name removes the name.
    const change = { ...input, ...(name !== undefined && { name: name ?? '' }) };
    ctx.body = {
      ok: true,
      user: serializeAccount(await userAdministration.change(ctx.params.id, change, account, ctx.state.meta)),
    };
  }

  async function remove(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    await userAdministration.remove(ctx.params.id, account, ctx.state.meta);
    ctx.body = { ok: true };
  }
}
