/** How somebody leaves every organization at once, because their account goes. */

import { conflict } from '../../base/app-error.js';
import type { Queryable } from '../../base/db/open.js';
import type { Organizations } from './organizations.js';

/**
 * Where nobody else is, the organization goes too, with its projects and keys; where others are,
 * one of them must be an owner. Refuses with `conflict`. Part of the verb that deletes the account,
 * which announces it.
 */
export function createMemberRemoval({ organizations }: { organizations: Pick<Organizations, 'lock'> }) {
  return async function removeFromAll(accountId: string, tx: Queryable): Promise<void> {
    const own = await tx.membership.findMany({ where: { accountId }, orderBy: { organizationId: 'asc' } });
    for (const { organizationId } of own) {
      await organizations.lock(organizationId, tx);
      const others = await tx.membership.findMany({ where: { organizationId, accountId: { not: accountId } } });
      if (others.length === 0) await tx.organization.deleteMany({ where: { id: organizationId } });
      else if (!others.some(({ role }) => role === 'owner')) {
        throw conflict(
          'This account is the last owner of an organization with other members: make one of them an owner.',
        );
      }
    }
  };
}
