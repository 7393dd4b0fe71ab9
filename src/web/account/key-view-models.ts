/** View models of API keys, and the organizations and projects that a key can be limited to. */
import { FIRST_PAGE } from '../../base/paging.js';
import type { ApiKey, KeyRole } from '../../core/api-keys/api-keys.js';
import type { Core } from '../../core/core.js';
import type { Project } from '../../core/organizations/projects.js';
import { minRole, type OrganizationRole } from '../../core/organizations/roles.js';
import { describeAge, describeExpiry } from '../pages/format.js';

/** An organization or one of its projects, for a member. */
export interface OrganizationOrProject {
  organizationId: string;
  /** Null for the organization itself. */
  projectId: string | null;
  /** "Northwind", or "Northwind / Reporting" for a project. */
  displayName: string;
  /** The user's role in the organization. */
  role: OrganizationRole;
}

/** An API key as the pages show it. Times are formatted. */
export interface KeyView {
  id: string;
  name: string;
  /** The first characters of the key: "sk_live_9fQ2…" */
  maskedKey: string;
  /** The organization or project that the key is limited to: "Northwind / Reporting" */
  limitedTo: string;
  role: string;
  scopes: string[];
  /** "3 March 2026" */
  created: string;
  /** "5 minutes ago". Absent if the key was never used. */
  lastUsed?: string;
  /** "on 3 March 2026". Absent if the key never expires. */
  expires?: string;
}

type Deps = Pick<Core, 'organizations' | 'projects'>;

/**
 * Returns the organizations and projects that a key of this user can be limited to: all
 * organizations, and as many projects as fit into a form.
 */
export async function listOrganizationsAndProjects(accountId: string, deps: Deps) {
  const { items: userProjects, next } = await deps.projects.listFor({ accountId }, FIRST_PAGE);
  return { available: await withOrganizations(accountId, userProjects, deps), isComplete: next === undefined };
}

/** Returns the user's organizations, and the projects to which these keys are limited. */
export async function findOrganizationsAndProjects(
  accountId: string,
  keys: Pick<ApiKey, 'projectId'>[],
  deps: Deps,
): Promise<OrganizationOrProject[]> {
  const ids = [...new Set(keys.flatMap(({ projectId }) => projectId ?? []))];
  const { items } = await deps.projects.listFor({ accountId }, { limit: Math.max(1, ids.length) }, ids);
  return withOrganizations(accountId, items, deps);
}

async function withOrganizations(
  accountId: string,
  userProjects: Project[],
  { organizations }: Deps,
): Promise<OrganizationOrProject[]> {
  return (await organizations.listFor(accountId)).flatMap(({ id: organizationId, name, role }) => [
    { organizationId, projectId: null, displayName: name, role },
    ...userProjects
      .filter((project) => project.organizationId === organizationId)
      .map((project) => ({ organizationId, projectId: project.id, displayName: `${name} / ${project.name}`, role })),
  ]);
}

/**
 * Returns the view model of a key. `available` lists the organizations and projects of the user.
 */
export function toKeyView(key: ApiKey, available: OrganizationOrProject[], now: Date): KeyView {
  const { id, name, prefix, organizationId, scopes, createdAt, lastUsedAt, expiresAt } = key;
  const limit = limitOf(key, available);
  return {
    id,
    name,
    maskedKey: `${prefix}…`,
    // The user may have left the organization, and then cannot see its name.
    limitedTo: limit?.displayName ?? organizationId,
    // The effective role of a key never exceeds its owner's.
    role: limit ? minRole(key.role as KeyRole, limit.role) : key.role,
    scopes: scopes as string[],
    created: describeAge(createdAt, now),
    lastUsed: lastUsedAt ? describeAge(lastUsedAt, now) : undefined,
    expires: expiresAt ? describeExpiry(expiresAt, now) : undefined,
  };
}

/**
 * Returns the organization or project that a key is limited to. Undefined if the user is no longer
 * a member.
 */
const limitOf = (key: ApiKey, available: OrganizationOrProject[]) =>
  available.find(
    ({ organizationId, projectId }) => organizationId === key.organizationId && projectId === key.projectId,
  );
