/** Links an external identity to the existing account with the same verified e-mail address. */

import type { Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { Sessions } from '../sessions/sessions.js';
import { linkRequired } from './account-resolver.js';
import type { LinkNotifications } from './link-notifications.js';
import type { ExternalLogin } from './provider.js';

interface Deps {
  transact: Transact;
  invalidationBus: InvalidationBus;
  accounts: Accounts;
  identities: Identities;
  apiKeys: Pick<ApiKeys, 'removeAllFor'>;
  agents: Pick<Agents, 'removeAllFor'>;
  mfa: Pick<Mfa, 'isEnrolled'>;
  sessions: Pick<Sessions, 'revokeAll'>;
  linkNotifications: LinkNotifications;
}

export function createEmailLinking(deps: Deps) {
  const { transact, invalidationBus, accounts, identities, apiKeys, agents, mfa, sessions, linkNotifications } = deps;

  return { link };

  /**
   * Links the identity to the account with the same e-mail address, if the account has verified the
   * address and the provider is authoritative for it. Throws `AppError` `link_required` otherwise,
   * and for
   *
   * - administrators, because their accounts would be only as secure as the provider;
   * - accounts with a second factor, because this sign-in did not present it;
   * - accounts linked to another user of the same provider, who had the address before.
   *
   * An attacker could have registered the account before the owner of the address signs in (account
   * pre-hijacking). So this revokes all sessions, deletes API keys and agents that are older than
   * the verification of the address, and notifies the user.
   */
  async function link({ id }: Account, externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    const { issuer, email, emailAuthoritative, provider } = externalLogin;
    if (!emailAuthoritative) throw linkRequired(provider.name);
    return transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const account = await accounts.lock(id, tx);
      const canBeLinked = accounts.isActive(account) && account.emailVerified && account.email === email;
      if (!canBeLinked || account.role === 'admin') throw linkRequired(provider.name);
      if ((await mfa.isEnrolled(id, tx)) || (await identities.hasAny(id, issuer, tx)))
        throw linkRequired(provider.name);
      const cleared = await deleteUnverifiedAccess(account, tx);
      await identities.link(account, externalLogin, email, meta, tx, { cleared });
      await sessions.revokeAll(uow, id, { reason: 'revoked', meta });
      afterCommit(() => invalidationBus.publish('accounts', id));
      afterCommit(() => linkNotifications.notify(account, provider.name, 'email', meta));
      return account;
    });
  }

  /**
   * Deletes API keys and agents that are older than the verification of the e-mail address. Reports
   * whether it deleted any. If the time of verification is unknown, it deletes none.
   */
  async function deleteUnverifiedAccess({ id, emailVerifiedAt }: Account, tx: Queryable): Promise<boolean> {
    if (!emailVerifiedAt) return false;
    const keys = await apiKeys.removeAllFor(id, tx, emailVerifiedAt);
    return keys + (await agents.removeAllFor(id, tx, emailVerifiedAt)) > 0;
  }
}
