/**
 * Schemas of the JSON API. Some values have two names, because existing clients read different
 * ones.
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
    role: z.enum(['admin', 'viewer']).describe('The role on this server.'),
    org_role: z.enum(ORGANIZATION_ROLES).nullable().describe('The role in that organization.'),
    email_verified: z.boolean(),
    plan: z.string(),
    picture: z.string().nullable(),
  })
  .meta({ id: 'User' });

export const AccessTokenResponse = z
  .object({
    token: z.string().describe('Alias of `access_token`.'),
    access_token: z.string(),
    token_type: z.literal('bearer'),
    expires_in: z.int().describe('The lifetime in seconds.'),
  })
  .meta({ id: 'AccessTokenAnswer' });

export const TokenResponse = AccessTokenResponse.extend({
  refreshToken: z.string().describe('Alias of `refresh_token`.'),
  refresh_token: z.string().describe('Valid for one use.'),
  id: z.uuid(),
  email: z.email(),
  user: UserSchema,
}).meta({ id: 'TokenAnswer' });

export const OrganizationSchema = z
  .object({ id: z.string(), name: z.string(), role: z.enum(ORGANIZATION_ROLES), created_at: z.iso.datetime() })
  .meta({ id: 'Organization' });

export const MessageResponse = z.object({ ok: z.literal(true), message: z.string() }).meta({ id: 'Done' });

export type UserSerializer = ReturnType<typeof createUserSerializer>;

export function createUserSerializer({ organizations }: { organizations: Pick<Organizations, 'listFor'> }) {
  return { user, tokenResponse };

  async function user(account: Account): Promise<z.input<typeof UserSchema>> {
    return toUser(account, await organizations.listFor(account.id));
  }

  async function tokenResponse({ account, tokens }: SessionWithTokens): Promise<z.input<typeof TokenResponse>> {
    return {
      ...accessTokenResponse(tokens.accessToken, tokens.accessSeconds),
      refreshToken: tokens.refreshToken,
      refresh_token: tokens.refreshToken,
      id: account.id,
      email: account.email,
      user: await user(account),
    };
  }
}

/** Returns the response to a sign-in or refresh. */
export function accessTokenResponse(accessToken: string, seconds: number): z.input<typeof AccessTokenResponse> {
  return { token: accessToken, access_token: accessToken, token_type: 'bearer', expires_in: seconds };
}

/** Returns the representation of an account. */
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

/** Returns the representation of an organization. */
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
