/** The members of an organization: who they are, what each may, how they go. */

import { conflict, forbidden, notFound } from '../../base/app-error.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import type { Actor, Organizations } from './organizations.js';
import { canInvite, isAtLeast, ORGANIZATION_ROLES, type OrganizationRole } from './roles.js';

export interface Member {
  account: Account;
  role: OrganizationRole;
  since: Date;
}

interface Change {
  actor: Actor;
  wanted: OrganizationRole;
  organizationId: string;
  /** Of whom. */
  accountId: string;
}

interface Deps {
  db: Database;
  audit: Audit;
  invalidationBus: InvalidationBus;
  organizations: Organizations;
}

export function createMembers({ db, audit, invalidationBus, organizations }: Deps) {
  return { list, changeRole, remove };

  /**
   * Everybody in it, in the order in which they came. Refuses as `organizations.requireExisting`
   * does.
   */
  async function list(actor: Actor, organizationId: string): Promise<Member[]> {
    await organizations.requireMember(actor, organizationId, 'viewer');
    const rows = await db.membership.findMany({
      where: { organizationId },
      include: { account: true },
      orderBy: [{ createdAt: 'asc' }, { accountId: 'asc' }],
    });
    return rows.map(({ account, role, createdAt }) => ({ account, role: role as OrganizationRole, since: createdAt }));
  }

  /**
   * Nobody raises anybody above themselves, nor changes who stands above them. The last owner stays
   * one, and so does whoever it was made for at their registration. Whoever is lowered invites
   * nobody any more whom they could not invite now.
   */
  async function changeRole(
    actor: Actor,
    organizationId: string,
    accountId: string,
    role: OrganizationRole,
    meta: RequestMeta,
  ): Promise<void> {
    await change({ actor, wanted: 'admin', organizationId, accountId }, async (own, tx) => {
      if (!isAtLeast(own, role)) throw roleTooHigh();
      if (role !== 'owner') await requireNotFounder(organizationId, accountId, tx);
      await tx.membership.updateMany({ where: { accountId, organizationId }, data: { role } });
      const beyond = ORGANIZATION_ROLES.filter((wanted) => !canInvite(role, wanted));
      await tx.invitation.deleteMany({ where: { organizationId, invitedById: accountId, role: { in: beyond } } });
      await note('member.role_changed', organizationId, actor, meta, tx, { member: accountId, role });
    });
  }

  /**
   * Whoever wants to may leave; others are removed by who stands at least as high. The last owner
   * stays, and nobody leaves their own organization. Their keys and invitations go too.
   */
  async function remove(actor: Actor, organizationId: string, accountId: string, meta: RequestMeta): Promise<void> {
    const wanted = actor.accountId === accountId ? 'viewer' : 'admin';
    await change({ actor, wanted, organizationId, accountId }, async (_own, tx) => {
      await requireNotFounder(organizationId, accountId, tx);
      await tx.membership.deleteMany({ where: { accountId, organizationId } });
      await tx.apiKey.deleteMany({ where: { accountId, organizationId } });
      await tx.invitation.deleteMany({ where: { organizationId, invitedById: accountId } });
      await note('member.removed', organizationId, actor, meta, tx, { member: accountId });
    });
  }

  /**
   * The organization that an account was given is where its things go when nobody says where: it is
   * never without it.
   */
  async function requireNotFounder(id: string, accountId: string, tx: Queryable): Promise<void> {
    if ((await tx.organization.count({ where: { id, ownerId: accountId } })) === 0) return;
    throw conflict('Everybody stays an owner of the organization that they were given at their registration.');
  }

  /**
   * One change at a time: of two owners who leave together one stays. What the actor may is asked
   * once it is their turn: whoever was lowered a moment ago changes nobody any more.
   */
  async function change(
    { actor, wanted, organizationId, accountId }: Change,
    write: (own: OrganizationRole, tx: Queryable) => Promise<void>,
  ): Promise<void> {
    await organizations.requireMember(actor, organizationId, wanted); // a stranger makes nobody wait
    await db.$transaction(async (tx) => {
      await organizations.lock(organizationId, tx);
      const own = await organizations.requireMember(actor, organizationId, wanted, tx);
      const role = await organizations.roleOf({ accountId }, organizationId, tx);
      if (!role) throw notFound('There is no such member.');
      if (!isAtLeast(own, role)) throw roleTooHigh();
      await write(own, tx);
      const owners = await tx.membership.count({ where: { organizationId, role: 'owner' } });
      if (owners === 0) throw conflict('The last owner stays: make somebody else an owner first.');
    });
    await invalidationBus.publish('organizations', organizationId);
  }

  async function note(
    action: 'member.role_changed' | 'member.removed',
    organizationId: string,
    { accountId }: Actor,
    meta: RequestMeta,
    tx: Queryable,
    detail: Record<string, string>,
  ): Promise<void> {
    await audit.record(
      { action, actor: { kind: 'account', id: accountId }, organizationId, accountId, meta, detail },
      tx,
    );
  }
}

const roleTooHigh = () => forbidden('insufficient_role', 'This is only for those who stand at least as high.');
