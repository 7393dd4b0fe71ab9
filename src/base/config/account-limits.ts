/** Settings of how much one account and one organization can have. */

import { defineTopic } from './base-config.js';
import { integer } from './setting.js';

const RANGE: [number, number] = [1, 100_000];

export const accountLimits = defineTopic({
  title: 'Limits of an account and an organization',
  settings: {
    sessions: integer(
      'MAX_SESSIONS',
      RANGE,
      100,
      'Active sessions of one account. A further sign-in revokes the least recently used.',
    ),
    agents: integer('MAX_AGENTS', RANGE, 1000, 'Agents that one account owns.'),
    apiKeys: integer('MAX_API_KEYS', RANGE, 200, 'Active API keys of one account.'),
    organizations: integer('MAX_ORGANIZATIONS', RANGE, 100, 'Organizations that one account owns.'),
    identities: integer('MAX_LINKED_IDENTITIES', RANGE, 50, 'External identities that are linked to one account.'),
    memberships: integer('MAX_MEMBERSHIPS', RANGE, 500, 'Organizations of which one account can become a member.'),
    projects: integer('MAX_PROJECTS', RANGE, 1000, 'Projects in the organizations that one account owns.'),
    organizationAgents: integer('MAX_ORGANIZATION_AGENTS', RANGE, 1000, 'Agents in one organization.'),
    organizationProjects: integer('MAX_ORGANIZATION_PROJECTS', RANGE, 1000, 'Projects in one organization.'),
    openInvitations: integer('MAX_OPEN_INVITATIONS', RANGE, 200, 'Open invitations to one organization.'),
    unverified: integer(
      'MAX_UNVERIFIED',
      RANGE,
      10,
      'Agents, API keys, linked identities, organizations and projects, each, of an account whose e-mail address is not verified. Applies if the server sends mail.',
    ),
  },
  resolve: (accountLimits) => ({ accountLimits }),
});
