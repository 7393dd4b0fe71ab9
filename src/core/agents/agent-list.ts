/** Lists the agents that a member can see. */
import type { Database, Queryable } from '../../base/db/open.js';
import { createPageOrder, mapPage, type Page, type PageRequest } from '../../base/paging.js';
import { type Actor, type Organizations, outOfScope } from '../organizations/organizations.js';
import { type Agent, type AgentColumns, toAgentOf } from './active-agents.js';

interface Deps {
  db: Database;
  organizations: Organizations;
}

type Ownership = Pick<AgentColumns, 'organizationId' | 'ownerId'>;

const BY_AGE = createPageOrder({ list: 'agents', date: 'createdAt', key: 'id', direction: 'asc' });

export function createAgentList({ db, organizations }: Deps) {
  return { listFor, countFor, accessibleOrganizationIds };

  /**
   * Returns a page of the agents of one organization, or of all organizations that the member can
   * see. The oldest comes first. Throws as `organizations.requireMember` does.
   */
  async function listFor(member: Actor, page: PageRequest, organizationId?: string): Promise<Page<Agent>> {
    const where = { organizationId: { in: await accessibleOrganizationIds(member, organizationId) } };
    const rows = await db.agent.findMany({
      where: { ...where, ...BY_AGE.after(page) },
      include: { owner: true },
      orderBy: BY_AGE.orderBy,
      take: BY_AGE.take(page),
    });
    const found = BY_AGE.toPage(rows, page);
    const memberships = await membershipsOfOwners(found.items, db);
    return mapPage(found, ({ owner, ...row }) => {
      const isMember = memberships.has(membershipKey(row.organizationId, row.ownerId));
      return toAgentOf(row, isMember ? owner : undefined);
    });
  }

  /** Returns the number of agents in the organizations that the member can see. */
  async function countFor(member: Actor): Promise<number> {
    return db.agent.count({ where: { organizationId: { in: await accessibleOrganizationIds(member) } } });
  }

  /** Returns the organizations whose agents the member can see. Throws like `listFor`. */
  async function accessibleOrganizationIds(member: Actor, organizationId?: string): Promise<string[]> {
    if (organizationId) {
      await organizations.requireMember(member, organizationId, 'viewer');
      return [organizationId];
    }
    if (member.key?.projectId) throw outOfScope();
    return (await organizations.accessibleTo(member)).map(({ id }) => id);
  }
}

/**
 * Returns which owners are members of the organizations of their agents. Reads only these
 * memberships: an owner can have hundreds, and Prisma would load all of them for each owner.
 */
async function membershipsOfOwners(agents: Ownership[], tx: Queryable): Promise<Set<string>> {
  const pairs = new Map<string, { organizationId: string; accountId: string }>();
  for (const { organizationId, ownerId } of agents) {
    if (ownerId !== null) pairs.set(membershipKey(organizationId, ownerId), { organizationId, accountId: ownerId });
  }
  const where = { OR: [...pairs.values()] };
  const rows = await tx.membership.findMany({
    where,
    select: { organizationId: true, accountId: true },
    take: pairs.size,
  });
  return new Set(rows.map(({ organizationId, accountId }) => membershipKey(organizationId, accountId)));
}

const membershipKey = (organizationId: string, accountId: string | null) => `${organizationId} ${accountId}`;
