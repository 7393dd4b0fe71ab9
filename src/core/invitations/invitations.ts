/**
 * Invitations to an organization, by e-mail: sending, listing and revoking. acceptance.ts accepts
 * them.
 */

import { conflict, forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { addSeconds, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Invitation, Queryable } from '../../base/db/open.js';
import { LIMITS } from '../../base/limits.js';
import { createPageOrder, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import { isEmail, normalizeEmail } from '../accounts/fields.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import { canInvite, isAtLeast, type OrganizationRole } from '../organizations/roles.js';
import { alreadyMember, createAcceptance, invitationEvent } from './acceptance.js';

export interface NewInvitation {
  email: string;
  role: OrganizationRole;
}

/**
 * An invitation with its inviter. It does not contain the token, of which only the hash is stored.
 */
export type InvitationWithInviter = Invitation & { invitedBy: Account };

interface Deps {
  audit: Audit;
  accountLimits: AccountLimits;
  organizations: Organizations;
  accounts: Pick<Accounts, 'lockActing' | 'isActive'>;
}

const INVITATION_TTL_SECONDS = 7 * DAY_SECONDS;
const BY_INVITER = LIMITS['invitation-inviter'];
/**
 * `BY_ADDRESS` limits e-mails to one address from all organizations and inviters. `BY_PAIR`
 * prevents one inviter from using up that limit.
 */
const BY_PAIR = LIMITS['invitation-pair'];
const BY_ADDRESS = LIMITS['invitation-address'];

const BY_NEWEST = createPageOrder({ list: 'invitations', date: 'createdAt', key: 'id', direction: 'desc' });

export type Invitations = ReturnType<typeof createInvitations>;

export function createInvitations(base: Base, { audit, accountLimits, organizations, accounts }: Deps) {
  const { db, transact, clock, rateLimiter, mailer } = base;
  const { find, obstacleOf, accept } = createAcceptance(base, { audit, accountLimits, organizations, accounts });

  return { create, list, revoke, find, obstacleOf, accept };

  /**
   * Sends an invitation. An earlier one for the same address becomes invalid. The inviter's own
   * address must be verified, because the e-mail contains it. Throws like
   * `organizations.requireMember`, or `AppError` `insufficient_role`, `invalid_request`, `conflict`
   * or `rate_limited`.
   */
  async function create(
    user: ActingUser,
    organizationId: string,
    input: NewInvitation,
    meta: RequestMeta,
  ): Promise<InvitationWithInviter> {
    const { account: inviter } = user;
    const email = normalizeEmail(input.email);
    if (!isEmail(email)) throw invalidRequest('Some values are invalid.', { email: 'Enter an e-mail address.' });
    await requireCanInvite(inviter.id, organizationId, input.role);
    if (!inviter.emailVerified) throw forbidden('insufficient_role', 'Verify your own e-mail address first.');
    if (!mailer.canSend) throw conflict('This server sends no mail, so it cannot send invitations.');
    await rateLimiter.consume(BY_INVITER, inviter.id);
    await rateLimiter.consume(BY_PAIR, `${inviter.id} ${email}`);
    await rateLimiter.consume(BY_ADDRESS, email);

    const token = randomToken();
    const now = clock.now();
    return transact(async (uow) => {
      const { tx } = uow;
      await accounts.lockActing(user, tx);
      await organizations.lock(organizationId, tx);
      const inviterRole = await requireCanInvite(inviter.id, organizationId, input.role, tx);
      await rejectExistingMember(email, organizationId, tx);
      await deleteEarlier(inviterRole, email, organizationId, tx);
      const invitation = await tx.invitation.create({
        data: {
          organizationId,
          email,
          role: input.role,
          tokenHash: sha256(token),
          invitedById: inviter.id,
          createdAt: now,
          expiresAt: addSeconds(now, INVITATION_TTL_SECONDS),
        },
      });
      await audit.record(uow, 'invitation.created', invitationEvent(invitation, inviter.id, meta));
      // The e-mail contains no names: an attacker could choose words that this server sends to
      // anyone.
      const values = { token, inviter: inviter.email, role: input.role };
      uow.afterCommit(() => mailer.send({ address: email }, 'invitation', values));
      return { ...invitation, invitedBy: inviter };
    });
  }

  /**
   * Returns a page of the open invitations, newest first. Throws like
   * `organizations.requireMember`.
   */
  async function list(
    accountId: string,
    organizationId: string,
    page: PageRequest,
  ): Promise<Page<InvitationWithInviter>> {
    await organizations.requireMember({ accountId }, organizationId, 'admin');
    const rows = await db.invitation.findMany({
      where: { organizationId, expiresAt: { gt: clock.now() }, ...BY_NEWEST.after(page) },
      include: { invitedBy: true },
      orderBy: BY_NEWEST.orderBy,
      take: BY_NEWEST.take(page),
    });
    return BY_NEWEST.toPage(rows, page);
  }

  /**
   * Revokes an invitation that the account could have sent itself. Throws like
   * `organizations.requireMember`, or `AppError` `insufficient_role` or `not_found`.
   */
  async function revoke(accountId: string, organizationId: string, id: string, meta: RequestMeta): Promise<void> {
    await organizations.requireMember({ accountId }, organizationId, 'admin'); // before the lock, which makes other users wait
    await transact(async (uow) => {
      const { tx } = uow;
      await organizations.lock(organizationId, tx);
      const invitation = await tx.invitation.findFirst({ where: { id, organizationId } });
      if (!invitation || invitation.expiresAt <= clock.now()) throw notFound('There is no such invitation.');
      await requireCanInvite(accountId, organizationId, invitation.role as OrganizationRole, tx);
      await tx.invitation.deleteMany({ where: { id } });
      await audit.record(uow, 'invitation.revoked', invitationEvent(invitation, accountId, meta));
    });
  }

  async function requireCanInvite(
    accountId: string,
    organizationId: string,
    role: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    const ownRole = await organizations.requireMember({ accountId }, organizationId, 'admin', tx);
    if (canInvite(ownRole, role)) return ownRole;
    throw forbidden('insufficient_role', 'You cannot invite someone to a role above your own.');
  }

  async function rejectExistingMember(email: string, organizationId: string, tx: Queryable): Promise<void> {
    const membership = await tx.membership.findFirst({ where: { organizationId, account: { email } } });
    if (membership) throw alreadyMember();
  }

  /**
   * Deletes an earlier invitation for the address, and checks the limit of open invitations. Throws
   * if the earlier one was for a role above the inviter's.
   */
  async function deleteEarlier(
    inviterRole: OrganizationRole,
    email: string,
    organizationId: string,
    tx: Queryable,
  ): Promise<void> {
    const isOpen = { organizationId, expiresAt: { gt: clock.now() } };
    const earlier = await tx.invitation.findFirst({ where: { ...isOpen, email } });
    if (earlier && !isAtLeast(inviterRole, earlier.role as OrganizationRole)) {
      throw forbidden('insufficient_role', 'This address was already invited to a role above yours.');
    }
    await tx.invitation.deleteMany({ where: { organizationId, email } });
    await accountLimits.requireRoomInOrganization('openInvitations', organizationId, tx);
  }
}
