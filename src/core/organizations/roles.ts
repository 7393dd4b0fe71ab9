/** Roles in an organization, lowest first. The functions that require a role define its rights. */

export const ORGANIZATION_ROLES = ['viewer', 'operator', 'admin', 'owner'] as const;
export type OrganizationRole = (typeof ORGANIZATION_ROLES)[number];

const rank = (role: OrganizationRole) => ORGANIZATION_ROLES.indexOf(role);

/** Reports whether the role is at least the required one. */
export const isAtLeast = (role: OrganizationRole, required: OrganizationRole) => rank(role) >= rank(required);

/** Returns the lower of two roles. */
export const minRole = (a: OrganizationRole, b: OrganizationRole) => (rank(a) <= rank(b) ? a : b);

/** Reports whether a member with the role `own` can invite others to the role `role`. */
export const canInvite = (own: OrganizationRole, role: OrganizationRole) =>
  isAtLeast(own, 'admin') && isAtLeast(own, role);
