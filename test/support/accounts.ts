// Accounts and memberships that the API creates only in several steps.

import { systemMeta } from '../../src/base/request-meta.js';
import type { AccountChange } from '../../src/core/account-management/user-administration.js';
import type { Account, AccountOptions } from '../../src/core/accounts/accounts.js';
import type { OrganizationRole } from '../../src/core/organizations/roles.js';
import { mailTo, tokenIn } from './mailbox.js';
import { PASSWORD, type TestServer } from './server.js';

type Stores = Pick<TestServer, 'base'>;
type Services = Pick<TestServer, 'core'>;

let created = 0;

/** Creates an account with `PASSWORD`. */
export function createAccount(
  { core }: Services,
  { email, name = 'Jane Developer', ...options }: AccountOptions & { email?: string; name?: string } = {},
): Promise<Account> {
  created += 1;
  const input = { email: email ?? `account${created}@example.com`, name, password: PASSWORD };
  return core.accounts.create(input, systemMeta, options);
}

const administrators = new WeakMap<object, Promise<Account>>();

/** Changes an account as an administrator of the instance, who is created if needed. */
export async function changeAccount({ core }: Services, id: string, change: AccountChange): Promise<Account> {
  let administrator = administrators.get(core);
  if (!administrator) {
    administrator = createAccount({ core }, { role: 'admin' });
    administrators.set(core, administrator);
  }
  return core.userAdministration.change(id, change, await administrator, systemMeta);
}

/** Verifies the e-mail address of the account by the link in the e-mail. */
export async function verifyEmail(server: Stores & Services, email: string): Promise<void> {
  const { accounts, emailVerification } = server.core;
  const account = (await accounts.findByEmail(email))!;
  await emailVerification.request(account);
  await emailVerification.verify(tokenIn(await mailTo(server, email, /Confirm/)), { account }, systemMeta);
}

/** Makes the account a member of the organization without an invitation, or changes its role. */
export async function addMember(
  { base }: Stores,
  organizationId: string,
  accountId: string,
  role: OrganizationRole,
): Promise<void> {
  const member = { accountId, organizationId, role };
  const where = { accountId_organizationId: { accountId, organizationId } };
  await base.db.membership.upsert({ where, create: member, update: { role } });
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
