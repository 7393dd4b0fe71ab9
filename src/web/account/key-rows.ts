/** View models of API keys, and the organizations and projects that a key can be limited to. */
import type { ApiKey, KeyRole } from '../../core/api-keys/api-keys.js';
import type { Core } from '../../core/core.js';
import { minRole, type OrganizationRole } from '../../core/organizations/roles.js';
import { describeAge, describeExpiry } from '../pages/format.js';
import type { KeyRow } from './view-models.js';

/** An organization or one of its projects, for a member. */
export interface Place {
  organizationId: string;
  projectId: string | null;
  name: string;
  role: OrganizationRole;
}

/** Returns the organizations and projects that a key of this user can be limited to. */
export async function placesOf(
  accountId: string,
  { organizations, projects }: Pick<Core, 'organizations' | 'projects'>,
): Promise<Place[]> {
  const within = await projects.listFor({ accountId });
  return (await organizations.listFor(accountId)).flatMap(({ id, name, role }) => [
    { organizationId: id, projectId: null, name, role },
    ...within
      .filter(({ organizationId }) => organizationId === id)
      .map((project) => ({
        organizationId: id,
        projectId: project.id,
        name: `${name}, project ${project.name}`,
        role,
      })),
  ]);
}

/** Returns the organization or project that a key is limited to. */
export const placeOf = (key: ApiKey, places: Place[]) =>
  places.find(({ organizationId, projectId }) => organizationId === key.organizationId && projectId === key.projectId);

/** Returns the view model of a key. */
export function toKeyRow(key: ApiKey, places: Place[], now: Date): KeyRow {
  const { id, name, prefix, organizationId, scopes, createdAt, lastUsedAt, expiresAt } = key;
  const place = placeOf(key, places);
  return {
    id,
    name,
    hint: `${prefix}…`,
    place: place?.name ?? organizationId,
    role: place ? minRole(key.role as KeyRole, place.role) : key.role,
    scopes: scopes as string[],
    made: describeAge(createdAt, now),
    lastUsed: lastUsedAt ? describeAge(lastUsedAt, now) : undefined,
    ends: expiresAt ? describeExpiry(expiresAt, now) : undefined,
  };
}
