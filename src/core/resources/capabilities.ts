/**
 * What agents may be given to do, as our own API names it. An administrator adds more by marking
 * scopes of any API as capabilities.
 */
import type { Scope } from './scope.js';

/**
 * Everything. Only an organization's administrator gives it, and only to an agent of theirs: it is
 * no scope that an app can ask for.
 */
export const ADMIN_CAPABILITY = 'admin';

export const OWN_CAPABILITIES: Scope[] = [
  {
    name: 'read:cap-table',
    description: 'Read stakeholders, share classes, equity grants and ownership percentages.',
  },
  { name: 'write:stakeholders', description: 'Create, change and delete stakeholders.' },
  { name: 'write:equity', description: 'Issue grants, change vesting schedules and create share classes.' },
  { name: 'read:financials', description: 'Read 409A valuations, financial reports and fundraising data.' },
  { name: 'write:documents', description: 'Upload and manage legal documents.' },
  { name: 'read:analytics', description: 'Read reports, dilution models and waterfall analyses.' },
  { name: 'write:safe-notes', description: 'Create and change SAFE instruments.' },
  { name: ADMIN_CAPABILITY, description: 'Do everything. Only for agents that you trust as yourself.' },
].map((scope) => ({ ...scope, byDefault: false, capability: true }));
