/**
 * API keys: named secrets that act for an account in one organization, within a role and scopes.
 * Only their hash is stored.
 */
import { forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import { addSeconds, type Clock } from '../../base/clock.js';
import { constantTimeEqual, sha256 } from '../../base/crypto.js';
import type { ApiKey, Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, mapPage, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit } from '../audit/audit.js';
import { type Organizations, validName } from '../organizations/organizations.js';
import type { Projects } from '../organizations/projects.js';
import { isAtLeast, minRole, type OrganizationRole } from '../organizations/roles.js';
import type { Resources } from '../resources/resources.js';
import { formatOf, KEY_FORMATS, type KeyFormatName, prefixOf } from './formats.js';
import { type FreshApiKey, isKeyActive, keyEvent, keyNotFound, mintKey } from './records.js';
import { createKeyRotation } from './rotation.js';
import type { KeyUsage } from './usage.js';

export type { ApiKey } from '../../base/db/open.js';

export const KEY_ROLES = ['viewer', 'operator', 'admin'] as const satisfies OrganizationRole[];
export type KeyRole = (typeof KEY_ROLES)[number];

export interface NewApiKey {
  name: string;
  format: KeyFormatName;
  /** Default: the account's personal organization. */
  organizationId?: string | undefined;
  projectId?: string | undefined;
  role?: KeyRole | undefined;
  scopes?: string[] | undefined;
  /** The lifetime. Null: the key never expires. */
  lifeSeconds: number | null;
}

/** A verified key and the account it acts for. */
export interface ApiKeyUse {
  key: ApiKey;
  account: Account;
  /** The effective role: the lower of the key's role and its owner's role. */
  role: KeyRole;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  accountLimits: AccountLimits;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Organizations;
  projects: Projects;
  usage: KeyUsage;
  resources: Pick<Resources, 'scopes'>;
}

/** The maximum number of scopes of one key. */
export const MAX_SCOPES = 50;

const BY_NEWEST = createPageOrder({ list: 'api-keys', date: 'createdAt', key: 'id', direction: 'desc' });

/** Active keys are neither revoked nor expired. */
type KeyActivity = 'active' | 'inactive';

export type ApiKeys = ReturnType<typeof createApiKeys>;

export function createApiKeys(deps: Deps) {
  const { db, transact, clock, audit, accountLimits, invalidationBus } = deps;
  const { accounts, organizations, projects, usage, resources } = deps;
  const { rotate } = createKeyRotation(deps);

  return { create, list, countActive, findActive, isActive, ownerOf, revoke, rotate, verify, removeAllFor };

  /**
   * Creates a key. Throws `invalid_request` by field, `insufficient_role` if the role is above the
   * owner's, `not_found` for the organization or project, or `conflict` at the limit of active
   * keys.
   *
   * @param by the user who creates it, if not the owner
   */
  async function create(user: ActingUser, input: NewApiKey, meta: RequestMeta, by = user): Promise<FreshApiKey> {
    const { account: owner } = user;
    const name = validName(input.name);
    const { scopes = [] } = input;
    if (scopes.length > MAX_SCOPES)
      throw invalidRequest('Some values cannot be used.', { scopes: `Use at most ${MAX_SCOPES}.` });
    const unknown = scopes.find((scope) => !resources.scopes().includes(scope));
    if (unknown !== undefined)
      throw invalidRequest('Some values cannot be used.', { scopes: `Unknown scope: ${unknown}.` });
    const { organizationId, projectId } = await organizationOf(owner, input);
    const ownRole = await organizations.requireMember({ accountId: owner.id }, organizationId, 'viewer');
    const role = input.role ?? (ownRole === 'owner' ? 'admin' : ownRole);
    if (!isAtLeast(ownRole, role)) {
      throw forbidden('insufficient_role', 'A key cannot have a higher role than its creator.');
    }
    const { key, data } = mintKey(KEY_FORMATS[input.format]);
    const expiresAt = input.lifeSeconds === null ? null : addSeconds(clock.now(), input.lifeSeconds);
    const record = await transact(async (uow) => {
      const { tx } = uow;
      const users = by.account.id === owner.id ? [by] : [by, user].sort(byAccountId);
      let current = owner;
      for (const one of users) {
        const locked = await accounts.lockActing(one, tx);
        if (locked.id === owner.id) current = locked;
      }
      await accountLimits.requireRoom('apiKeys', current, tx);
      const created = await tx.apiKey.create({
        data: {
          ...data,
          ...{ accountId: owner.id, organizationId, projectId, name, role, scopes, expiresAt },
          createdAt: clock.now(),
        },
      });
      await audit.record(uow, 'api_key.created', keyEvent(created, by.account.id, meta));
      return created;
    });
    return { key, record };
  }

  /** Returns a page of an account's keys, newest first, with the latest use counts. */
  async function list(accountId: string, page: PageRequest, activity?: KeyActivity): Promise<Page<ApiKey>> {
    const rows = await db.apiKey.findMany({
      where: { accountId, ...(activity && byActivity(activity)), ...BY_NEWEST.after(page) },
      orderBy: BY_NEWEST.orderBy,
      take: BY_NEWEST.take(page),
    });
    return mapPage(BY_NEWEST.toPage(rows, page), usage.withLatest);
  }

  /** Returns the number of an account's active keys. */
  async function countActive(accountId: string): Promise<number> {
    return db.apiKey.count({ where: { accountId, ...byActivity('active') } });
  }

  function byActivity(activity: KeyActivity): Prisma.ApiKeyWhereInput {
    const now = clock.now();
    return activity === 'active'
      ? { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
      : { OR: [{ revokedAt: { not: null } }, { expiresAt: { lte: now } }] };
  }

  /** Returns one of an account's active keys. Throws `not_found`. */
  async function findActive(accountId: string, id: string): Promise<ApiKey> {
    const row = await db.apiKey.findFirst({ where: { id, accountId } });
    if (!row || !isActive(row)) throw keyNotFound();
    return usage.withLatest(row);
  }

  /** Reports whether a key is neither revoked nor expired. */
  function isActive(key: ApiKey): boolean {
    return isKeyActive(key, clock.now());
  }

  /** Returns the account id of a key, unless the key was revoked. */
  async function ownerOf(id: string): Promise<string | undefined> {
    return (await db.apiKey.findFirst({ where: { id, revokedAt: null } }))?.accountId;
  }

  /**
   * Revokes one of the account's keys. Throws `not_found`.
   *
   * @param by the id of the account that revokes it, if not the owner
   */
  async function revoke(accountId: string, id: string, meta: RequestMeta, by = accountId): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const where = { id, accountId, revokedAt: null };
      const { count } = await tx.apiKey.updateMany({ where, data: { revokedAt: clock.now() } });
      if (count === 0) throw keyNotFound();
      const revoked = await tx.apiKey.findUniqueOrThrow({ where: { id } });
      await audit.record(uow, 'api_key.revoked', keyEvent(revoked, by, meta));
      afterCommit(() => invalidationBus.publish('api-keys', id));
    });
  }

  /**
   * Returns the active key with this secret, its account and its effective role. Hashes are
   * compared in constant time. The key is inactive if its owner is no longer a member of the
   * organization.
   */
  async function verify(text: string): Promise<ApiKeyUse | 'expired' | undefined> {
    const format = formatOf(text);
    if (!format) return undefined;
    const hash = sha256(text);
    const candidates = await db.apiKey.findMany({
      where: { prefix: prefixOf(text, format), revokedAt: null },
      include: { account: true },
    });
    const match = candidates.find((candidate) => constantTimeEqual(candidate.hash, hash));
    if (match?.account.status !== 'active') return undefined;
    if (match.expiresAt && match.expiresAt <= clock.now()) return 'expired';
    const { account, ...key } = match;
    const ownRole = await organizations.roleOf({ accountId: account.id }, key.organizationId);
    return ownRole && { key, account, role: minRole(key.role as KeyRole, ownRole) as KeyRole };
  }

  /**
   * Deletes all keys of an account, or only those created `before` a time. Returns their number.
   * The caller must invalidate the cached account.
   */
  async function removeAllFor(accountId: string, tx: Queryable, before?: Date): Promise<number> {
    const where = { accountId, ...(before && { createdAt: { lt: before } }) };
    return (await tx.apiKey.deleteMany({ where })).count;
  }

  /** Returns the organization and project of a new key. Throws `not_found` for the project. */
  async function organizationOf(owner: Account, { organizationId, projectId }: NewApiKey) {
    if (projectId) {
      const project = await projects.find({ accountId: owner.id }, projectId);
      if (organizationId && organizationId !== project.organizationId) throw notFound('There is no such project.');
      return { organizationId: project.organizationId, projectId };
    }
    return {
      organizationId: organizationId ?? (await organizations.personalOrganizationId(owner.id)),
      projectId: null,
    };
  }
}

/** The lock order of accounts, to avoid deadlocks. */
const byAccountId = (a: ActingUser, b: ActingUser) => (a.account.id < b.account.id ? -1 : 1);
