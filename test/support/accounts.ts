// Accounts and memberships that the API creates only in several steps.
import type { OrganizationRole } from '../../src/core/organizations/roles.js';
import type { TestServer } from './server.js';

type Stores = Pick<TestServer, 'base'>;

/** Makes the account a member of the organization, without an invitation. */
export async function addMember(
  { base }: Stores,
  organizationId: string,
  accountId: string,
  role: OrganizationRole,
): Promise<void> {
  await base.db.membership.create({ data: { accountId, organizationId, role } });
  await base.invalidationBus.publish('organizations', organizationId);
}

/**
 * Suspends the account but leaves its sessions, keys and tokens, so that a test shows which of them
 * check the account themselves.
 */
export async function suspendAccount({ base }: Stores, id: string): Promise<void> {
  await base.db.account.update({ where: { id }, data: { status: 'suspended' } });
  await base.invalidationBus.publish('accounts', id);
}
