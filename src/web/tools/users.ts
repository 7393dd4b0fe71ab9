/** User management for administrators. */
import { z } from 'zod';
import { ACCOUNT_ROLES, ACCOUNT_STATES } from '../../core/accounts/accounts.js';
import type { Core } from '../../core/core.js';
import type { LoginPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { Ok, ToolAccountSchema, toAccount } from './schemas.js';

interface Deps extends Pick<Core, 'accounts' | 'adminUsers'> {
  api: Api;
}

const MAX_PAGE = 1000;

const Page = z.object({
  after: boundedString(100).optional().describe('The id of the last user of the previous page.'),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
});
const NewUser = z.object({
  email: boundedString(),
  name: boundedString().optional(),
  password: boundedString(),
  role: z.enum(ACCOUNT_ROLES).optional(),
  status: z.enum(ACCOUNT_STATES).optional(),
});
/** Absent fields stay unchanged. */
const Change = NewUser.partial().extend({
  name: boundedString().nullable().optional().describe('Null removes the name.'),
});
const Made = Ok.extend({ user: ToolAccountSchema });

export function addUsers({ api, accounts, adminUsers }: Deps): void {
  const line = { accepts: ['login'], admin: true } as const;
  const change = { ...line, requireRecentAuthentication: true } as const;
  api.get(
    '/api/users',
    {
      ...line,
      summary: 'List users by e-mail address',
      description: `Returns at most ${MAX_PAGE} users. Use \`after\` for the next page.`,
      query: Page,
      response: [200, z.array(ToolAccountSchema)],
    },
    list,
  );
  api.post(
    '/api/users',
    { ...change, summary: 'Create a user', body: NewUser, response: [201, Made], errors: ['conflict'] },
    create,
  );
  api.put(
    '/api/users/:id',
    {
      ...change,
      summary: 'Update a user; a new password or a suspension revokes all sessions',
      body: Change,
      response: [200, Made],
      errors: ['not_found', 'conflict'],
    },
    update,
  );
  api.delete(
    '/api/users/:id',
    {
      ...change,
      summary: 'Delete a user with its permissions, keys and sessions',
      response: [200, Ok],
      errors: ['not_found', 'conflict'],
    },
    remove,
  );

  async function list(ctx: Context, page: z.output<typeof Page>): Promise<void> {
    ctx.body = (await accounts.page(page)).map(toAccount);
  }

  async function create(ctx: Context, input: z.output<typeof NewUser>, { account }: LoginPrincipal): Promise<void> {
    ctx.body = { ok: true, user: toAccount(await adminUsers.create(input, account, ctx.state.meta)) };
  }

  async function update(ctx: Context, { name, ...input }: z.output<typeof Change>, { account }: LoginPrincipal) {
    const change = { ...input, ...(name !== undefined && { name: name ?? '' }) };
    ctx.body = { ok: true, user: toAccount(await adminUsers.change(ctx.params.id, change, account, ctx.state.meta)) };
  }

  async function remove(ctx: Context, _input: unknown, { account }: LoginPrincipal): Promise<void> {
    await adminUsers.remove(ctx.params.id, account, ctx.state.meta);
    ctx.body = { ok: true };
  }
}
