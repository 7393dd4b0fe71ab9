/** Projects: what an organization works on. A key can be confined to one. */
import { randomUUID } from 'node:crypto';
import { conflict, notFound } from '../../base/app-error.js';
import type { Database, Project, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import { type Actor, nameOf, type Organizations, outOfScope } from './organizations.js';
import type { OrganizationRole } from './roles.js';

export type { Project } from '../../base/db/open.js';

interface Deps {
  db: Database;
  audit: Audit;
  invalidationBus: InvalidationBus;
  organizations: Organizations;
}

const MAX_PROJECTS = 1000;

export type Projects = ReturnType<typeof createProjects>;

export function createProjects({ db, audit, invalidationBus, organizations }: Deps) {
  return { create, visibleTo, listFor, find, rename, remove };

  /**
   * Refuses as `organizations.requireExisting` does, and with `conflict` when there are too many.
   */
  async function create(actor: Actor, organizationId: string, givenName: string, meta: RequestMeta): Promise<Project> {
    await organizations.requireMember(actor, organizationId, 'admin');
    const name = nameOf(givenName);
    return db.$transaction(async (tx) => {
      await organizations.lock(organizationId, tx);
      if ((await tx.project.count({ where: { organizationId } })) >= MAX_PROJECTS) {
        throw conflict(`An organization can have at most ${MAX_PROJECTS} projects.`);
      }
      const project = await tx.project.create({ data: { id: `prj_${randomUUID()}`, organizationId, name } });
      await note('project.created', project, actor, meta, tx);
      return project;
    });
  }

  /**
   * Those of all its organizations; of a key, those of its organization. Asking for all is not for
   * a project's key.
   */
  async function visibleTo(actor: Actor): Promise<Project[]> {
    if (actor.key?.projectId) throw outOfScope();
    return listFor(actor);
  }

  /** Where the actor works: a project's key knows that one. */
  async function listFor({ accountId, key }: Actor): Promise<Project[]> {
    const organization = { memberships: { some: { accountId } } };
    const within = key && { organizationId: key.organizationId, ...(key.projectId && { id: key.projectId }) };
    return db.project.findMany({
      where: { organization, ...within },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    });
  }

  /**
   * The project, if the actor may so much in it. Refuses with `not_found`, `insufficient_role` or
   * `project_scope_violation`.
   */
  async function find(actor: Actor, id: string, wanted: OrganizationRole = 'viewer'): Promise<Project> {
    if (actor.key?.projectId && actor.key.projectId !== id) throw outOfScope();
    const project = await db.project.findUnique({ where: { id } });
    // What other organizations have is told to nobody: the key of one hears the same as whoever is
    // no member.
    const isElsewhere = actor.key && actor.key.organizationId !== project?.organizationId;
    if (!project || isElsewhere || !(await organizations.roleOf(actor, project.organizationId))) {
      throw notFound('There is no such project.');
    }
    await organizations.requireRole(actor, project.organizationId, wanted);
    return project;
  }

  async function rename(actor: Actor, id: string, givenName: string, meta: RequestMeta): Promise<Project> {
    const project = await find(actor, id, 'admin');
    const name = nameOf(givenName);
    return db.$transaction(async (tx) => {
      await note('project.renamed', project, actor, meta, tx);
      return tx.project.update({ where: { id }, data: { name } });
    });
  }

  /** Its keys go with it. */
  async function remove(actor: Actor, id: string, meta: RequestMeta): Promise<void> {
    const project = await find(actor, id, 'admin');
    await db.$transaction(async (tx) => {
      if ((await tx.project.deleteMany({ where: { id } })).count === 0) throw notFound('There is no such project.');
      await note('project.deleted', project, actor, meta, tx);
    });
    await invalidationBus.publish('organizations', project.organizationId);
  }

  async function note(
    action: 'project.created' | 'project.renamed' | 'project.deleted',
    { id, organizationId }: Project,
    { accountId }: Actor,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: accountId };
    await audit.record({ action, actor, organizationId, accountId, meta, detail: { project: id } }, tx);
  }
}
