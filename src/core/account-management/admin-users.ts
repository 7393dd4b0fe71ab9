/**
 * Keepers: the administrators of this instance, and what they do with accounts. One of them always
 * stays: of two who would take away the last two at once, one is refused.
 */

import { conflict, forbidden, invalidRequest, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import {
  type Account,
  type AccountRole,
  type AccountStatus,
  type Accounts,
  addressTaken,
  mailAddressOf,
  type NewAccount,
  normalizeEmail,
  splitName,
} from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { AuditAction } from '../audit/events.js';
import type { TokenRevocation } from '../federation/token-revocation.js';
import type { createMemberRemoval } from '../organizations/member-removal.js';
import type { RequestMeta } from '../request-meta.js';
import { describeSecurityEvent } from '../sessions/devices.js';
import type { RevocationReason } from '../sessions/revocation.js';
import type { Sessions } from '../sessions/sessions.js';

/** What is left out stays. */
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
  removeFromAll: ReturnType<typeof createMemberRemoval>;
  tokenRevocation: Pick<TokenRevocation, 'revokeAllFor'>;
  sessions: Pick<Sessions, 'revokeAll'>;
  mail: Mail;
}

export type AdminUsers = ReturnType<typeof createAdminUsers>;

export function createAdminUsers(deps: Deps) {
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
    removeFromAll,
    tokenRevocation,
    sessions,
    mail,
  } = deps;

  return { create, change, remove };

  /** Refuses as `accounts.create` does. A link that verifies the address is mailed. */
  async function create(
    { role, status, ...input }: NewAccount & { role?: AccountRole | undefined; status?: AccountStatus | undefined },
    admin: Account,
    meta: RequestMeta,
  ): Promise<Account> {
    return accounts.create(input, meta, {
      role,
      status,
      by: admin.id,
      also: status === 'suspended' ? undefined : emailVerification.begin,
    });
  }

  /**
   * Changes an account. Another password, or a suspension, ends all its logins and grants in the
   * same transaction. Refuses with `not_found`, `invalid_request` by field, `conflict`, or
   * `insufficient_role` whoever is no keeper any more.
   */
  async function change(id: string, given: AccountChange, admin: Account, meta: RequestMeta): Promise<Account> {
    const before = await requireExisting(id);
    const data = await dataOf(given, before);
    const moved = data.email !== undefined && data.email !== before.email;
    try {
      await transact(async (uow) => {
        const { tx, afterCommit } = uow;
        await lockAll(id, admin.id, tx);
        const changed = await tx.account.update({
          where: { id },
          data: { ...data, ...(moved && { emailVerified: false, emailVerifiedAt: null }) },
        });
        await requireRemainingAdmin(tx);
        if (moved) {
          for (const purpose of ['reset', 'email'] as const) await oneTimeTokens.revoke(purpose, id, tx);
          if (accounts.isActive(changed)) afterCommit(await emailVerification.begin(changed, tx));
        }
        for (const [action, detail] of happened(given, before)) {
          const actor = { kind: 'account' as const, id: admin.id };
          await audit.record({ action, actor, accountId: id, meta, ...(detail && { detail }) }, tx);
        }
        const reason = revocationReason(given, before);
        if (reason) await sessions.revokeAll(uow, id, { reason, meta });
        afterCommit(() => invalidationBus.publish('accounts', id));
        if (given.password) {
          const event = describeSecurityEvent(meta, clock.now());
          afterCommit(() => mail.send(mailAddressOf(before), 'password-changed', event));
        }
      });
    } catch (error) {
      throw isUniqueViolation(error) ? addressTaken() : error;
    }
    return requireExisting(id);
  }

  /**
   * Deletes an account with all that is its own: permissions, keys, logins, grants, organizations
   * where nobody else is. Providers elsewhere are asked to forget what they gave for it. Refuses
   * with `not_found`, with `conflict` for the last keeper or owner, or with `insufficient_role`
   * whoever is no keeper any more.
   */
  async function remove(id: string, admin: Account, meta: RequestMeta): Promise<void> {
    await requireExisting(id);
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      await lockAll(id, admin.id, tx);
      await sessions.revokeAll(uow, id, { reason: 'account_deleted', meta });
      await removeFromAll(id, tx);
      await tokenRevocation.revokeAllFor(uow, id);
      await tx.account.delete({ where: { id } });
      await requireRemainingAdmin(tx);
      const actor = { kind: 'account' as const, id: admin.id };
      await audit.record({ action: 'account.deleted', actor, accountId: id, meta }, tx);
      afterCommit(() => invalidationBus.publish('accounts', id));
    });
  }

  /**
   * One change at a time: holds the account and all keepers until the transaction is over, always
   * in the same order. Whoever was lowered a moment ago changes nobody any more.
   */
  async function lockAll(id: string, adminId: string, tx: Queryable): Promise<void> {
    const adminUsers = await tx.account.findMany({ where: { role: 'admin' }, select: { id: true } });
    const ids = new Set([id, adminId, ...adminUsers.map((admin) => admin.id)]);
    const held = new Map<string, Account | null>();
    for (const one of [...ids].sort()) held.set(one, await accounts.lock(one, tx));
    const admin = held.get(adminId);
    if (!accounts.isActive(admin) || admin.role !== 'admin') {
      throw forbidden('insufficient_role', 'This is for administrators of this instance.');
    }
    if (!held.get(id)) throw accountNotFound();
  }

  async function requireRemainingAdmin(tx: Queryable): Promise<void> {
    if ((await tx.account.count({ where: { role: 'admin', status: 'active' } })) > 0) return;
    throw conflict('The last administrator stays: make somebody else one first.');
  }

  /** The account as it stands in the store. */
  async function requireExisting(id: string): Promise<Account> {
    const account = await db.account.findUnique({ where: { id } });
    if (!account) throw accountNotFound();
    return account;
  }

  async function dataOf(
    { email, password, role, status, ...given }: AccountChange,
    before: Account,
  ): Promise<Prisma.AccountUpdateInput & { email?: string }> {
    const name = given.name?.trim();
    const address = email === undefined ? before.email : normalizeEmail(email);
    const problem = password === undefined ? undefined : await passwords.error(password, address);
    const errors = {
      ...(await accounts.errorsOf({ email: address, ...(name && { name }), passwordHash: null })),
      ...(problem && { password: problem }),
    };
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values cannot be used.', errors);
    const now = clock.now();
    return {
      ...(email !== undefined && { email: address }),
      ...(name !== undefined && { name: name || null, ...namesOf(name) }),
      ...(role && { role }),
      ...(status && { status }),
      ...(password !== undefined && {
        passwordHash: await passwords.hash(password),
        passwordChangedAt: now,
        notBefore: now,
      }),
    };
  }
}

function namesOf(name: string): { givenName: string | null; familyName: string | null } {
  const { givenName = null, familyName = null } = splitName(name || undefined);
  return { givenName, familyName };
}

function revocationReason({ password, status }: AccountChange, before: Account): RevocationReason | undefined {
  if (status === 'suspended' && before.status !== 'suspended') return 'suspended';
  return password === undefined ? undefined : 'password_changed';
}

/** What the trail says, each by its own name. */
function happened(
  { email, name, password, role, status }: AccountChange,
  before: Account,
): [AuditAction, Record<string, string | string[]>?][] {
  const fields = Object.entries({ email, name }).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  const all: [AuditAction, Record<string, string | string[]>?][] = [];
  if (fields.length > 0) all.push(['account.updated', { fields }]);
  if (password !== undefined) all.push(['password.set']);
  if (role && role !== before.role) all.push(['account.role_changed', { role }]);
  if (status && status !== before.status) {
    all.push([status === 'suspended' ? 'account.suspended' : 'account.reactivated']);
  }
  return all;
}

const accountNotFound = () => notFound('There is no such account.');
