/**
 * Invitations into an organization, by e-mail: good once, for a week, for whoever has shown that
 * the address is theirs, and for as long as whoever invited them could still do so.
 */

import { conflict, forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Invitation, Organization, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { type Accounts, isEmail, normalizeEmail } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { OrganizationOfMember, Organizations } from '../organizations/organizations.js';
import { canInvite, isAtLeast, type OrganizationRole } from '../organizations/roles.js';
import type { RequestMeta } from '../request-meta.js';

export interface NewInvitation {
  email: string;
  role: OrganizationRole;
}

/** An invitation and who it is from. The token is not a part of it: only its hash is known. */
export type InvitationWithInviter = Invitation & { invitedBy: Account };
export type OpenInvitation = InvitationWithInviter & { organization: Organization };

/** What an account lacks for an invitation, if anything. */
export type Obstacle = 'other_address' | 'unverified';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  rateLimiter: RateLimiter;
  mail: Mail;
  organizations: Organizations;
  accounts: Pick<Accounts, 'lock' | 'isActive'>;
}

const LIFE_SECONDS = 7 * DAY_SECONDS;
const MAX_OPEN = 200;
const BY_INVITER: Limit = { name: 'invitation-inviter', points: 100, seconds: DAY_SECONDS };
/**
 * However many organizations somebody makes, nobody's mailbox is filled from here; and no one
 * person uses up what others may mail too.
 */
const BY_PAIR: Limit = { name: 'invitation-pair', points: 10, seconds: DAY_SECONDS };
const BY_ADDRESS: Limit = { name: 'invitation-address', points: 30, seconds: DAY_SECONDS };

export type Invitations = ReturnType<typeof createInvitations>;

export function createInvitations(deps: Deps) {
  const { db, clock, audit, invalidationBus, rateLimiter, mail, organizations, accounts } = deps;
  return { create, list, revoke, find, obstacleOf, accept };

  /**
   * Mails an invitation; an earlier one for the same address is void. Whoever invites has shown
   * that their own address is theirs: a stranger who made an account in another's name brings
   * nobody in before its owner comes. Refuses as `organizations.requireExisting` does, and with
   * `insufficient_role`, `invalid_request`, `conflict` or `rate_limited`.
   */
  async function create(
    inviter: Account,
    organizationId: string,
    input: NewInvitation,
    meta: RequestMeta,
  ): Promise<InvitationWithInviter> {
    const email = normalizeEmail(input.email);
    if (!isEmail(email)) throw invalidRequest('Some values cannot be used.', { email: 'Enter an e-mail address.' });
    await requireCanInvite(inviter.id, organizationId, input.role);
    if (!inviter.emailVerified) throw forbidden('insufficient_role', 'First confirm your own e-mail address.');
    if (!mail.isConfigured) throw conflict('This server sends no mail: nobody can be invited.');
    await rateLimiter.consume(BY_INVITER, inviter.id);
    await rateLimiter.consume(BY_PAIR, `${inviter.id} ${email}`);
    await rateLimiter.consume(BY_ADDRESS, email);

    const token = randomToken();
    const now = clock.now();
    const invitation = await db.$transaction(async (tx) => {
      await organizations.lock(organizationId, tx);
      const own = await requireCanInvite(inviter.id, organizationId, input.role, tx);
      await rejectExistingMember(email, organizationId, tx);
      await makeRoom(own, email, organizationId, tx);
      const made = await tx.invitation.create({
        data: {
          organizationId,
          email,
          role: input.role,
          tokenHash: sha256(token),
          invitedById: inviter.id,
          createdAt: now,
          expiresAt: addSeconds(now, LIFE_SECONDS),
        },
      });
      await note('invitation.created', made, inviter.id, meta, tx);
      return made;
    });
    // Neither the name of the organization nor that of the inviter: they would be a stranger's
    // words in a mail from us.
    mail.send({ address: email }, 'invitation', { token, inviter: inviter.email, role: input.role });
    return { ...invitation, invitedBy: inviter };
  }

  /**
   * Those that can still be accepted, the newest first. Refuses as `organizations.requireExisting`
   * does.
   */
  async function list(accountId: string, organizationId: string): Promise<InvitationWithInviter[]> {
    await organizations.requireMember({ accountId }, organizationId, 'admin');
    return db.invitation.findMany({
      where: { organizationId, expiresAt: { gt: clock.now() } },
      include: { invitedBy: true },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    });
  }

  /** Its link works no more. Nobody takes back what they could not have given. */
  async function revoke(accountId: string, organizationId: string, id: string, meta: RequestMeta): Promise<void> {
    await organizations.requireMember({ accountId }, organizationId, 'admin'); // a stranger makes nobody wait
    await db.$transaction(async (tx) => {
      await organizations.lock(organizationId, tx);
      const invitation = await tx.invitation.findFirst({ where: { id, organizationId } });
      if (!invitation || invitation.expiresAt <= clock.now()) throw notFound('There is no such invitation.');
      await requireCanInvite(accountId, organizationId, invitation.role as OrganizationRole, tx);
      await tx.invitation.deleteMany({ where: { id } });
      await note('invitation.revoked', invitation, accountId, meta, tx);
    });
  }

  /**
   * What a token stands for, without spending it; nothing once it was used, taken back, has
   * expired, or its inviter may no more.
   */
  async function find(token: string): Promise<OpenInvitation | undefined> {
    const invitation = await db.invitation.findFirst({
      where: { tokenHash: sha256(token), expiresAt: { gt: clock.now() } },
      include: { organization: true, invitedBy: true },
    });
    return invitation && (await requireValid(invitation, db)) ? invitation : undefined;
  }

  function obstacleOf({ email }: Pick<Invitation, 'email'>, account: Account): Obstacle | undefined {
    if (account.email !== email) return 'other_address';
    return account.emailVerified ? undefined : 'unverified';
  }

  /**
   * Makes the account a member. Of many who accept at once one does. Refuses with `not_found` when
   * `find` finds nothing, with `insufficient_role` when there is an obstacle, and with `conflict`
   * who is a member already; the invitation then stays good.
   */
  async function accept(token: string, account: Account, meta: RequestMeta): Promise<OrganizationOfMember> {
    const invitation = await find(token);
    if (!invitation) throw invalidInvitation();
    throwIfObstructed(invitation, account);
    const { id, organizationId, organization, tokenHash } = invitation;
    const role = invitation.role as OrganizationRole;
    const now = clock.now();
    await db.$transaction(async (tx) => {
      // In the order in which everybody holds them: two who wait for each other would wait in vain.
      const current = await accounts.lock(account.id, tx);
      if (!accounts.isActive(current)) throw invalidInvitation();
      await organizations.lock(organizationId, tx); // as whoever changes roles does: the inviter's is settled now
      const { count } = await tx.invitation.deleteMany({ where: { id, tokenHash, expiresAt: { gt: now } } });
      if (count !== 1 || !(await requireValid(invitation, tx))) throw invalidInvitation();
      throwIfObstructed(invitation, current);
      if (await organizations.roleOf({ accountId: account.id }, organizationId, tx)) throw isMember();
      await tx.membership.create({ data: { accountId: account.id, organizationId, role, createdAt: now } });
      await note('invitation.accepted', invitation, account.id, meta, tx);
    });
    await invalidationBus.publish('organizations', organizationId);
    return { id: organizationId, name: organization.name, role, own: false, createdAt: organization.createdAt };
  }

  /** Whether its inviter could still make it. */
  async function requireValid({ organizationId, invitedById, role }: Invitation, tx: Queryable): Promise<boolean> {
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
    throw forbidden('insufficient_role', 'Nobody brings anybody in above themselves.');
  }

  async function rejectExistingMember(email: string, organizationId: string, tx: Queryable): Promise<void> {
    const known = await tx.membership.findFirst({ where: { organizationId, account: { email } } });
    if (known) throw isMember();
  }

  /**
   * For one more, in the place of an earlier one for this address. Who stands higher may have made
   * that: then it stays.
   */
  async function makeRoom(own: OrganizationRole, email: string, organizationId: string, tx: Queryable): Promise<void> {
    const open = { organizationId, expiresAt: { gt: clock.now() } };
    const earlier = await tx.invitation.findFirst({ where: { ...open, email } });
    if (earlier && !isAtLeast(own, earlier.role as OrganizationRole)) {
      throw forbidden('insufficient_role', 'Somebody who stands higher has invited this address.');
    }
    await tx.invitation.deleteMany({ where: { organizationId, email } });
    if ((await tx.invitation.count({ where: open })) < MAX_OPEN) return;
    throw conflict(`At most ${MAX_OPEN} invitations can be open.`);
  }

  function throwIfObstructed(invitation: Invitation, account: Account): void {
    const obstacle = obstacleOf(invitation, account);
    if (obstacle) throw forbidden('insufficient_role', OBSTACLE_MESSAGES[obstacle]);
  }

  async function note(
    action: 'invitation.created' | 'invitation.revoked' | 'invitation.accepted',
    { id, organizationId, role }: Invitation,
    accountId: string,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: accountId };
    await audit.record({ action, actor, accountId, organizationId, meta, detail: { invitation: id, role } }, tx);
  }
}

const OBSTACLE_MESSAGES: Record<Obstacle, string> = {
  other_address: 'This invitation is for another e-mail address.',
  unverified: 'First confirm that the e-mail address is yours.',
};

/** What a link says that works no more. */
export const invalidInvitation = () =>
  notFound('This invitation was used or taken back, or has expired. Ask for another one.');

const isMember = () => conflict('Whoever has this address is a member already.');
