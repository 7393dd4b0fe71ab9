/**
 * Claims: how a person takes on an agent that nobody answers for, with the link that its onboarding
 * answered. They become the owner of the organization that was made for it, and it lives on; its
 * key and what it calls itself stay.
 */

import { notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Account, Database } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import type { RequestMeta } from '../request-meta.js';
import { AGENT_INCLUDE, type Agent, toAgent } from './active-agents.js';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lock' | 'isActive'>;
  organizations: Pick<Organizations, 'makeOwner'>;
}

export type OwnershipClaims = ReturnType<typeof createOwnershipClaims>;

export function createOwnershipClaims({ db, clock, audit, invalidationBus, accounts, organizations }: Deps) {
  return { find, claim };

  /** The agent that can be claimed with this token. */
  async function find(token: string): Promise<Agent | undefined> {
    const where = { claimTokenHash: sha256(token), expiresAt: { gt: clock.now() } };
    const row = await db.agent.findFirst({ where, include: AGENT_INCLUDE });
    return row ? toAgent(row) : undefined;
  }

  /**
   * Of many who claim it at once one does. Refuses the others, and whoever comes too late, with
   * `not_found`.
   */
  async function claim(token: string, account: Account, meta: RequestMeta): Promise<Agent> {
    const claimTokenHash = sha256(token);
    const claimed = await db.$transaction(async (tx) => {
      if (!accounts.isActive(await accounts.lock(account.id, tx))) throw invalidClaim();
      const found = await tx.agent.findUnique({ where: { claimTokenHash } });
      const { count } = await tx.agent.updateMany({
        where: { claimTokenHash, expiresAt: { gt: clock.now() } },
        data: { claimTokenHash: null, expiresAt: null, ownerId: account.id },
      });
      if (!found || count === 0) throw invalidClaim();
      const { id, organizationId, agentId } = found;
      await organizations.makeOwner(account.id, organizationId, tx);
      await audit.record(
        {
          action: 'agent.claimed',
          actor: { kind: 'account', id: account.id },
          ...{ accountId: account.id, clientId: id, organizationId, meta, detail: { agent_id: agentId } },
        },
        tx,
      );
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id }, include: AGENT_INCLUDE }));
    });
    await invalidationBus.publish('agents', claimed.id);
    await invalidationBus.publish('organizations', claimed.organizationId);
    return claimed;
  }
}

/** What the link says that works no more. */
export const invalidClaim = () => notFound('This link was used or has expired.');
