/** Creates the services of this folder: tools, permissions and the validation of credentials. */
import type { Base } from '../../base/base.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Credentials } from '../credentials/credentials.js';
import type { Resources } from '../resources/resources.js';
import { createPermissions } from './permissions.js';
import { createTools } from './tools.js';
import { createValidate } from './validate.js';

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lock'>;
  credentials: Pick<Credentials, 'resolve' | 'resolveCertificate'>;
  resources: Pick<Resources, 'find'>;
}

export function createToolModule(base: Base, deps: Deps) {
  const tools = createTools({ ...base, ...deps });
  const permissions = createPermissions({ ...base, ...deps, tools });
  const validate = createValidate({ ...deps, tools, permissions });
  return { tools, permissions, validate };
}
