/** Creates the services of this folder: external identities and the token vault. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import { createIdentities } from './identities.js';
import { createTokenVault } from './token-vault.js';

export function createIdentityModule(base: Base, { audit }: { audit: Audit }) {
  const issuers = base.config.providers.filter(({ storesTokens }) => storesTokens).map(({ issuer }) => issuer);
  const tokenVault = createTokenVault({ ...base, issuers });
  return { identities: createIdentities({ ...base, audit, tokenVault }), tokenVault };
}
