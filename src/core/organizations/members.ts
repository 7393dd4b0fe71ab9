/** Lists the members of an organization, changes their roles, and removes them. */

import { conflict, forbidden, notFound } from '../../base/app-error.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, mapPage, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit } from '../audit/audit.js';
import type { Actor, Organizations } from './organizations.js';
import { canInvite, isAtLeast, ORGANIZATION_ROLES, type OrganizationRole } from './roles.js';

export interface Member {
  account: Account;
  role: OrganizationRole;
  since: Date;
}

interface Deps {
  db: Database;
  transact: Transact;
  audit: Audit;
  invalidationBus: InvalidationBus;
  organizations: Organizations;
}

const BY_JOIN_TIME = createPageOrder({ list: 'members', date: 'createdAt', key: 'accountId', direction: 'asc' });

export function createMembers({ db, transact, audit, invalidationBus, organizations }: Deps) {
  return { list, changeRole, remove };

  /** Returns a page of the members, oldest first. Throws like `organizations.requireMember`. */
  async function list(actor: Actor, organizationId: string, page: PageRequest): Promise<Page<Member>> {
    await organizations.requireMember(actor, organizationId, 'viewer');
    const rows = await db.membership.findMany({
      where: { organizationId, ...BY_JOIN_TIME.after(page) },
      include: { account: true },
      orderBy: BY_JOIN_TIME.orderBy,
      take: BY_JOIN_TIME.take(page),
    });
    return mapPage(BY_JOIN_TIME.toPage(rows, page), ({ account, role, createdAt }) => {
      return { account, role: role as OrganizationRole, since: createdAt };
    });
  }

  /**
   * Changes the role of a member, and deletes the invitations that the new role could not send. The
   * actor needs at least the member's role and the new one. Throws like
   * `organizations.requireMember`, or `AppError` `conflict` for the last owner and for the account
   * whose personal organization it is.
   */
  async function changeRole(
    actor: Actor,
    organizationId: string,
    accountId: string,
    role: OrganizationRole,
    meta: RequestMeta,
  ): Promise<void> {
    await organizations.requireMember(actor, organizationId, 'admin'); // before the lock, which makes other users wait
    await transact(async (uow) => {
      const { tx } = uow;
      const actorRole = await lockMember(uow, actor, 'admin', organizationId, accountId);
      if (!isAtLeast(actorRole, role)) throw roleTooHigh();
      if (role !== 'owner') await rejectPersonal(organizationId, accountId, tx);
      await tx.membership.updateMany({ where: { accountId, organizationId }, data: { role } });
      const tooHigh = ORGANIZATION_ROLES.filter((invited) => !canInvite(role, invited));
      await tx.invitation.deleteMany({ where: { organizationId, invitedById: accountId, role: { in: tooHigh } } });
      await requireRemainingOwner(organizationId, tx);
      const detail = { member: accountId, role };
      const event = { by: actor.accountId, accountId: actor.accountId, organizationId, meta, detail };
      await audit.record(uow, 'member.role_changed', event);
      uow.afterCommit(() => invalidationBus.publish('organizations', organizationId));
    });
  }

  /**
   * Removes a member, with their keys and invitations. Members can remove themselves; to remove
   * others, the actor needs at least their role. The member's agents belong to the organization and
   * stay active. Returns how many agents lose their owner. Throws like `changeRole`.
   */
  async function remove(actor: Actor, organizationId: string, accountId: string, meta: RequestMeta): Promise<number> {
    const required = actor.accountId === accountId ? 'viewer' : 'admin';
    await organizations.requireMember(actor, organizationId, required); // before the lock, which makes other users wait
    return transact(async (uow) => {
      const { tx } = uow;
      await lockMember(uow, actor, required, organizationId, accountId);
      await rejectPersonal(organizationId, accountId, tx);
      await tx.membership.deleteMany({ where: { accountId, organizationId } });
      await tx.apiKey.deleteMany({ where: { accountId, organizationId } });
      await tx.invitation.deleteMany({ where: { organizationId, invitedById: accountId } });
      await requireRemainingOwner(organizationId, tx);
      const agentCount = await tx.agent.count({ where: { organizationId, ownerId: accountId } });
      const detail = { member: accountId, agents_without_owner: agentCount };
      const event = { by: actor.accountId, accountId: actor.accountId, organizationId, meta, detail };
      await audit.record(uow, 'member.removed', event);
      uow.afterCommit(() => invalidationBus.publish('organizations', organizationId));
      return agentCount;
    });
  }

  /**
   * Locks the organization, and then reads and returns the actor's role, because a concurrent
   * change can have lowered it. Throws if the actor's role is too low, or there is no such member.
   */
  async function lockMember(
    { tx }: UnitOfWork,
    actor: Actor,
    required: OrganizationRole,
    organizationId: string,
    accountId: string,
  ): Promise<OrganizationRole> {
    await organizations.lock(organizationId, tx);
    const actorRole = await organizations.requireMember(actor, organizationId, required, tx);
    const memberRole = await organizations.roleOf({ accountId }, organizationId, tx);
    if (!memberRole) throw notFound('There is no such member.');
    if (!isAtLeast(actorRole, memberRole)) throw roleTooHigh();
    return actorRole;
  }

  /**
   * Throws if the organization is the account's personal one, which is the default for new objects.
   */
  async function rejectPersonal(id: string, accountId: string, tx: Queryable): Promise<void> {
    if ((await tx.organization.count({ where: { id, ownerId: accountId } })) === 0) return;
    throw conflict('This is the personal organization of this member, who always stays its owner.');
  }

  async function requireRemainingOwner(organizationId: string, tx: Queryable): Promise<void> {
    if ((await tx.membership.count({ where: { organizationId, role: 'owner' } })) > 0) return;
    throw conflict('This is the last owner. Make another member an owner first.');
  }
}

const roleTooHigh = () => forbidden('insufficient_role', 'You need at least the same role as this member.');
