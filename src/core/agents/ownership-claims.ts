/**
 * Claims: how a person takes on an agent that nobody answers for, with the link that its onboarding answered. They become the owner of
 * the organization that was made for it, and it lives on; its key and what it calls itself stay.
 */

import { notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Account, Database } from '../../base/db/open.js';
import type { Announcements } from '../../base/invalidation-bus.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import type { Caller } from '../request-meta.js';
import { type Agent, toAgent, WITH_PEOPLE } from './active-agents.js';

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  announcements: Announcements;
  accounts: Pick<Accounts, 'hold' | 'isActive'>;
  organizations: Pick<Organizations, 'giveTo'>;
}

export type AgentClaims = ReturnType<typeof createAgentClaims>;

export function createAgentClaims({ db, clock, audit, announcements, accounts, organizations }: Needs) {
  return { find, claim };

  /** The agent that can be claimed with this token. */
  async function find(token: string): Promise<Agent | undefined> {
    const where = { claimTokenHash: sha256(token), expiresAt: { gt: clock.now() } };
    const row = await db.agent.findFirst({ where, include: WITH_PEOPLE });
    return row ? toAgent(row) : undefined;
  }

  /** Of many who claim it at once one does. Refuses the others, and whoever comes too late, with `not_found`. */
  async function claim(token: string, account: Account, caller: Caller): Promise<Agent> {
    const claimTokenHash = sha256(token);
    const claimed = await db.$transaction(async (tx) => {
      if (!accounts.isActive(await accounts.hold(account.id, tx))) throw claimSpent();
      const found = await tx.agent.findUnique({ where: { claimTokenHash } });
      const { count } = await tx.agent.updateMany({
        where: { claimTokenHash, expiresAt: { gt: clock.now() } },
        data: { claimTokenHash: null, expiresAt: null, ownerId: account.id },
      });
      if (!found || count === 0) throw claimSpent();
      const { id, organizationId, agentId } = found;
      await organizations.giveTo(account.id, organizationId, tx);
      await audit.record(
        {
          action: 'agent.claimed',
          actor: { kind: 'account', id: account.id },
          ...{ accountId: account.id, clientId: id, organizationId, caller, detail: { agent_id: agentId } },
        },
        tx,
      );
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id }, include: WITH_PEOPLE }));
    });
    await announcements.announce('agents', claimed.id);
    await announcements.announce('organizations', claimed.organizationId);
    return claimed;
  }
}

/** What the link says that works no more. */
export const claimSpent = () => notFound('This link was used or has expired.');
