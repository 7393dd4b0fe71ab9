/** Organizations: whom accounts work for. Every account owns one from its first day. */
import { randomUUID } from 'node:crypto';
import type { Account, Database, Queryable } from '../../base/db/open.js';

export type OrganizationRole = 'owner' | 'admin' | 'operator' | 'viewer';

/** An organization as one of its members sees it. */
export interface OrganizationOfMember {
  id: string;
  name: string;
  role: OrganizationRole;
  /** The one that the account was given at its registration. */
  own: boolean;
}

export type Organizations = ReturnType<typeof createOrganizations>;

export function createOrganizations({ db }: { db: Database }) {
  return { createOwn, listFor };

  /** Makes the account's own organization, inside the transaction that makes the account. */
  async function createOwn(account: Account, tx: Queryable): Promise<void> {
    const id = `co_${randomUUID()}`;
    const role: OrganizationRole = 'owner';
    await tx.organization.create({ data: { id, name: account.name ?? account.email, ownerId: account.id } });
    await tx.membership.create({ data: { accountId: account.id, organizationId: id, role } });
  }

  /** Where an account is a member: its own organization first. */
  async function listFor(accountId: string): Promise<OrganizationOfMember[]> {
    const rows = await db.membership.findMany({
      where: { accountId },
      include: { organization: true },
      orderBy: [{ createdAt: 'asc' }, { organizationId: 'asc' }],
    });
    const all = rows.map(({ role, organization: { id, name, ownerId } }) => {
      return { id, name, role: role as OrganizationRole, own: ownerId === accountId };
    });
    return [...all.filter(({ own }) => own), ...all.filter(({ own }) => !own)];
  }
}
