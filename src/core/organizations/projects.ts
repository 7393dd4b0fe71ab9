/** Projects of an organization. An API key can be limited to one. */
import { randomUUID } from 'node:crypto';
import { notFound } from '../../base/app-error.js';
import type { Database, Project } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import { lockAccount } from '../account-limits/account-lock.js';
import type { Audit } from '../audit/audit.js';
import { type Actor, type Organizations, outOfScope, validName } from './organizations.js';
import type { OrganizationRole } from './roles.js';

export type { Project } from '../../base/db/open.js';

interface Deps {
  db: Database;
  transact: Transact;
  audit: Audit;
  accountLimits: AccountLimits;
  invalidationBus: InvalidationBus;
  organizations: Organizations;
}

const BY_AGE = createPageOrder({ list: 'projects', date: 'createdAt', key: 'id', direction: 'asc' });

export type Projects = ReturnType<typeof createProjects>;

export function createProjects(deps: Deps) {
  const { db, transact, audit, accountLimits, invalidationBus, organizations } = deps;

  return { create, visibleTo, listFor, find, rename, remove };

  /**
   * Creates a project. Throws like `organizations.requireMember`, or `AppError` `invalid_request`,
   * or `conflict` if there are too many.
   */
  async function create(actor: Actor, organizationId: string, givenName: string, meta: RequestMeta): Promise<Project> {
    await organizations.requireMember(actor, organizationId, 'admin');
    const name = validName(givenName);
    return transact(async (uow) => {
      const account = await lockAccount(actor.accountId, uow.tx); // lock order: the account before the organization
      if (!account) throw notFound('There is no such account.');
      await accountLimits.requireRoom('projects', account, uow.tx);
      await organizations.lock(organizationId, uow.tx);
      await accountLimits.requireRoomInOrganization('organizationProjects', organizationId, uow.tx);
      const project = await uow.tx.project.create({ data: { id: `prj_${randomUUID()}`, organizationId, name } });
      await record(uow, 'project.created', project, actor, meta);
      return project;
    });
  }

  /** Returns a page of the actor's projects for the API. Throws for a key of a project. */
  async function visibleTo(actor: Actor, page: PageRequest): Promise<Page<Project>> {
    if (actor.key?.projectId) throw outOfScope();
    return listFor(actor, page);
  }

  /**
   * Returns a page of the projects of the actor's organizations, oldest first. For a key, of those
   * that it can use. With `ids`, only these projects.
   */
  async function listFor(actor: Actor, page: PageRequest, ids?: string[]): Promise<Page<Project>> {
    const organizationIds = (await organizations.accessibleTo(actor)).map(({ id }) => id);
    const projectId = actor.key?.projectId;
    const rows = await db.project.findMany({
      where: {
        organizationId: { in: organizationIds },
        ...(ids && { id: { in: ids } }),
        ...(projectId && { id: projectId }),
        ...BY_AGE.after(page),
      },
      orderBy: BY_AGE.orderBy,
      take: BY_AGE.take(page),
    });
    return BY_AGE.toPage(rows, page);
  }

  /**
   * Returns the project if the actor's role is at least `required`. Throws `AppError` `not_found`,
   * `insufficient_role` or `project_scope_violation`.
   */
  async function find(actor: Actor, id: string, required: OrganizationRole = 'viewer'): Promise<Project> {
    if (actor.key?.projectId && actor.key.projectId !== id) throw outOfScope();
    const project = await db.project.findUnique({ where: { id } });
    // A key of another organization gets the same error as an account that is not a member, so that
    // it does not reveal which projects exist.
    const isOutside = actor.key && actor.key.organizationId !== project?.organizationId;
    if (!project || isOutside || !(await organizations.roleOf(actor, project.organizationId))) {
      throw notFound('There is no such project.');
    }
    await organizations.requireRole(actor, project.organizationId, required);
    return project;
  }

  /** Renames the project. Throws like `find`, or `AppError` `invalid_request`. */
  async function rename(actor: Actor, id: string, givenName: string, meta: RequestMeta): Promise<Project> {
    const project = await find(actor, id, 'admin');
    const name = validName(givenName);
    return transact(async (uow) => {
      await record(uow, 'project.renamed', project, actor, meta);
      return uow.tx.project.update({ where: { id }, data: { name } });
    });
  }

  /** Deletes the project and its API keys. Throws like `find`. */
  async function remove(actor: Actor, id: string, meta: RequestMeta): Promise<void> {
    const project = await find(actor, id, 'admin');
    await transact(async (uow) => {
      if ((await uow.tx.project.deleteMany({ where: { id } })).count === 0) throw notFound('There is no such project.');
      await record(uow, 'project.deleted', project, actor, meta);
      uow.afterCommit(() => invalidationBus.publish('organizations', project.organizationId));
    });
  }

  async function record(
    uow: UnitOfWork,
    action: 'project.created' | 'project.renamed' | 'project.deleted',
    { id, organizationId }: Project,
    { accountId }: Actor,
    meta: RequestMeta,
  ): Promise<void> {
    await audit.record(uow, action, { by: accountId, accountId, organizationId, meta, detail: { project: id } });
  }
}
