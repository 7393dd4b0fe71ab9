/**
 * What the JSON API calls things: one answer serves the dialects of all its clients, so some values
 * have two names.
 */
import { z } from 'zod';
import type { Account } from '../../core/accounts/accounts.js';
import type { OrganizationOfMember, Organizations } from '../../core/organizations/organizations.js';
import { ORGANIZATION_ROLES } from '../../core/organizations/roles.js';
import type { SessionWithTokens } from '../../core/sessions/tokens.js';

export const UserSchema = z
  .object({
    id: z.uuid(),
    email: z.email(),
    name: z.string().nullable(),
    full_name: z.string().nullable(),
    companyId: z.string().nullable().describe("The account's own organization."),
    role: z.enum(['admin', 'viewer']).describe('In this instance.'),
    org_role: z.enum(ORGANIZATION_ROLES).nullable().describe('In that organization.'),
    email_verified: z.boolean(),
    plan: z.string(),
    picture: z.string().nullable(),
  })
  .meta({ id: 'User' });

export const AccessAnswer = z
  .object({
    token: z.string().describe('The same as `access_token`.'),
    access_token: z.string(),
    token_type: z.literal('bearer'),
    expires_in: z.int().describe('Seconds.'),
  })
  .meta({ id: 'AccessTokenAnswer' });

export const TokenAnswer = AccessAnswer.extend({
  refreshToken: z.string().describe('The same as `refresh_token`.'),
  refresh_token: z.string().describe('Good for one refresh.'),
  id: z.uuid(),
  email: z.email(),
  user: UserSchema,
}).meta({ id: 'TokenAnswer' });

export const OrganizationSchema = z
  .object({ id: z.string(), name: z.string(), role: z.enum(ORGANIZATION_ROLES), created_at: z.iso.datetime() })
  .meta({ id: 'Organization' });

export const Done = z.object({ ok: z.literal(true), message: z.string() }).meta({ id: 'Done' });

export type UserSerializer = ReturnType<typeof createUserSerializer>;

export function createUserSerializer({ organizations }: { organizations: Pick<Organizations, 'listFor'> }) {
  return { user, tokenAnswer };

  async function user(account: Account): Promise<z.input<typeof UserSchema>> {
    return toUser(account, await organizations.listFor(account.id));
  }

  async function tokenAnswer({ account, tokens }: SessionWithTokens): Promise<z.input<typeof TokenAnswer>> {
    return {
      ...accessAnswer(tokens.accessToken, tokens.accessSeconds),
      refreshToken: tokens.refreshToken,
      refresh_token: tokens.refreshToken,
      id: account.id,
      email: account.email,
      user: await user(account),
    };
  }
}

export function accessAnswer(accessToken: string, seconds: number): z.input<typeof AccessAnswer> {
  return { token: accessToken, access_token: accessToken, token_type: 'bearer', expires_in: seconds };
}

export function toUser(account: Account, organizations: OrganizationOfMember[]): z.input<typeof UserSchema> {
  const own = organizations.find((organization) => organization.own);
  return {
    id: account.id,
    email: account.email,
    name: account.name,
    full_name: account.name,
    companyId: own?.id ?? null,
    role: account.role === 'admin' ? 'admin' : 'viewer',
    org_role: own?.role ?? null,
    email_verified: account.emailVerified,
    plan: account.plan,
    picture: account.picture,
  };
}

export const toOrganization = ({
  id,
  name,
  role,
  createdAt,
}: OrganizationOfMember): z.input<typeof OrganizationSchema> => ({
  id,
  name,
  role,
  created_at: createdAt.toISOString(),
});
