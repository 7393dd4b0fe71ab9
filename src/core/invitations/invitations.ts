/**
 * Invitations to an organization, by e-mail. An invitation can be accepted once, within a week, by
 * an account with that verified address, and only while the inviter could still send it.
 */

import { conflict, forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Invitation, Organization, Queryable } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Accounts } from '../accounts/accounts.js';
import { isEmail, normalizeEmail } from '../accounts/fields.js';
import type { Audit } from '../audit/audit.js';
import type { OrganizationOfMember, Organizations } from '../organizations/organizations.js';
import { canInvite, isAtLeast, type OrganizationRole } from '../organizations/roles.js';
import type { RequestMeta } from '../request-meta.js';

export interface NewInvitation {
  email: string;
  role: OrganizationRole;
}

/**
 * An invitation with its inviter. It does not contain the token, of which only the hash is stored.
 */
export type InvitationWithInviter = Invitation & { invitedBy: Account };
export type OpenInvitation = InvitationWithInviter & { organization: Organization };

/** Why an account cannot accept an invitation. */
export type Obstacle = 'other_address' | 'unverified';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  rateLimiter: RateLimiter;
  mail: Mail;
  organizations: Organizations;
  accounts: Pick<Accounts, 'lock' | 'isActive'>;
}

const TTL_SECONDS = 7 * DAY_SECONDS;
const MAX_OPEN = 200;
const BY_INVITER: Limit = { name: 'invitation-inviter', points: 100, seconds: DAY_SECONDS };
/**
 * Limits mails to one address, whatever the number of organizations and inviters. One inviter
 * cannot use up the limit of the others.
 */
const BY_PAIR: Limit = { name: 'invitation-pair', points: 10, seconds: DAY_SECONDS };
const BY_ADDRESS: Limit = { name: 'invitation-address', points: 30, seconds: DAY_SECONDS };

export type Invitations = ReturnType<typeof createInvitations>;

export function createInvitations(deps: Deps) {
  const { db, transact, clock, audit, invalidationBus, rateLimiter, mail, organizations, accounts } = deps;
  return { create, list, revoke, find, obstacleOf, accept };

  /**
   * Mails an invitation. An earlier one for the same address becomes invalid. The inviter's own
   * address must be verified, because the mail names it. Throws like `organizations.requireMember`,
   * or `AppError` `insufficient_role`, `invalid_request`, `conflict` or `rate_limited`.
   */
  async function create(
    inviter: Account,
    organizationId: string,
    input: NewInvitation,
    meta: RequestMeta,
  ): Promise<InvitationWithInviter> {
    const email = normalizeEmail(input.email);
    if (!isEmail(email)) throw invalidRequest('Some values are invalid.', { email: 'Enter an e-mail address.' });
    await requireCanInvite(inviter.id, organizationId, input.role);
    if (!inviter.emailVerified) throw forbidden('insufficient_role', 'Verify your own e-mail address first.');
    if (!mail.isConfigured) throw conflict('This server sends no mail, so it cannot send invitations.');
    await rateLimiter.consume(BY_INVITER, inviter.id);
    await rateLimiter.consume(BY_PAIR, `${inviter.id} ${email}`);
    await rateLimiter.consume(BY_ADDRESS, email);

    const token = randomToken();
    const now = clock.now();
    return transact(async (uow) => {
      const { tx } = uow;
      await organizations.lock(organizationId, tx);
      const own = await requireCanInvite(inviter.id, organizationId, input.role, tx);
      await rejectExistingMember(email, organizationId, tx);
      await replaceEarlier(own, email, organizationId, tx);
      const invitation = await tx.invitation.create({
        data: {
          organizationId,
          email,
          role: input.role,
          tokenHash: sha256(token),
          invitedById: inviter.id,
          createdAt: now,
          expiresAt: addSeconds(now, TTL_SECONDS),
        },
      });
      await record(uow, 'invitation.created', invitation, inviter.id, meta);
      // The mail contains no names: an attacker could choose words that we mail to a stranger.
      const values = { token, inviter: inviter.email, role: input.role };
      uow.afterCommit(() => mail.send({ address: email }, 'invitation', values));
      return { ...invitation, invitedBy: inviter };
    });
  }

  /** Returns the open invitations, newest first. Throws like `organizations.requireMember`. */
  async function list(accountId: string, organizationId: string): Promise<InvitationWithInviter[]> {
    await organizations.requireMember({ accountId }, organizationId, 'admin');
    return db.invitation.findMany({
      where: { organizationId, expiresAt: { gt: clock.now() } },
      include: { invitedBy: true },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    });
  }

  /**
   * Revokes an invitation that the account could have sent itself. Throws like
   * `organizations.requireMember`, or `AppError` `insufficient_role` or `not_found`.
   */
  async function revoke(accountId: string, organizationId: string, id: string, meta: RequestMeta): Promise<void> {
    await organizations.requireMember({ accountId }, organizationId, 'admin'); // before a lock makes others wait
    await transact(async (uow) => {
      const { tx } = uow;
      await organizations.lock(organizationId, tx);
      const invitation = await tx.invitation.findFirst({ where: { id, organizationId } });
      if (!invitation || invitation.expiresAt <= clock.now()) throw notFound('There is no such invitation.');
      await requireCanInvite(accountId, organizationId, invitation.role as OrganizationRole, tx);
      await tx.invitation.deleteMany({ where: { id } });
      await record(uow, 'invitation.revoked', invitation, accountId, meta);
    });
  }

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
   * Makes the account a member. Of several concurrent calls exactly one succeeds. Throws `AppError`
   * `not_found` if the invitation is invalid, `insufficient_role` if there is an obstacle, or
   * `conflict` if the account is already a member; the invitation then stays valid.
   */
  async function accept(token: string, account: Account, meta: RequestMeta): Promise<OrganizationOfMember> {
    const invitation = await find(token);
    if (!invitation) throw invalidInvitation();
    throwIfObstructed(invitation, account);
    const { id, organizationId, organization, tokenHash } = invitation;
    const role = invitation.role as OrganizationRole;
    const now = clock.now();
    await transact(async (uow) => {
      const { tx } = uow;
      // Lock order: the account before the organization.
      const current = await accounts.lock(account.id, tx);
      if (!accounts.isActive(current)) throw invalidInvitation();
      await organizations.lock(organizationId, tx); // changes of roles lock it too: the inviter's is now final
      const { count } = await tx.invitation.deleteMany({ where: { id, tokenHash, expiresAt: { gt: now } } });
      if (count !== 1 || !(await canInviterStillSend(invitation, tx))) throw invalidInvitation();
      throwIfObstructed(invitation, current);
      if (await organizations.roleOf({ accountId: account.id }, organizationId, tx)) throw alreadyMember();
      await tx.membership.create({ data: { accountId: account.id, organizationId, role, createdAt: now } });
      await record(uow, 'invitation.accepted', invitation, account.id, meta);
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
    const own = await organizations.roleOf({ accountId: invitedById }, organizationId, tx);
    return own !== undefined && canInvite(own, role as OrganizationRole);
  }

  async function requireCanInvite(
    accountId: string,
    organizationId: string,
    role: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    const own = await organizations.requireMember({ accountId }, organizationId, 'admin', tx);
    if (canInvite(own, role)) return own;
    throw forbidden('insufficient_role', 'You cannot invite someone to a role above your own.');
  }

  async function rejectExistingMember(email: string, organizationId: string, tx: Queryable): Promise<void> {
    const known = await tx.membership.findFirst({ where: { organizationId, account: { email } } });
    if (known) throw alreadyMember();
  }

  /**
   * Deletes an earlier invitation for the address, and checks the limit of open invitations. Throws
   * if the earlier one was for a role above `own`.
   */
  async function replaceEarlier(
    own: OrganizationRole,
    email: string,
    organizationId: string,
    tx: Queryable,
  ): Promise<void> {
    const open = { organizationId, expiresAt: { gt: clock.now() } };
    const earlier = await tx.invitation.findFirst({ where: { ...open, email } });
    if (earlier && !isAtLeast(own, earlier.role as OrganizationRole)) {
      throw forbidden('insufficient_role', 'This address was already invited to a role above yours.');
    }
    await tx.invitation.deleteMany({ where: { organizationId, email } });
    if ((await tx.invitation.count({ where: open })) < MAX_OPEN) return;
    throw conflict(`An organization can have at most ${MAX_OPEN} open invitations.`);
  }

  function throwIfObstructed(invitation: Invitation, account: Account): void {
    const obstacle = obstacleOf(invitation, account);
    if (obstacle) throw forbidden('insufficient_role', OBSTACLE_MESSAGES[obstacle]);
  }

  async function record(
    uow: UnitOfWork,
    action: 'invitation.created' | 'invitation.revoked' | 'invitation.accepted',
    { id, organizationId, role }: Invitation,
    accountId: string,
    meta: RequestMeta,
  ): Promise<void> {
    const detail = { invitation: id, role };
    await audit.record(uow, action, { by: accountId, accountId, organizationId, meta, detail });
  }
}

const OBSTACLE_MESSAGES: Record<Obstacle, string> = {
  other_address: 'This invitation is for another e-mail address.',
  unverified: 'Verify your e-mail address first.',
};

/** The error for a used, revoked or expired invitation. */
export const invalidInvitation = () =>
  notFound('This invitation was used or revoked, or has expired. Ask for a new one.');

const alreadyMember = () => conflict('An account with this e-mail address is already a member.');
