/**
 * Ownership claims: a user becomes the owner of an unclaimed agent with the link from its
 * onboarding. The user also becomes the owner of its organization. The agent no longer expires, and
 * keeps its key.
 */

import { notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import { AGENT_INCLUDE, type Agent, toAgent } from './active-agents.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  accountLimits: AccountLimits;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Pick<Organizations, 'makeOwner'>;
}

export type OwnershipClaims = ReturnType<typeof createOwnershipClaims>;

export function createOwnershipClaims(deps: Deps) {
  const { db, transact, clock, audit, accountLimits, invalidationBus, accounts, organizations } = deps;

  return { find, claim };

  /** Returns the unclaimed agent of a claim token that is not used or expired. */
  async function find(token: string): Promise<Agent | undefined> {
    const where = { claimTokenHash: sha256(token), expiresAt: { gt: clock.now() } };
    const row = await db.agent.findFirst({ where, include: AGENT_INCLUDE });
    return row ? toAgent(row) : undefined;
  }

  /**
   * Makes the account the owner of the agent. Of several concurrent claims, only one succeeds.
   * Throws `not_found` if the token is used or expired, or `conflict` if the account has too many
   * agents.
   */
  async function claim(token: string, user: ActingUser, meta: RequestMeta): Promise<Agent> {
    const claimTokenHash = sha256(token);
    return transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const account = await accounts.lockActing(user, tx);
      for (const kind of ['agents', 'organizations'] as const) await accountLimits.requireRoom(kind, account, tx);
      const unclaimed = await tx.agent.findUnique({ where: { claimTokenHash } });
      const { count } = await tx.agent.updateMany({
        where: { claimTokenHash, expiresAt: { gt: clock.now() } },
        data: { claimTokenHash: null, expiresAt: null, ownerId: account.id },
      });
      if (!unclaimed || count === 0) throw invalidClaim();
      const { id, organizationId, agentId } = unclaimed;
      await organizations.makeOwner(account.id, organizationId, tx);
      await audit.record(uow, 'agent.claimed', {
        by: account.id,
        accountId: account.id,
        clientId: id,
        organizationId,
        meta,
        detail: { agent_id: agentId },
      });
      afterCommit(() => invalidationBus.publish('agents', id));
      afterCommit(() => invalidationBus.publish('organizations', organizationId));
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id }, include: AGENT_INCLUDE }));
    });
  }
}

/** Returns the error for a used or expired claim link. */
export const invalidClaim = () => notFound('This link has been used or has expired.');
