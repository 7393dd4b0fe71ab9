/**
 * Organizations: whom accounts work for, and in which role. Every account owns one from its first
 * day.
 */
import { randomUUID } from 'node:crypto';
import { conflict, forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import { isReadable, isStorable } from '../../base/text.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import { isAtLeast, minRole, type OrganizationRole } from './roles.js';

/**
 * Who does something in an organization: an account, or a key that acts for it within narrower
 * bounds.
 */
export interface Actor {
  accountId: string;
  key?: { organizationId: string; projectId: string | undefined; role: OrganizationRole };
}

/** An organization as one of its members sees it. */
export interface OrganizationOfMember {
  id: string;
  name: string;
  role: OrganizationRole;
  /** The one that the account was given at its registration. */
  own: boolean;
  createdAt: Date;
}

interface Deps {
  db: Database;
  audit: Audit;
}

const MAX_NAME_LENGTH = 100;
const MAX_OWNED = 100;

const newId = () => `co_${randomUUID()}`;

export type Organizations = ReturnType<typeof createOrganizations>;

export function createOrganizations({ db, audit }: Deps) {
  return {
    createOwn,
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

  /** Makes the account's own organization, inside the transaction that makes the account. */
  async function createOwn(account: Account, tx: Queryable): Promise<void> {
    const name = account.name ?? account.email;
    await write({ name, ownerId: account.id }, account.id, tx);
  }

  /** One that belongs to nobody yet, inside the transaction that puts something into it. */
  async function createEmpty(name: string, tx: Queryable): Promise<{ id: string }> {
    return tx.organization.create({ data: { id: newId(), name } });
  }

  /**
   * Makes somebody the owner of one that belongs to nobody, inside the transaction that found out
   * that it is theirs.
   */
  async function makeOwner(accountId: string, organizationId: string, tx: Queryable): Promise<void> {
    const role: OrganizationRole = 'owner';
    await tx.membership.create({ data: { accountId, organizationId, role } });
  }

  /** Deletes one that still belongs to nobody. */
  async function removeEmpty(id: string, tx: Queryable): Promise<void> {
    await tx.organization.deleteMany({ where: { id, ownerId: null, memberships: { none: {} }, agents: { none: {} } } });
  }

  /**
   * Another organization, owned by whoever makes it. Refuses with `invalid_request` or `conflict`.
   */
  async function create(accountId: string, givenName: string, meta: RequestMeta): Promise<OrganizationOfMember> {
    const name = nameOf(givenName);
    return db.$transaction(async (tx) => {
      if ((await tx.membership.count({ where: { accountId, role: 'owner' } })) >= MAX_OWNED) {
        throw conflict(`An account can own at most ${MAX_OWNED} organizations.`);
      }
      const { id, createdAt } = await write({ name }, accountId, tx);
      await note('organization.created', id, accountId, meta, tx);
      return { id, name, role: 'owner', own: false, createdAt };
    });
  }

  /** Where an account is a member: its own organization first. */
  async function listFor(accountId: string): Promise<OrganizationOfMember[]> {
    const rows = await db.membership.findMany({
      where: { accountId },
      include: { organization: true },
      orderBy: [{ createdAt: 'asc' }, { organizationId: 'asc' }],
    });
    const all = rows.map(({ role, organization: { id, name, ownerId, createdAt } }) => {
      return { id, name, role: role as OrganizationRole, own: ownerId === accountId, createdAt };
    });
    return [...all.filter(({ own }) => own), ...all.filter(({ own }) => !own)];
  }

  /**
   * Where something goes when nobody says where. Refuses with `invalid_request` whoever has no
   * organization of their own.
   */
  async function personalOrganizationId(accountId: string): Promise<string> {
    const own = (await listFor(accountId)).find((organization) => organization.own);
    if (!own) throw invalidRequest('Some values are missing.', { organization_id: 'Name the organization.' });
    return own.id;
  }

  /**
   * All where an account is a member, for whoever acts: a key reaches its own organization only,
   * and in the role that it has there.
   */
  async function accessibleTo({ accountId, key }: Actor): Promise<OrganizationOfMember[]> {
    const all = await listFor(accountId);
    if (!key) return all;
    return all
      .filter(({ id }) => id === key.organizationId)
      .map((organization) => ({ ...organization, role: minRole(organization.role, key.role) }));
  }

  /** The same, for who asks what organizations there are: that is not for the key of a project. */
  async function visibleTo(actor: Actor): Promise<OrganizationOfMember[]> {
    if (actor.key?.projectId) throw outOfScope();
    return accessibleTo(actor);
  }

  /** The organization, to whoever is a member of it. Refuses as `requireExisting` does. */
  async function find(actor: Actor, id: string): Promise<OrganizationOfMember> {
    const role = await requireMember(actor, id, 'viewer');
    const { name, ownerId, createdAt } = await db.organization.findUniqueOrThrow({ where: { id } });
    return { id, name, role, own: ownerId === actor.accountId, createdAt };
  }

  async function rename(actor: Actor, id: string, givenName: string, meta: RequestMeta): Promise<OrganizationOfMember> {
    const role = await requireMember(actor, id, 'admin');
    const name = nameOf(givenName);
    const { ownerId, createdAt } = await db.$transaction(async (tx) => {
      await note('organization.renamed', id, actor.accountId, meta, tx);
      return tx.organization.update({ where: { id }, data: { name } });
    });
    return { id, name, role, own: ownerId === actor.accountId, createdAt };
  }

  /**
   * What the actor may in an organization, if that is enough. Refuses with `not_found` whoever is
   * no member, with `insufficient_role` whoever may too little, and with `project_scope_violation`
   * a key that is confined to another organization or to a project.
   */
  async function requireMember(
    actor: Actor,
    organizationId: string,
    wanted: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    if (actor.key?.projectId) throw outOfScope();
    return requireRole(actor, organizationId, wanted, tx);
  }

  /** The same for what belongs to one project, whoever else is confined to it. */
  async function requireRole(
    actor: Actor,
    organizationId: string,
    wanted: OrganizationRole,
    tx: Queryable = db,
  ): Promise<OrganizationRole> {
    const role = await roleOf(actor, organizationId, tx);
    if (!role) throw notFound('There is no such organization.');
    if (!isAtLeast(role, wanted)) throw forbidden('insufficient_role', `This takes the role ${wanted} or above.`);
    return role;
  }

  /** The lesser of the member's role and the key's; nothing for whoever is no member. */
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

  /** What belongs to it stays as it is until the transaction is over. Refuses with `not_found`. */
  async function lock(id: string, tx: Queryable): Promise<void> {
    const { count } = await tx.organization.updateMany({ where: { id }, data: { id } });
    if (count === 0) throw notFound('There is no such organization.');
  }

  async function write(data: { name: string; ownerId?: string }, accountId: string, tx: Queryable) {
    const organization = await tx.organization.create({ data: { id: newId(), ...data } });
    await makeOwner(accountId, organization.id, tx);
    return organization;
  }

  async function note(
    action: 'organization.created' | 'organization.renamed',
    organizationId: string,
    accountId: string,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    await audit.record({ action, actor: { kind: 'account', id: accountId }, organizationId, accountId, meta }, tx);
  }
}

/** As it is stored. Refuses with `invalid_request` what nobody could read. */
export function nameOf(given: string): string {
  const name = normalizeName(given);
  if (isFitName(name)) return name;
  throw invalidRequest('Some values cannot be used.', { name: NAME_ERROR });
}

export const NAME_ERROR = `Use at most ${MAX_NAME_LENGTH} ordinary characters.`;

export const normalizeName = (given: string) => given.normalize('NFC').trim();

export const isFitName = (name: string) => isStorable(name) && isReadable(name) && name.length <= MAX_NAME_LENGTH;

export const outOfScope = () => forbidden('project_scope_violation', 'This key is confined to another place.');
