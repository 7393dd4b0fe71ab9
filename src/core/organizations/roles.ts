/**
 * Roles in an organization, from the least to the most: what each may is said by the verbs that ask
 * for it.
 */

export const ORGANIZATION_ROLES = ['viewer', 'operator', 'admin', 'owner'] as const;
export type OrganizationRole = (typeof ORGANIZATION_ROLES)[number];

const rank = (role: OrganizationRole) => ORGANIZATION_ROLES.indexOf(role);

export const isAtLeast = (role: OrganizationRole, wanted: OrganizationRole) => rank(role) >= rank(wanted);

/**
 * The one that allows less: a key never may more than it was given, nor more than whoever it acts
 * for.
 */
export const minRole = (one: OrganizationRole, other: OrganizationRole) => (rank(one) <= rank(other) ? one : other);

/** Whether whoever has this role may bring others in, in that one. */
export const canInvite = (own: OrganizationRole, role: OrganizationRole) =>
  isAtLeast(own, 'admin') && isAtLeast(own, role);
