/** Creates the services of this folder: external identities and the token vault. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import { createIdentities } from './identities.js';
import { createTokenVault } from './token-vault.js';

export function createIdentityModule(base: Base, { audit }: { audit: Audit }) {
  const storing = base.config.providers.filter(({ storesTokens }) => storesTokens);
  const tokenVault = createTokenVault({ ...base, issuers: storing.map(({ issuer }) => issuer) });
  return { identities: createIdentities({ ...base, audit, tokenVault }), tokenVault };
}
