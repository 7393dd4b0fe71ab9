/**
 * Creates the services of this folder: clients, their registration, usage, documents, certificates
 * and cleanup.
 */
import type { Base } from '../../base/base.js';
import { isLoopback } from '../../kit/loopback.js';
import type { ActiveAgents } from '../agents/active-agents.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Resources } from '../resources/resources.js';
import { createClientCertificates } from './certificates.js';
import { createClients } from './clients.js';
import { createMetadataDocuments } from './metadata-documents.js';
import { createClientRegistration } from './registration.js';
import { createUnusedClientCleanup } from './unused-client-cleanup.js';
import { createUnusedClientLimits } from './unused-client-limits.js';
import { createClientUsage } from './usage.js';

interface Deps {
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
  resources: Pick<Resources, 'clientScopes'>;
}

export function createClientModule(base: Base, deps: Deps) {
  const { config } = base;
  const clients = createClients(base, deps);
  const unusedClients = createUnusedClientCleanup({
    ...base,
    ...deps,
    unusedSeconds: config.unusedClientSeconds,
    idleSeconds: config.idleClientSeconds,
  });
  const unusedClientLimits = createUnusedClientLimits({
    ...base,
    unusedClients,
    perNetwork: config.maxUnusedClientsPerNetwork,
    total: config.maxUnusedClients,
  });
  const clientRegistration = createClientRegistration(base, { ...deps, unusedClientLimits });
  return {
    clients,
    clientRegistration,
    clientUsage: createClientUsage(base),
    clientCertificates: createClientCertificates({ ...base, authoritiesFile: config.certificates.authoritiesFile }),
    metadataDocuments: createMetadataDocuments({
      ...base,
      clients,
      clientRegistration,
      bounds: config.requestBounds,
      enabled: config.clientDocuments,
      allowLoopback: !config.production && isLoopback(new URL(config.issuer).hostname),
    }),
    unusedClients,
  };
}
