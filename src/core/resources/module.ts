/** Creates the services of this folder: resources and their registry. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import { createResourceRegistry } from './registry.js';
import { createResources } from './resources.js';
import { OPENID_SCOPES } from './scope.js';

export async function createResourceModule(base: Base, { audit }: { audit: Audit }) {
  const { issuer, brandName, scopePreset: preset } = base.config;
  const resources = await createResources({ ...base, issuer, brandName, preset });
  const resourceRegistry = createResourceRegistry({ ...base, audit, resources, reservedScopes: OPENID_SCOPES });
  return { resources, resourceRegistry };
}
