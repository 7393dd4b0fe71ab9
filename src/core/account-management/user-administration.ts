/**
 * Administration of accounts by instance admins. At least one active admin always remains, even if
 * two admins are demoted concurrently.
 */

import { invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Mailer } from '../../base/mailer.js';
import type { RequestMeta } from '../../base/request-meta.js';
import {
  type Account,
  type AccountRole,
  type AccountStatus,
  type Accounts,
  addressTaken,
  type NewAccount,
} from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import { mailAddressOf, normalizeEmail, splitName } from '../accounts/fields.js';
import type { OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { AuditAction } from '../audit/events.js';
import { describeSecurityEvent } from '../sessions/devices.js';
import type { RevocationReason } from '../sessions/revocation.js';
import type { Sessions } from '../sessions/sessions.js';
import type { AccountRemoval } from './account-removal.js';
import { accountNotFound, createAdminLock } from './admin-lock.js';

/** Omitted fields are not changed. */
export interface AccountChange {
  email?: string | undefined;
  name?: string | undefined;
  password?: string | undefined;
  role?: AccountRole | undefined;
  status?: AccountStatus | undefined;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Accounts;
  passwords: Passwords;
  oneTimeTokens: OneTimeTokens;
  emailVerification: Pick<EmailVerification, 'begin'>;
  accountRemoval: AccountRemoval;
  sessions: Pick<Sessions, 'revokeAll'>;
  mailer: Mailer;
}

export type UserAdministration = ReturnType<typeof createUserAdministration>;

export function createUserAdministration(deps: Deps) {
  const {
    db,
    transact,
    clock,
    audit,
    invalidationBus,
    accounts,
    passwords,
    oneTimeTokens,
    emailVerification,
    accountRemoval,
    sessions,
    mailer,
  } = deps;

  const { lockAccountAndAdmin, requireRemainingAdmin } = createAdminLock(accounts);

  return { create, change, remove };

  /** Creates an account and mails a verification link to it. Throws like `accounts.create`. */
  async function create(
    { role, status, ...input }: NewAccount & { role?: AccountRole | undefined; status?: AccountStatus | undefined },
    admin: Account,
    meta: RequestMeta,
  ): Promise<Account> {
    const prepared = await accounts.prepare(input, meta);
    return transact(async (uow) => {
      const account = await accounts.insert(uow, prepared, meta, { role, status, by: admin.id });
      if (accounts.isActive(account)) await emailVerification.begin(uow, account);
      return account;
    });
  }

  /**
   * Changes an account. A new password or a suspension revokes all its sessions and grants. Throws
   * `AppError` `not_found`, `invalid_request` by field, `conflict`, or `insufficient_role` if the
   * caller is no longer an admin.
   */
  async function change(id: string, input: AccountChange, admin: Account, meta: RequestMeta): Promise<Account> {
    const before = await requireExisting(id);
    const data = await toUpdateData(input, before, meta);
    const emailChanged = data.email !== undefined && data.email !== before.email;
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      await lockAccountAndAdmin(id, admin.id, tx);
      const updated = await tx.account.update({
        where: { id },
        data: {
          ...data,
          expiresUnverified: false, // an admin knows this account
          ...(emailChanged && { emailVerified: false, emailVerifiedAt: null }),
        },
      });
      await requireRemainingAdmin(tx);
      if (emailChanged) {
        for (const purpose of ['reset', 'email'] as const) await oneTimeTokens.revoke(purpose, id, tx);
        if (accounts.isActive(updated)) await emailVerification.begin(uow, updated);
      }
      await recordChange(uow, input, before, admin.id, meta);
      const reason = revocationReason(input, before);
      if (reason) await sessions.revokeAll(uow, id, { reason, meta, by: admin.id });
      afterCommit(() => invalidationBus.publish('accounts', id));
      if (input.password) {
        const event = describeSecurityEvent(meta, clock.now());
        afterCommit(() => mailer.send(mailAddressOf(before), 'password-changed', event));
      }
    }).catch((error) => {
      throw isUniqueViolation(error) ? addressTaken() : error;
    });
    return requireExisting(id);
  }

  /**
   * Deletes an account with its sessions, grants, keys and permissions. Also deletes organizations
   * that have no other member, and revokes the account's tokens at external providers. Throws
   * `AppError` `not_found`, or `insufficient_role` if the caller is no longer an admin. Throws
   * `conflict` for the last admin of the instance, or for the last owner of an organization that
   * has other members.
   */
  async function remove(id: string, admin: Account, meta: RequestMeta): Promise<void> {
    await requireExisting(id);
    await transact(async (uow) => {
      const { tx } = uow;
      await lockAccountAndAdmin(id, admin.id, tx);
      await accountRemoval.remove(uow, id, { by: admin.id, meta });
      await requireRemainingAdmin(tx);
    });
  }

  async function recordChange(
    uow: UnitOfWork,
    input: AccountChange,
    before: Account,
    adminId: string,
    meta: RequestMeta,
  ): Promise<void> {
    for (const [action, detail] of auditEventsOf(input, before)) {
      await audit.record(uow, action, { by: adminId, accountId: before.id, meta, ...(detail && { detail }) });
    }
  }

  /** Returns the account from the database, not from the cache. */
  async function requireExisting(id: string): Promise<Account> {
    const account = await db.account.findUnique({ where: { id } });
    if (!account) throw accountNotFound();
    return account;
  }

  async function toUpdateData(
    { email, password, role, status, ...input }: AccountChange,
    before: Account,
    meta: RequestMeta,
  ): Promise<Prisma.AccountUpdateInput & { email?: string }> {
    const name = input.name?.trim();
    const normalizedEmail = email === undefined ? before.email : normalizeEmail(email);
    const passwordError = password === undefined ? undefined : await passwords.error(password, normalizedEmail);
    const errors = {
      ...(await accounts.errorsOf({ email: normalizedEmail, ...(name && { name }), passwordHash: null })),
      ...(passwordError && { password: passwordError }),
    };
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values are invalid.', errors);
    const now = clock.now();
    return {
      ...(email !== undefined && { email: normalizedEmail }),
      ...(name !== undefined && { name: name || null, ...splitIntoColumns(name) }),
      ...(role && { role }),
      ...(status && { status }),
      ...(password !== undefined && {
        passwordHash: await passwords.hash(password, meta),
        passwordChangedAt: now,
        notBefore: now,
      }),
    };
  }
}

function splitIntoColumns(name: string): { givenName: string | null; familyName: string | null } {
  const { givenName = null, familyName = null } = splitName(name || undefined);
  return { givenName, familyName };
}

function revocationReason({ password, status }: AccountChange, before: Account): RevocationReason | undefined {
  if (status === 'suspended' && before.status !== 'suspended') return 'suspended';
  return password === undefined ? undefined : 'password_changed';
}

/** Returns the audit events of a change, with their details. */
function auditEventsOf(
  { email, name, password, role, status }: AccountChange,
  before: Account,
): [AuditAction, Record<string, string | string[]>?][] {
  const fields = Object.entries({ email, name }).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  const events: [AuditAction, Record<string, string | string[]>?][] = [];
  if (fields.length > 0) events.push(['account.updated', { fields }]);
  if (password !== undefined) events.push(['password.set']);
  if (role && role !== before.role) events.push(['account.role_changed', { role }]);
  if (status && status !== before.status) {
    events.push([status === 'suspended' ? 'account.suspended' : 'account.reactivated']);
  }
  return events;
}
