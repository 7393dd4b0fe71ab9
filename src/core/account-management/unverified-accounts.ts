/**
 * Deletes accounts whose users signed up and never verified the e-mail address, so that open
 * sign-up does not fill the database. An account that shows any sign of use by a real user is kept.
 */
import { addSeconds, type Clock } from '../../base/clock.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { Mailer } from '../../base/mailer.js';
import { systemMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import { SYSTEM } from '../audit/audit.js';
import type { AccountRemoval } from './account-removal.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  mailer: Pick<Mailer, 'delivers'>;
  accounts: Pick<Accounts, 'lock'>;
  accountRemoval: AccountRemoval;
  /** The time without a sign-in after which an account is deleted. Zero: never. */
  ttlSeconds: number;
}

const ACCOUNTS_PER_PAGE = 200;
/** Limits the work of one run of the cleanup job. */
const MAX_REMOVALS = 1000;

export type UnverifiedAccounts = ReturnType<typeof createUnverifiedAccounts>;

export function createUnverifiedAccounts(deps: Deps) {
  const { db, transact, clock, mailer, accounts, accountRemoval, ttlSeconds } = deps;

  return { removeExpired };

  /**
   * Deletes expired accounts and returns their number. Deletes none without a mail server, because
   * users cannot verify their addresses then.
   */
  async function removeExpired(): Promise<number> {
    if (ttlSeconds === 0 || !mailer.delivers) return 0;
    let removed = 0;
    let after: string | undefined;
    while (removed < MAX_REMOVALS) {
      const page: { id: string }[] = await db.account.findMany({
        where: { AND: [expiredFilter(), { id: { gt: after ?? '' } }] },
        orderBy: { id: 'asc' },
        take: ACCOUNTS_PER_PAGE,
        select: { id: true },
      });
      for (const { id } of page) if (await removeIfExpired(id)) removed += 1;
      after = page.at(-1)?.id;
      if (page.length < ACCOUNTS_PER_PAGE) break;
    }
    return removed;
  }

  /**
   * Deletes the account unless it is in use. Returns whether it was deleted. Every change that
   * proves use locks the account first: it is seen here, or it fails because the account is gone.
   */
  async function removeIfExpired(id: string): Promise<boolean> {
    return transact(async (uow) => {
      const { tx } = uow;
      await accounts.lock(id, tx);
      const isExpired = (await tx.account.count({ where: { AND: [expiredFilter(), { id }] } })) === 1;
      if (!isExpired || (await sharesOrganization(id, tx))) return false;
      await accountRemoval.remove(uow, id, { by: SYSTEM, meta: systemMeta, detail: { reason: 'unverified' } });
      return true;
    });
  }

  /** Reports whether an organization of the account has other members. */
  async function sharesOrganization(id: string, tx: Queryable): Promise<boolean> {
    const where = { accountId: { not: id }, organization: { memberships: { some: { accountId: id } } } };
    return (await tx.membership.count({ where })) > 0;
  }

  function expiredFilter(): Prisma.AccountWhereInput {
    const now = clock.now();
    const cutoff = addSeconds(now, -ttlSeconds);
    const notExpired = { expiresAt: { gt: now } };
    return {
      expiresUnverified: true,
      emailVerified: false,
      emailVerifiedAt: null,
      role: 'viewer',
      status: 'active',
      createdAt: { lte: cutoff },
      sessions: { none: { OR: [{ lastSeenAt: { gt: cutoff } }, { endedAt: null, ...notExpired }] } },
      apiKeys: { none: { OR: [{ lastUsedAt: { gt: cutoff } }, { createdAt: { gt: cutoff } }] } },
      grants: { none: notExpired },
      oneTimeTokens: { none: { consumedAt: null, ...notExpired } },
      totpFactor: { is: null },
      consents: { none: {} },
      identities: { none: {} },
      permissions: { none: {} },
      memberships: { none: { organization: { agents: { some: {} } } } }, // agents can be in use for years
    };
  }
}
