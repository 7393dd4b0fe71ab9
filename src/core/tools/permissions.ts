/**
 * Permissions: who may what in which tool. Administrators of the instance may everything
 * everywhere, without a row.
 */

import { notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Permission, Prisma, Queryable, Tool } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Accounts } from '../accounts/accounts.js';
import type { KeyRole } from '../api-keys/api-keys.js';
import type { Audit } from '../audit/audit.js';
import { accountBehind, type Principal } from '../credentials/principal.js';
import type { RequestMeta } from '../request-meta.js';
import { LEVEL_OF_ROLE, type Level, lesserLevel } from './levels.js';
import type { Tools } from './tools.js';

/** A permission, and the tool that it is for. */
export type PermissionInTool = Permission & { tool: Tool };

/** By its own id, or by whom and what it is about. */
export type PermissionChoice = { id: string } | { accountId: string; slug: string };

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lock'>;
  tools: Tools;
}

const NONE = 'none';
const MAX_LISTED = 10_000;

export type Permissions = ReturnType<typeof createPermissions>;

export function createPermissions({ db, clock, audit, invalidationBus, accounts, tools }: Deps) {
  const recent = createTtlCache<Level | typeof NONE>({ clock });
  invalidationBus.on('tools', () => recent.invalidate());

  return { grant, revoke, list, levelOf, levelsOf };

  /** Grants it, or changes its level. Refuses with `not_found`. */
  async function grant(
    { accountId, slug, level }: { accountId: string; slug: string; level: Level },
    adminId: string,
    meta: RequestMeta,
  ): Promise<PermissionInTool> {
    const tool = await tools.requireExisting(slug);
    const permission = await db.$transaction(async (tx) => {
      // Neither goes away before the permission is there, and of many who grant it at once each
      // finds the row of the one before.
      const account = await accounts.lock(accountId, tx);
      const { count } = await tx.tool.updateMany({ where: { id: tool.id }, data: { slug } });
      if (!account) throw notFound('There is no such account.');
      if (count === 0) throw notFound('There is no such tool.');
      const pair = { accountId, toolId: tool.id };
      const now = clock.now();
      const granted = await tx.permission.upsert({
        where: { accountId_toolId: pair },
        create: { ...pair, id: uuidv7(now), level, createdAt: now },
        update: { level },
      });
      await note('permission.granted', { ...granted, tool }, adminId, meta, tx);
      return granted;
    });
    await invalidationBus.publish('tools', tool.id);
    return { ...permission, tool };
  }

  /** Refuses with `not_found`. */
  async function revoke(choice: PermissionChoice, adminId: string, meta: RequestMeta): Promise<void> {
    const where: Prisma.PermissionWhereInput =
      'id' in choice ? { id: choice.id } : { accountId: choice.accountId, tool: { slug: choice.slug } };
    const permission = await db.$transaction(async (tx) => {
      const found = await tx.permission.findFirst({ where, include: { tool: true } });
      const gone = found && (await tx.permission.deleteMany({ where: { id: found.id } })).count === 1;
      if (!gone) throw notFound('There is no such permission.');
      await note('permission.revoked', found, adminId, meta, tx);
      return found;
    });
    await invalidationBus.publish('tools', permission.toolId);
  }

  /** The oldest first, at most 10,000. */
  async function list({ accountId, slug }: { accountId?: string | undefined; slug?: string | undefined } = {}) {
    return db.permission.findMany({
      where: { ...(accountId && { accountId }), ...(slug && { tool: { slug } }) },
      include: { tool: true },
      orderBy: { id: 'asc' },
      take: MAX_LISTED,
    });
  }

  /**
   * What somebody may in a tool, as it was at most a second ago; every process is also told at once
   * when that changes.
   */
  async function levelOf(principal: Principal, tool: Tool): Promise<Level | undefined> {
    const account = accountBehind(principal);
    if (!account) return undefined;
    const granted = isInstanceAdmin(principal) ? 'admin' : await grantedTo(account.id, tool);
    return granted && bounded(principal, granted);
  }

  /** The same for every tool in which they may anything. */
  async function levelsOf(principal: Principal): Promise<{ tool: Tool; level: Level }[]> {
    const account = accountBehind(principal);
    if (!account) return [];
    const granted = isInstanceAdmin(principal)
      ? (await tools.list()).map((tool) => ({ tool, level: 'admin' as const }))
      : (await list({ accountId: account.id })).map(({ tool, level }) => ({ tool, level: level as Level }));
    return granted.map(({ tool, level }) => ({ tool, level: bounded(principal, level) }));
  }

  async function grantedTo(accountId: string, tool: Tool): Promise<Level | undefined> {
    const level = await recent.getOrLoad(`${accountId} ${tool.id}`, async () => {
      const where = { accountId_toolId: { accountId, toolId: tool.id } };
      return ((await db.permission.findUnique({ where }))?.level as Level | undefined) ?? NONE;
    });
    return level === NONE ? undefined : level;
  }

  async function note(
    action: 'permission.granted' | 'permission.revoked',
    { accountId, level, tool: { slug } }: PermissionInTool,
    adminId: string,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: adminId };
    await audit.record({ action, actor, accountId, meta, detail: { tool: slug, level } }, tx);
  }
}

/**
 * Whether it stands for an administrator of the instance, as one: who signed in here does, and a
 * key of theirs that is confined to nothing. An app, an issuer elsewhere or a narrower key has what
 * was granted.
 */
function isInstanceAdmin(principal: Principal): boolean {
  if (accountBehind(principal)?.role !== 'admin') return false;
  if (principal.kind !== 'api-key') return principal.kind === 'login';
  const { projectId, scopes } = principal.key;
  return projectId === null && (scopes as string[]).length === 0;
}

/** A key never may more than its role. */
function bounded(principal: Principal, level: Level): Level {
  return principal.kind === 'api-key' ? lesserLevel(level, LEVEL_OF_ROLE[principal.role as KeyRole]) : level;
}
