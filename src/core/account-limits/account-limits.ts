/** Limits how many objects of each kind one account or one organization can have. */
import { conflict, withBound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import type { Account, Queryable } from '../../base/db/open.js';

type Count = (accountId: string, tx: Queryable) => Promise<number>;

type LimitedAccount = Pick<Account, 'id' | 'emailVerified'>;

type OrganizationKind = 'organizationAgents' | 'organizationProjects' | 'openInvitations';

type LimitedKind = 'agents' | 'apiKeys' | 'identities' | 'memberships' | 'organizations' | 'projects';

export type AccountLimits = ReturnType<typeof createAccountLimits>;

export function createAccountLimits({ config, clock, mailer }: Base) {
  const limits = config.accountLimits;
  const kinds: Record<LimitedKind, { setting: string; plural: string; count: Count }> = {
    agents: { setting: 'MAX_AGENTS', plural: 'agents', count: (ownerId, tx) => tx.agent.count({ where: { ownerId } }) },
    apiKeys: { setting: 'MAX_API_KEYS', plural: 'active keys', count: countActiveKeys },
    identities: {
      setting: 'MAX_LINKED_IDENTITIES',
      plural: 'linked identities',
      count: (accountId, tx) => tx.federatedIdentity.count({ where: { accountId } }),
    },
    memberships: {
      setting: 'MAX_MEMBERSHIPS',
      plural: 'memberships',
      count: (accountId, tx) => tx.membership.count({ where: { accountId } }),
    },
    organizations: {
      setting: 'MAX_ORGANIZATIONS',
      plural: 'organizations',
      count: (accountId, tx) => tx.membership.count({ where: { accountId, role: 'owner' } }),
    },
    projects: {
      setting: 'MAX_PROJECTS',
      plural: 'projects',
      count: (accountId, tx) =>
        tx.project.count({ where: { organization: { memberships: { some: { accountId, role: 'owner' } } } } }),
    },
  };

  const organizationKinds: Record<OrganizationKind, { setting: string; plural: string; count: Count }> = {
    organizationAgents: {
      setting: 'MAX_ORGANIZATION_AGENTS',
      plural: 'agents',
      count: (organizationId, tx) => tx.agent.count({ where: { organizationId } }),
    },
    organizationProjects: {
      setting: 'MAX_ORGANIZATION_PROJECTS',
      plural: 'projects',
      count: (organizationId, tx) => tx.project.count({ where: { organizationId } }),
    },
    openInvitations: {
      setting: 'MAX_OPEN_INVITATIONS',
      plural: 'open invitations',
      count: (organizationId, tx) => tx.invitation.count({ where: { organizationId, expiresAt: { gt: clock.now() } } }),
    },
  };

  return { requireRoom, requireRoomInOrganization };

  /**
   * Throws `AppError` `conflict` if the account cannot have another object of this kind. The caller
   * must lock the account, so that concurrent calls cannot exceed the limit. An account with an
   * unverified e-mail address can have fewer objects, if this server sends mail.
   */
  async function requireRoom(kind: LimitedKind, account: LimitedAccount, tx: Queryable): Promise<void> {
    const { id: accountId, emailVerified } = account;
    const isReduced = mailer.canSend && !emailVerified && limits.unverified < limits[kind];
    const max = isReduced ? limits.unverified : limits[kind];
    const { setting, plural, count } = kinds[kind];
    if ((await count(accountId, tx)) < max) return;
    const advice = isReduced ? ' Verify your e-mail address to have more.' : '';
    const error = conflict(`An account can have at most ${max} ${plural}.${advice}`);
    throw withBound(isReduced ? 'MAX_UNVERIFIED' : setting, error);
  }

  /** Throws like `requireRoom` for an organization. The caller must lock the organization. */
  async function requireRoomInOrganization(
    kind: OrganizationKind,
    organizationId: string,
    tx: Queryable,
  ): Promise<void> {
    const { setting, plural, count } = organizationKinds[kind];
    if ((await count(organizationId, tx)) < limits[kind]) return;
    throw withBound(setting, conflict(`An organization can have at most ${limits[kind]} ${plural}.`));
  }

  function countActiveKeys(accountId: string, tx: Queryable): Promise<number> {
    const notExpired = { OR: [{ expiresAt: null }, { expiresAt: { gt: clock.now() } }] };
    return tx.apiKey.count({ where: { accountId, revokedAt: null, ...notExpired } });
  }
}
