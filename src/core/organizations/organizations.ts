/** Organizations: whom accounts work for. Every account owns one from its first day. */
import { randomUUID } from 'node:crypto';
import type { Account, Queryable } from '../../base/db/open.js';

export type OrganizationRole = 'owner' | 'admin' | 'operator' | 'viewer';

export type Organizations = ReturnType<typeof createOrganizations>;

export function createOrganizations() {
  return { createOwn };

  /** Makes the account's own organization, inside the transaction that makes the account. */
  async function createOwn(account: Account, tx: Queryable): Promise<void> {
    const id = `co_${randomUUID()}`;
    const role: OrganizationRole = 'owner';
    await tx.organization.create({ data: { id, name: account.name ?? account.email, ownerId: account.id } });
    await tx.membership.create({ data: { accountId: account.id, organizationId: id, role } });
  }
}
