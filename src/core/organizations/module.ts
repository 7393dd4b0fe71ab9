/** Creates the services of this folder: organizations, members and projects. */
import type { Base } from '../../base/base.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Audit } from '../audit/audit.js';
import { createMemberRemoval } from './member-removal.js';
import { createMembers } from './members.js';
import { createOrganizations } from './organizations.js';
import { createProjects } from './projects.js';

export function createOrganizationModule(base: Base, deps: { audit: Audit; accountLimits: AccountLimits }) {
  const organizations = createOrganizations({ ...base, ...deps });
  const members = createMembers({ ...base, ...deps, organizations });
  const memberRemoval = createMemberRemoval({ organizations });
  const projects = createProjects({ ...base, ...deps, organizations });
  return { organizations, members, memberRemoval, projects };
}
