/** The people, as keepers see them: made, changed, suspended, deleted. */
import { z } from 'zod';
import { ACCOUNT_ROLES, ACCOUNT_STATES } from '../../core/accounts/accounts.js';
import type { Core } from '../../core/core.js';
import type { LoginPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoint.js';
import { text } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { Ok, ToolAccountSchema, toAccount } from './schemas.js';

interface Deps extends Pick<Core, 'accounts' | 'adminUsers'> {
  api: Api;
}

const MAX_PAGE = 1000;

const Page = z.object({
  after: text(100).optional().describe('The id of the last one of the page before.'),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
});
const NewUser = z.object({
  email: text(),
  name: text().optional(),
  password: text(),
  role: z.enum(ACCOUNT_ROLES).optional(),
  status: z.enum(ACCOUNT_STATES).optional(),
});
/** What is left out stays. */
const Change = NewUser.partial().extend({ name: text().nullable().optional().describe('null = none.') });
const Made = Ok.extend({ user: ToolAccountSchema });

export function addUsers({ api, accounts, adminUsers }: Deps): void {
  const line = { accepts: ['login'], admin: true } as const;
  const change = { ...line, requireRecentAuth: true } as const;
  api.get(
    '/api/users',
    {
      ...line,
      summary: 'Everybody, by their addresses',
      description: `At most ${MAX_PAGE} of them; those that follow are asked for with \`after\`.`,
      query: Page,
      response: [200, z.array(ToolAccountSchema)],
    },
    list,
  );
  api.post(
    '/api/users',
    { ...change, summary: 'Make an account', body: NewUser, response: [201, Made], errors: ['conflict'] },
    create,
  );
  api.put(
    '/api/users/:id',
    {
      ...change,
      summary: 'Change an account; another password, or a suspension, ends all its logins',
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
      summary: 'Delete an account with its permissions, keys and logins',
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
