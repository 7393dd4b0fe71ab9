/** Removes an account from all organizations before the account is deleted. */

import { conflict } from '../../base/app-error.js';
import type { Queryable } from '../../base/db/open.js';
import type { Organizations } from './organizations.js';

export type MemberRemoval = ReturnType<typeof createMemberRemoval>;

export function createMemberRemoval({ organizations }: { organizations: Pick<Organizations, 'lock'> }) {
  return { removeFromAll };

  /**
   * Removes the account from all organizations, and deletes those without other members, with their
   * projects and keys. Throws `AppError` `conflict` if another organization would lose its last
   * owner. The caller must delete the account and invalidate caches.
   */
  async function removeFromAll(accountId: string, tx: Queryable): Promise<void> {
    const memberships = await tx.membership.findMany({ where: { accountId }, orderBy: { organizationId: 'asc' } });
    for (const { organizationId } of memberships) {
      await organizations.lock(organizationId, tx);
      const others = { organizationId, accountId: { not: accountId } };
      if ((await tx.membership.count({ where: others })) === 0)
        await tx.organization.deleteMany({ where: { id: organizationId } });
      else if ((await tx.membership.count({ where: { ...others, role: 'owner' } })) === 0) {
        throw conflict(
          'This account is the last owner of an organization with other members. Make another member an owner first.',
        );
      }
    }
  }
}
