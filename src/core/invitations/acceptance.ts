/**
 * Accepts invitations. An invitation can be accepted once, within a week, by an account with this
 * verified e-mail address, and only while the inviter could still send it.
 */

import { conflict, forbidden, notFound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { sha256 } from '../../base/crypto.js';
import type { Account, Invitation, Organization, Queryable } from '../../base/db/open.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { OrganizationOfMember, Organizations } from '../organizations/organizations.js';
import { canInvite, type OrganizationRole } from '../organizations/roles.js';

/** A valid invitation with its organization and inviter. */
export type OpenInvitation = Invitation & { organization: Organization; invitedBy: Account };

/** Why an account cannot accept an invitation. */
export type Obstacle = 'other_address' | 'unverified';

interface Deps {
  audit: Audit;
  accountLimits: AccountLimits;
  organizations: Organizations;
  accounts: Pick<Accounts, 'lockActing' | 'isActive'>;
}

export function createAcceptance(base: Base, { audit, accountLimits, organizations, accounts }: Deps) {
  const { db, transact, clock, invalidationBus } = base;

  return { find, obstacleOf, accept };

  /**
   * Returns the invitation of a token without consuming it. Returns undefined if it was used or
   * revoked, has expired, or the inviter could no longer send it.
   */
  async function find(token: string): Promise<OpenInvitation | undefined> {
    const invitation = await db.invitation.findFirst({
      where: { tokenHash: sha256(token), expiresAt: { gt: clock.now() } },
      include: { organization: true, invitedBy: true },
    });
    return invitation && (await canInviterStillSend(invitation, db)) ? invitation : undefined;
  }

  /** Returns why the account cannot accept the invitation; undefined if it can. */
  function obstacleOf({ email }: Pick<Invitation, 'email'>, account: Account): Obstacle | undefined {
    if (account.email !== email) return 'other_address';
    return account.emailVerified ? undefined : 'unverified';
  }

  /**
   * Makes the account a member. Only one of several concurrent calls succeeds. Throws `AppError`
   * `not_found` if the invitation is invalid, `insufficient_role` if there is an obstacle, or
   * `conflict` if the account is already a member or has too many memberships. The invitation stays
   * valid after a conflict.
   */
  async function accept(token: string, user: ActingUser, meta: RequestMeta): Promise<OrganizationOfMember> {
    const { account } = user;
    const invitation = await find(token);
    if (!invitation) throw invalidInvitation();
    throwIfObstructed(invitation, account);
    const { id, organizationId, organization, tokenHash } = invitation;
    const role = invitation.role as OrganizationRole;
    const now = clock.now();
    await transact(async (uow) => {
      const { tx } = uow;
      // Lock order: the account before the organization.
      const current = await accounts.lockActing(user, tx);
      await organizations.lock(organizationId, tx); // also prevents a change of the inviter's role
      const { count } = await tx.invitation.deleteMany({ where: { id, tokenHash, expiresAt: { gt: now } } });
      if (count !== 1 || !(await canInviterStillSend(invitation, tx))) throw invalidInvitation();
      throwIfObstructed(invitation, current);
      if (await organizations.roleOf({ accountId: account.id }, organizationId, tx)) throw alreadyMember();
      await accountLimits.requireRoom('memberships', current, tx);
      await tx.membership.create({ data: { accountId: account.id, organizationId, role, createdAt: now } });
      await audit.record(uow, 'invitation.accepted', invitationEvent(invitation, account.id, meta));
      uow.afterCommit(() => invalidationBus.publish('organizations', organizationId));
    });
    return { id: organizationId, name: organization.name, role, own: false, createdAt: organization.createdAt };
  }

  /** Reports whether the inviter is active and still has the right to send this invitation. */
  async function canInviterStillSend(
    { organizationId, invitedById, role }: Invitation,
    tx: Queryable,
  ): Promise<boolean> {
    const inviter = await tx.account.findUnique({ where: { id: invitedById } });
    if (!accounts.isActive(inviter)) return false;
    const inviterRole = await organizations.roleOf({ accountId: invitedById }, organizationId, tx);
    return inviterRole !== undefined && canInvite(inviterRole, role as OrganizationRole);
  }

  function throwIfObstructed(invitation: Invitation, account: Account): void {
    const obstacle = obstacleOf(invitation, account);
    if (obstacle) throw forbidden('insufficient_role', OBSTACLE_MESSAGES[obstacle]);
  }
}

const OBSTACLE_MESSAGES: Record<Obstacle, string> = {
  other_address: 'This invitation is for another e-mail address.',
  unverified: 'Verify your e-mail address first.',
};

/** Returns the error for a used, revoked or expired invitation. */
export const invalidInvitation = () =>
  notFound('This invitation was used or revoked, or has expired. Ask for a new one.');

/** Returns the error for an invited address that already belongs to a member. */
export const alreadyMember = () => conflict('An account with this e-mail address is already a member.');

/** Returns the audit event of an invitation. */
export function invitationEvent(
  { id, organizationId, role }: Invitation,
  accountId: string,
  meta: RequestMeta,
): AuditEvent {
  return { by: accountId, accountId, organizationId, meta, detail: { invitation: id, role } };
}
