/** Limits how many objects of each kind one account can have. */
import { conflict } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import type { Account, Queryable } from '../../base/db/open.js';

type Count = (accountId: string, tx: Queryable) => Promise<number>;

type LimitedAccount = Pick<Account, 'id' | 'emailVerified'>;

type LimitedKind = 'agents' | 'apiKeys' | 'identities' | 'memberships' | 'organizations' | 'projects';

export type AccountLimits = ReturnType<typeof createAccountLimits>;

export function createAccountLimits({ config, clock, log, mailer }: Base) {
  const limits = config.accountLimits;
  const kinds: Record<LimitedKind, { plural: string; count: Count }> = {
    agents: { plural: 'agents', count: (ownerId, tx) => tx.agent.count({ where: { ownerId } }) },
    apiKeys: { plural: 'active keys', count: countActiveKeys },
    identities: {
      plural: 'linked identities',
      count: (accountId, tx) => tx.federatedIdentity.count({ where: { accountId } }),
    },
    memberships: { plural: 'memberships', count: (accountId, tx) => tx.membership.count({ where: { accountId } }) },
    organizations: {
      plural: 'organizations',
      count: (accountId, tx) => tx.membership.count({ where: { accountId, role: 'owner' } }),
    },
    projects: {
      plural: 'projects',
      count: (accountId, tx) =>
        tx.project.count({ where: { organization: { memberships: { some: { accountId, role: 'owner' } } } } }),
    },
  };

  return { requireRoom };

  /**
   * Throws `AppError` `conflict` if the account cannot have another object of this kind. The caller
   * must lock the account, so that concurrent calls cannot exceed the limit. An account with an
   * unverified e-mail address can have fewer objects, if this server sends mail.
   */
  async function requireRoom(kind: LimitedKind, account: LimitedAccount, tx: Queryable): Promise<void> {
    const { id: accountId, emailVerified } = account;
    const isReduced = mailer.canSend && !emailVerified && limits.unverified < limits[kind];
    const max = isReduced ? limits.unverified : limits[kind];
    const { plural, count } = kinds[kind];
    if ((await count(accountId, tx)) < max) return;
    log.info({ accountId, kind, max }, 'an account has reached a limit');
    throw conflict(
      `An account can have at most ${max} ${plural}.${isReduced ? ' Verify your e-mail address to have more.' : ''}`,
    );
  }

  function countActiveKeys(accountId: string, tx: Queryable): Promise<number> {
    const notExpired = { OR: [{ expiresAt: null }, { expiresAt: { gt: clock.now() } }] };
    return tx.apiKey.count({ where: { accountId, revokedAt: null, ...notExpired } });
  }
}
