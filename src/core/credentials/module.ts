/** Creates the services of this folder: the resolver of credentials, and its verifiers. */
import type { Base } from '../../base/base.js';
import { createJsonClient } from '../../base/http-client.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActiveAgents } from '../agents/active-agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { KeyUsage } from '../api-keys/usage.js';
import type { Clients } from '../clients/clients.js';
import type { Identities } from '../identities/identities.js';
import type { Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Tokens } from '../sessions/tokens.js';
import { createCredentialResolver } from './credentials.js';
import { createDpopNonces } from './dpop-nonces.js';
import { createExternalTokenVerifier } from './external-tokens.js';
import { createOAuthTokenVerifier } from './oauth-tokens.js';
import { createProofOfPossession } from './proof-of-possession.js';
import { createWorkloadVerifier } from './workload-identities.js';

interface Deps {
  accounts: Pick<Accounts, 'find' | 'isActive'>;
  identities: Pick<Identities, 'find'>;
  clients: Pick<Clients, 'find'>;
  activeAgents: Pick<ActiveAgents, 'find' | 'findByKey'>;
  apiKeys: Pick<ApiKeys, 'verify'>;
  apiKeyUsage: Pick<KeyUsage, 'count'>;
  oauthStorage: Pick<OAuthStorage, 'grants' | 'isJwtRevoked' | 'store'>;
  jwts: Pick<Jwts, 'verify'>;
  tokens: Pick<Tokens, 'verify' | 'inspect'>;
}

export function createCredentialModule(base: Base, deps: Deps) {
  const { issuer, trustedIssuers, certificates } = base.config;
  const oauthTokens = createOAuthTokenVerifier({ ...deps, issuer });
  const externalTokens = createExternalTokenVerifier({
    ...base,
    ...deps,
    issuers: trustedIssuers,
    requestJson: createJsonClient(),
  });
  const workloadIdentities = createWorkloadVerifier({ ...base, spiffe: certificates.spiffe });
  const dpopNonces = createDpopNonces(base);
  const proofOfPossession = createProofOfPossession({
    ...base,
    dpopNonces,
    ephemeralStore: deps.oauthStorage.store,
  });
  const verifiers = { oauthTokens, externalTokens, workloadIdentities, proofOfPossession };
  const credentials = createCredentialResolver(base, { ...deps, ...verifiers });
  return { credentials, oauthTokens, workloadIdentities };
}
