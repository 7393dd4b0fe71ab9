/** Schemas of the tools API. */
import { z } from 'zod';
import { ACCOUNT_ROLES, ACCOUNT_STATES, type Account } from '../../core/accounts/accounts.js';
import { type Principal, subjectOf } from '../../core/credentials/principal.js';
import { LEVELS } from '../../core/tools/levels.js';

export const UserSchema = z
  .object({
    id: z.string().describe('The id of the account, or of the client, agent or workload if it has no account.'),
    name: z.string().nullable(),
    email: z.email().nullable(),
    role: z.enum(ACCOUNT_ROLES).describe('The role on this server, limited by the credential.'),
  })
  .meta({ id: 'ToolsUser' });

export const AccountSchema = z
  .object({
    id: z.uuid(),
    name: z.string().nullable(),
    email: z.email(),
    role: z.enum(ACCOUNT_ROLES),
    status: z.enum(ACCOUNT_STATES),
    email_verified: z.boolean(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'ToolsAccount' });

export const LevelSchema = z.enum(LEVELS);

export const Ok = z.object({ ok: z.literal(true) }).meta({ id: 'Ok' });

/**
 * Returns the user of a credential; for an agent, its owner. Only users who signed in here can be
 * administrators.
 */
export function serializePrincipal(principal: Principal): z.input<typeof UserSchema> {
  if (principal.kind === 'agent') {
    const { id, name, owner } = principal.agent;
    return owner ? { ...serializeUser(owner), role: 'viewer' } : { id, name, email: null, role: 'viewer' };
  }
  const { account } = principal;
  if (!account) {
    const { id } = subjectOf(principal);
    return { id, name: id, email: null, role: 'viewer' };
  }
  return { ...serializeUser(account), ...(principal.kind !== 'session' && { role: 'viewer' }) };
}

/** Returns the representation of a user in the tools API. */
export function serializeUser({ id, name, email, role }: Account): z.input<typeof UserSchema> {
  return { id, name, email, role: role === 'admin' ? 'admin' : 'viewer' };
}

/** Returns the representation of an account in the tools API. */
export function serializeAccount(account: Account): z.input<typeof AccountSchema> {
  const { id, name, email, role, status, emailVerified, createdAt } = account;
  return {
    id,
    name,
    email,
    role: role === 'admin' ? 'admin' : 'viewer',
    status: status === 'suspended' ? 'suspended' : 'active',
    email_verified: emailVerified,
    created_at: createdAt.toISOString(),
  };
}
