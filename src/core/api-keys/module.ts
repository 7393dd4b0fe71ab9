/** Creates the services of this folder: API keys and their use counts. */
import type { Base } from '../../base/base.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import type { Projects } from '../organizations/projects.js';
import type { Resources } from '../resources/resources.js';
import { createApiKeys } from './api-keys.js';
import { createKeyUsage } from './usage.js';

interface Deps {
  audit: Audit;
  accountLimits: AccountLimits;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Organizations;
  projects: Projects;
  resources: Pick<Resources, 'scopes'>;
}

export function createApiKeyModule(base: Base, deps: Deps) {
  const apiKeyUsage = createKeyUsage(base);
  const apiKeys = createApiKeys({ ...base, ...deps, usage: apiKeyUsage });
  return { apiKeys, apiKeyUsage };
}
