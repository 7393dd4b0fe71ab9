/**
 * Locks for changes by instance admins, so that an active admin always remains. Their number does
 * not depend on the number of admins.
 */
import { conflict, forbidden, notFound } from '../../base/app-error.js';
import type { Queryable } from '../../base/db/open.js';
import type { Account, Accounts } from '../accounts/accounts.js';

/** Returns the error for an account that does not exist. */
export const accountNotFound = () => notFound('There is no such account.');

export function createAdminLock(accounts: Pick<Accounts, 'isActive' | 'lock'>) {
  return { lockAccountAndAdmin, requireRemainingAdmin };

  /**
   * Locks the account and the acting admin, in the order of the ids to avoid deadlocks. After a
   * change of another account, the acting admin remains. After a change of the own account, a third
   * admin remains, who is locked as well. Throws `AppError` `insufficient_role` if the caller is no
   * longer an admin, `not_found` if the account no longer exists, or `conflict` if the third admin
   * was just changed.
   */
  async function lockAccountAndAdmin(id: string, adminId: string, tx: Queryable): Promise<void> {
    const remaining = id === adminId ? await findOtherAdmin(id, tx) : undefined;
    const ids = new Set([id, adminId, ...(remaining ? [remaining.id] : [])]);
    const locked = new Map<string, Account | null>();
    for (const accountId of [...ids].sort()) locked.set(accountId, await accounts.lock(accountId, tx));
    if (!isActiveAdmin(locked.get(adminId))) {
      throw forbidden('insufficient_role', 'This requires an administrator of this instance.');
    }
    if (!locked.get(id)) throw accountNotFound();
    if (remaining && !isActiveAdmin(locked.get(remaining.id))) {
      throw conflict('Another administrator was changed at the same time. Try again.');
    }
  }

  /** Throws `conflict` if no active admin is left. Call it after the change. */
  async function requireRemainingAdmin(tx: Queryable): Promise<void> {
    if ((await tx.account.count({ where: { role: 'admin', status: 'active' } })) > 0) return;
    throw conflict('This is the last administrator. Make another account an administrator first.');
  }

  function isActiveAdmin(account: Account | null | undefined): boolean {
    return accounts.isActive(account) && account.role === 'admin';
  }

  async function findOtherAdmin(id: string, tx: Queryable): Promise<{ id: string } | undefined> {
    const where = { role: 'admin', status: 'active', id: { not: id } };
    return (await tx.account.findFirst({ where, orderBy: { id: 'asc' }, select: { id: true } })) ?? undefined;
  }
}
