/** Creates the services of this folder: external identities and the token vault. */
import type { Base } from '../../base/base.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Audit } from '../audit/audit.js';
import { createIdentities } from './identities.js';
import { createTokenVault } from './token-vault.js';

interface Deps {
  audit: Audit;
  accountLimits: AccountLimits;
}

export function createIdentityModule(base: Base, { audit, accountLimits }: Deps) {
  const issuers = base.config.providers.filter(({ storesTokens }) => storesTokens).map(({ issuer }) => issuer);
  const tokenVault = createTokenVault({ ...base, issuers });
  return { identities: createIdentities({ ...base, audit, accountLimits, tokenVault }), tokenVault };
}
