/** Decides which users an agent can ask for an approval. */

import type { Base } from '../../base/base.js';
import type { Prisma, Queryable } from '../../base/db/open.js';
import { LIMITS } from '../../base/limits.js';
import { isStorable } from '../../base/text.js';
import { normalizeEmail } from '../accounts/fields.js';
import type { Agent } from '../agents/active-agents.js';

/** Limits user lookups, so that an agent cannot enumerate accounts. */
const LOOKUPS_BY_AGENT = LIMITS['approval-agent'];

export type Approvers = ReturnType<typeof createApprovers>;

export function createApprovers({ db, rateLimiter }: Pick<Base, 'db' | 'rateLimiter'>) {
  return { findApprover, canRequest };

  /**
   * Returns the id of the user with this e-mail address or account id, if the agent can ask them.
   * Always takes one query, so that timing does not reveal accounts. Throws `rate_limited`.
   */
  async function findApprover(agent: Agent, hint: string): Promise<string | undefined> {
    await rateLimiter.consume(LOOKUPS_BY_AGENT, agent.id);
    if (!isStorable(hint)) return undefined; // the database would reject the query
    return findRelatedUser(agent, { OR: [{ id: hint }, { email: normalizeEmail(hint) }] });
  }

  /** Reports whether the agent can ask this user. */
  async function canRequest(agent: Agent, accountId: string, tx: Queryable = db): Promise<boolean> {
    return (await findRelatedUser(agent, { id: accountId }, tx)) !== undefined;
  }

  /**
   * Returns the id of the matching user. The user must own the agent and be a member of its
   * organization, or have a consent for the agent.
   */
  async function findRelatedUser(
    { id: clientId, claimed, owner, organizationId }: Agent,
    userFilter: Prisma.AccountWhereInput,
    tx: Queryable = db,
  ): Promise<string | undefined> {
    if (!claimed) return undefined;
    const ownerFilter = { id: owner?.id ?? '', memberships: { some: { organizationId } } };
    const consentFilter = { consents: { some: { clientId } } };
    const account = await tx.account.findFirst({
      where: { AND: [userFilter, { OR: [ownerFilter, consentFilter] }], status: 'active' },
      select: { id: true },
    });
    return account?.id;
  }
}
