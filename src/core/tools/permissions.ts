/**
 * Stores each account's access level per tool. Instance administrators have full access and need no
 * row.
 */

import { notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Permission, Prisma, Tool } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Accounts } from '../accounts/accounts.js';
import type { KeyRole } from '../api-keys/api-keys.js';
import type { Audit } from '../audit/audit.js';
import { accountBehind, type Principal } from '../credentials/principal.js';
import { LEVEL_OF_ROLE, type Level, minLevel } from './levels.js';
import type { Tools } from './tools.js';

/** A permission with its tool. */
export type PermissionInTool = Permission & { tool: Tool };

/** Identifies a permission by its id, or by account and tool. */
export type PermissionChoice = { id: string } | { accountId: string; slug: string };

/** Selects the permissions of an account, of a tool, or both. */
export interface PermissionFilter {
  accountId?: string | undefined;
  slug?: string | undefined;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lock'>;
  tools: Tools;
}

const NO_LEVEL = 'none';
const BY_AGE = createPageOrder({ list: 'permissions', key: 'id', direction: 'asc' }); // the ids are ordered by time

export type Permissions = ReturnType<typeof createPermissions>;

export function createPermissions({ db, transact, clock, audit, invalidationBus, accounts, tools }: Deps) {
  const cache = createTtlCache<Level | typeof NO_LEVEL>({ clock });
  invalidationBus.on('tools', () => cache.invalidate());

  return { grant, revoke, list, levelOf, levelsOf };

  /** Grants a permission or changes its level. Throws `AppError` `not_found`. */
  async function grant(
    { accountId, slug, level }: { accountId: string; slug: string; level: Level },
    adminId: string,
    meta: RequestMeta,
  ): Promise<PermissionInTool> {
    const tool = await tools.requireExisting(slug);
    return transact(async (uow) => {
      const { tx } = uow;
      // Locks both rows, so that neither is deleted before the permission exists, and concurrent
      // grants do not violate the unique key.
      const account = await accounts.lock(accountId, tx);
      const { count } = await tx.tool.updateMany({ where: { id: tool.id }, data: { slug } });
      if (!account) throw notFound('There is no such account.');
      if (count === 0) throw notFound('There is no such tool.');
      const pair = { accountId, toolId: tool.id };
      const now = clock.now();
      const permission = await tx.permission.upsert({
        where: { accountId_toolId: pair },
        create: { ...pair, id: uuidv7(now), level, createdAt: now },
        update: { level },
      });
      const permissionInTool = { ...permission, tool };
      await recordChange(uow, 'permission.granted', permissionInTool, adminId, meta);
      return permissionInTool;
    });
  }

  /** Revokes a permission. Throws `AppError` `not_found`. */
  async function revoke(selector: PermissionChoice, adminId: string, meta: RequestMeta): Promise<void> {
    const where: Prisma.PermissionWhereInput =
      'id' in selector ? { id: selector.id } : { accountId: selector.accountId, tool: { slug: selector.slug } };
    await transact(async (uow) => {
      const permission = await uow.tx.permission.findFirst({ where, include: { tool: true } });
      const isDeleted =
        permission && (await uow.tx.permission.deleteMany({ where: { id: permission.id } })).count === 1;
      if (!isDeleted) throw notFound('There is no such permission.');
      await recordChange(uow, 'permission.revoked', permission, adminId, meta);
    });
  }

  /** Returns a page of the permissions of an account, in a tool, or of all, oldest first. */
  async function list({ accountId, slug }: PermissionFilter, page: PageRequest) {
    const rows = await db.permission.findMany({
      where: { ...(accountId && { accountId }), ...(slug && { tool: { slug } }), ...BY_AGE.after(page) },
      include: { tool: true },
      orderBy: BY_AGE.orderBy,
      take: BY_AGE.take(page),
    });
    return BY_AGE.toPage(rows, page);
  }

  /**
   * Returns the principal's level in a tool. Caches the granted level for a second, or until a
   * permission changes.
   */
  async function levelOf(principal: Principal, tool: Tool): Promise<Level | undefined> {
    const account = accountBehind(principal);
    if (!account) return undefined;
    const level = isInstanceAdmin(principal) ? 'admin' : await grantedLevel(account.id, tool);
    return level && limitToRole(principal, level);
  }

  /** Returns all tools that the principal can access, with its levels. Not cached. */
  async function levelsOf(principal: Principal): Promise<{ tool: Tool; level: Level }[]> {
    const account = accountBehind(principal);
    if (!account) return [];
    const grantedLevels = isInstanceAdmin(principal)
      ? (await tools.listAll()).map((tool) => ({ tool, level: 'admin' as const }))
      : (await listAllOf(account.id)).map(({ tool, level }) => ({ tool, level: level as Level }));
    return grantedLevels.map(({ tool, level }) => ({ tool, level: limitToRole(principal, level) }));
  }

  /** Returns the permissions of an account: at most one for each tool. */
  function listAllOf(accountId: string) {
    return db.permission.findMany({ where: { accountId }, include: { tool: true }, orderBy: BY_AGE.orderBy });
  }

  async function grantedLevel(accountId: string, tool: Tool): Promise<Level | undefined> {
    const level = await cache.getOrLoad(`${accountId} ${tool.id}`, async () => {
      const where = { accountId_toolId: { accountId, toolId: tool.id } };
      return ((await db.permission.findUnique({ where }))?.level as Level | undefined) ?? NO_LEVEL;
    });
    return level === NO_LEVEL ? undefined : level;
  }

  /** Audits the change and invalidates the caches after the commit. */
  async function recordChange(
    uow: UnitOfWork,
    action: 'permission.granted' | 'permission.revoked',
    { accountId, level, tool: { id, slug } }: PermissionInTool,
    adminId: string,
    meta: RequestMeta,
  ): Promise<void> {
    await audit.record(uow, action, { by: adminId, accountId, meta, detail: { tool: slug, level } });
    uow.afterCommit(() => invalidationBus.publish('tools', id));
  }
}

/**
 * Reports whether the principal acts as an instance administrator: with a session of this server,
 * or with an API key that has neither a project nor scopes. OAuth clients, external tokens and
 * all other API keys have only the granted permissions.
 */
function isInstanceAdmin(principal: Principal): boolean {
  if (accountBehind(principal)?.role !== 'admin') return false;
  if (principal.kind !== 'api-key') return principal.kind === 'session';
  const { projectId, scopes } = principal.key;
  return projectId === null && (scopes as string[]).length === 0;
}

/** Limits an API key to its role. */
function limitToRole(principal: Principal, level: Level): Level {
  return principal.kind === 'api-key' ? minLevel(level, LEVEL_OF_ROLE[principal.role as KeyRole]) : level;
}
