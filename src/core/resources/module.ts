/** Creates the services of this folder: resources, their registry and all scopes. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import { createResourceRegistry } from './registry.js';
import { createResources } from './resources.js';

/** OpenID scopes. The scopes of APIs belong to their resources. */
const OPENID_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address'];

/** `scopes` returns every scope that a client can have. */
export async function createResourceModule(base: Base, { audit }: { audit: Audit }) {
  const { issuer, brandName, scopePreset: preset } = base.config;
  const resources = await createResources({ ...base, issuer, brandName, preset });
  const resourceRegistry = createResourceRegistry({ ...base, audit, resources, reservedScopes: OPENID_SCOPES });
  return { resources, resourceRegistry, scopes: () => [...OPENID_SCOPES, ...resources.scopes()] };
}
