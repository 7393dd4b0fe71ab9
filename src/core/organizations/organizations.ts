/** Organizations, whose members have roles. Every account owns a personal organization. */
import { randomUUID } from 'node:crypto';
import { forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import type { Account, Database, Membership, Organization, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import { createPageOrder, mapPage, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { isReadable, isStorable } from '../../base/text.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import { lockAccount } from '../account-limits/account-lock.js';
import type { Audit } from '../audit/audit.js';
import { isAtLeast, minRole, type OrganizationRole } from './roles.js';

/** An account, or an API key that acts for it within limits. */
export interface Actor {
  accountId: string;
  key?: { organizationId: string; projectId: string | undefined; role: OrganizationRole };
}

/** An organization with the role of one of its members. */
export interface OrganizationOfMember {
  id: string;
  name: string;
  role: OrganizationRole;
  /** Whether it is the member's personal organization. */
  own: boolean;
  createdAt: Date;
}

interface Deps {
  db: Database;
  transact: Transact;
  audit: Audit;
  accountLimits: AccountLimits;
}

type MembershipRow = Membership & { organization: Organization };

const MAX_NAME_LENGTH = 100;

const BY_JOIN_TIME = createPageOrder({
  list: 'organizations',
  date: 'createdAt',
  key: 'organizationId',
  direction: 'asc',
});

const newId = () => `co_${randomUUID()}`;

export type Organizations = ReturnType<typeof createOrganizations>;

export function createOrganizations({ db, transact, audit, accountLimits }: Deps) {
  return {
    createPersonal,
    createEmpty,
    create,
    makeOwner,
    removeEmpty,
    listFor,
    personalOrganizationId,
    accessibleTo,
    visibleTo,
    find,
    rename,
    requireMember,
    requireRole,
    roleOf,
    lock,
  };

  /** Creates the personal organization of a new account. */
  async function createPersonal(account: Account, tx: Queryable): Promise<void> {
    const name = account.name ?? account.email;
    await insert({ name, ownerId: account.id }, account.id, tx);
  }

  /** Creates an organization without members, for an unclaimed agent. */
  async function createEmpty(name: string, tx: Queryable): Promise<{ id: string }> {
    return tx.organization.create({ data: { id: newId(), name } });
  }

  /** Makes the account an owner of an organization without members. */
  async function makeOwner(accountId: string, organizationId: string, tx: Queryable): Promise<void> {
    const role: OrganizationRole = 'owner';
    await tx.membership.create({ data: { accountId, organizationId, role } });
  }

  /** Deletes the organization if it has neither members nor agents. */
  async function removeEmpty(id: string, tx: Queryable): Promise<void> {
    await tx.organization.deleteMany({ where: { id, ownerId: null, memberships: { none: {} }, agents: { none: {} } } });
  }

  /**
   * Creates an organization owned by the account. Throws `AppError` `invalid_request`, or
   * `conflict` if the account owns too many.
   */
  async function create(accountId: string, givenName: string, meta: RequestMeta): Promise<OrganizationOfMember> {
    const name = validName(givenName);
    return transact(async (uow) => {
      const { tx } = uow;
      const account = await lockAccount(accountId, tx);
      if (!account) throw notFound('There is no such account.');
      await accountLimits.requireRoom('organizations', account, tx);
      const { id, createdAt } = await insert({ name }, accountId, tx);
      await audit.record(uow, 'organization.created', { by: accountId, accountId, organizationId: id, meta });
      return { id, name, role: 'owner' as const, own: false, createdAt };
    });
  }

  /** Returns the organizations of an account, its personal one first. */
  async function listFor(accountId: string): Promise<OrganizationOfMember[]> {
    const rows = await db.membership.findMany({
      where: { accountId },
      include: { organization: true },
      orderBy: BY_JOIN_TIME.orderBy,
    });
    const all = rows.map(toOrganization);
    return [...all.filter(({ own }) => own), ...all.filter(({ own }) => !own)];
  }

  /**
   * Returns the account's personal organization, the default of requests without an organization.
   * Throws `AppError` `invalid_request` if the account has none.
   */
  async function personalOrganizationId(accountId: string): Promise<string> {
    const personal = await db.organization.findUnique({ where: { ownerId: accountId }, select: { id: true } });
    if (!personal) throw invalidRequest('Some values are missing.', { organization_id: 'Specify an organization.' });
    return personal.id;
  }

  /**
   * Returns the organizations that the actor can use. A key can use only its own organization, with
   * the lower of its role and its owner's.
   */
  async function accessibleTo({ accountId, key }: Actor): Promise<OrganizationOfMember[]> {
    const all = await listFor(accountId);
    return all.filter(({ id }) => !key || id === key.organizationId).map((one) => limitToKey(one, key));
  }

  /**
   * Returns a page of what `accessibleTo` returns, in the order in which the account joined the
   * organizations. Throws for a key of a project.
   */
  async function visibleTo({ accountId, key }: Actor, page: PageRequest): Promise<Page<OrganizationOfMember>> {
    if (key?.projectId) throw outOfScope();
    const rows = await db.membership.findMany({
      where: { accountId, ...(key && { organizationId: key.organizationId }), ...BY_JOIN_TIME.after(page) },
      include: { organization: true },
      orderBy: BY_JOIN_TIME.orderBy,
      take: BY_JOIN_TIME.take(page),
    });
    return mapPage(BY_JOIN_TIME.toPage(rows, page), (row) => limitToKey(toOrganization(row), key));
  }

  /** Returns the organization. Throws like `requireMember`. */
  async function find(actor: Actor, id: string): Promise<OrganizationOfMember> {
    const role = await requireMember(actor, id, 'viewer');
    const { name, ownerId, createdAt } = await db.organization.findUniqueOrThrow({ where: { id } });
    return { id, name, role, own: ownerId === actor.accountId, createdAt };
  }

  /** Renames the organization. Throws like `requireMember`, or `AppError` `invalid_request`. */
  async function rename(actor: Actor, id: string, givenName: string, meta: RequestMeta): Promise<OrganizationOfMember> {
    const role = await requireMember(actor, id, 'admin');
    const name = validName(givenName);
    const { accountId } = actor;
    const { ownerId, createdAt } = await transact(async (uow) => {
      await audit.record(uow, 'organization.renamed', { by: accountId, accountId, organizationId: id, meta });
      return uow.tx.organization.update({ where: { id }, data: { name } });
    });
    return { id, name, role, own: ownerId === accountId, createdAt };
  }

  /**
   * Returns the actor's role if it is at least `required`. Throws `AppError` `not_found` if the
   * actor is not a member, `insufficient_role`, or `project_scope_violation` for a key of another
   * organization or of a project.
   */
  async function requireMember(
    actor: Actor,
    organizationId: string,
    required: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    if (actor.key?.projectId) throw outOfScope();
    return requireRole(actor, organizationId, required, tx);
  }

  /** Like `requireMember`, but accepts keys of any project. The caller must check the project. */
  async function requireRole(
    actor: Actor,
    organizationId: string,
    required: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    const role = await roleOf(actor, organizationId, tx);
    if (!role) throw notFound('There is no such organization.');
    if (!isAtLeast(role, required))
      throw forbidden('insufficient_role', `This requires the role ${required} or above.`);
    return role;
  }

  /** Returns the lower of the member's role and the key's; undefined if the actor is no member. */
  async function roleOf(
    { accountId, key }: Actor,
    organizationId: string,
    tx: Queryable = db,
  ): Promise<OrganizationRole | undefined> {
    if (key && key.organizationId !== organizationId) throw outOfScope();
    const where = { accountId_organizationId: { accountId, organizationId } };
    const membership = await tx.membership.findUnique({ where });
    const role = membership?.role as OrganizationRole | undefined;
    return role && key ? minRole(role, key.role) : role;
  }

  /**
   * Locks the organization until the transaction ends, for changes of its members. Throws
   * `AppError` `not_found`.
   */
  async function lock(id: string, tx: Queryable): Promise<void> {
    const { count } = await tx.organization.updateMany({ where: { id }, data: { id } });
    if (count === 0) throw notFound('There is no such organization.');
  }

  async function insert(data: { name: string; ownerId?: string }, accountId: string, tx: Queryable) {
    const organization = await tx.organization.create({ data: { id: newId(), ...data } });
    await makeOwner(accountId, organization.id, tx);
    return organization;
  }
}

/** Normalizes a name. Throws `AppError` `invalid_request` if it is invalid. */
export function validName(rawName: string): string {
  const name = normalizeName(rawName);
  if (isValidName(name)) return name;
  throw invalidRequest('Some values are invalid.', { name: NAME_ERROR });
}

export const NAME_ERROR = `Use at most ${MAX_NAME_LENGTH} ordinary characters.`;

/** Returns the form in which names are stored. */
export const normalizeName = (rawName: string) => rawName.normalize('NFC').trim();

/** Reports whether a normalized name is visible text that is not too long. */
export const isValidName = (name: string) => isStorable(name) && isReadable(name) && name.length <= MAX_NAME_LENGTH;

/** Returns the error for an API key of another organization or project. */
export const outOfScope = () =>
  forbidden('project_scope_violation', 'This key is limited to another organization or project.');

function toOrganization({ accountId, role, organization }: MembershipRow): OrganizationOfMember {
  const { id, name, ownerId, createdAt } = organization;
  return { id, name, role: role as OrganizationRole, own: ownerId === accountId, createdAt };
}

/** A key has the lower of its role and its owner's. */
const limitToKey = (organization: OrganizationOfMember, key: Actor['key']): OrganizationOfMember =>
  key ? { ...organization, role: minRole(organization.role, key.role) } : organization;
