/** Creates the services of this folder: organizations, members and projects. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import { createMemberRemoval } from './member-removal.js';
import { createMembers } from './members.js';
import { createOrganizations } from './organizations.js';
import { createProjects } from './projects.js';

export function createOrganizationModule(base: Base, { audit }: { audit: Audit }) {
  const organizations = createOrganizations({ ...base, audit });
  const members = createMembers({ ...base, audit, organizations });
  const memberRemoval = createMemberRemoval({ organizations });
  const projects = createProjects({ ...base, audit, organizations });
  return { organizations, members, memberRemoval, projects };
}
