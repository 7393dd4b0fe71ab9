/** What the *tools* dialect calls things. */
import { z } from 'zod';
import { ACCOUNT_ROLES, ACCOUNT_STATES, type Account } from '../../core/accounts/accounts.js';
import { type Principal, subjectOf } from '../../core/credentials/principal.js';
import { LEVELS } from '../../core/tools/levels.js';

export const ToolVisitorSchema = z
  .object({
    id: z.string().describe('Of the account; of the app, agent or workload itself, where there is none.'),
    name: z.string().nullable(),
    email: z.email().nullable(),
    role: z.enum(ACCOUNT_ROLES).describe('In this instance, and no more than the credential stands for.'),
  })
  .meta({ id: 'ToolsUser' });

export const ToolAccountSchema = z
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
 * Who stands behind a credential; of an agent, the person who answers for it. Only whoever signed
 * in here is an administrator.
 */
export function serializeToolUser(principal: Principal): z.input<typeof ToolVisitorSchema> {
  if (principal.kind === 'agent') {
    const { id, name, owner } = principal.agent;
    return owner ? { ...toPerson(owner), role: 'viewer' } : { id, name, email: null, role: 'viewer' };
  }
  const { account } = principal;
  if (!account) {
    const { id } = subjectOf(principal);
    return { id, name: id, email: null, role: 'viewer' };
  }
  return { ...toPerson(account), ...(principal.kind !== 'login' && { role: 'viewer' }) };
}

export function toPerson({ id, name, email, role }: Account): z.input<typeof ToolVisitorSchema> {
  return { id, name, email, role: role === 'admin' ? 'admin' : 'viewer' };
}

export function toAccount(account: Account): z.input<typeof ToolAccountSchema> {
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
