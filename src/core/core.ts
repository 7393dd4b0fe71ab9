/**
 * Creates the modules of the domain, in order. Each line uses only names above it, which proves
 * that their dependencies have no cycle. Each folder reads its own part of the configuration.
 */
import type { Base } from '../base/base.js';
import { createAccountManagement } from './account-management/module.js';
import { createAccountModule } from './accounts/module.js';
import { createAgentAuthorization } from './agent-authorization/module.js';
import { createAgentModule } from './agents/module.js';
import { AGENT_TOKEN_SECONDS } from './agents/tokens.js';
import { createApiKeyModule } from './api-keys/module.js';
import { createAudit } from './audit/audit.js';
import { createClientModule } from './clients/module.js';
import { createConsents } from './consents/consents.js';
import { createCredentialModule } from './credentials/module.js';
import { createFederationModule } from './federation/module.js';
import { createIdentityModule } from './identities/module.js';
import { createInvitations } from './invitations/invitations.js';
import { createCleanup } from './jobs/cleanup.js';
import { createKeyModule } from './keys/module.js';
import { createMfa } from './mfa/mfa.js';
import { createOAuthStorage } from './oauth-storage/oauth-storage.js';
import { createOrganizationModule } from './organizations/module.js';
import { createResourceModule } from './resources/module.js';
import { createSessionModule } from './sessions/module.js';
import { createBruteForceProtection } from './sign-in/brute-force-protection.js';
import { createAuthentication } from './sign-in/complete-authentication.js';
import { createNewDevice } from './sign-in/new-device-notification.js';
import { createSessionIssuer } from './sign-in/session-issuance.js';
import { createSignIn } from './sign-in/sign-in.js';
import { createToolModule } from './tools/module.js';

export type Core = Awaited<ReturnType<typeof createCore>>;

export async function createCore(base: Base) {
  const { config } = base;
  const audit = createAudit(base);
  const { resources, resourceRegistry, scopes } = await createResourceModule(base, { audit });
  const { keys, jwts } = await createKeyModule(base, { audit, resources, agentTokenSeconds: AGENT_TOKEN_SECONDS });
  const { organizations, members, removeFromAll, projects } = createOrganizationModule(base, { audit });
  const { accounts, passwords, profiles, oneTimeTokens, emailVerification } = createAccountModule(base, {
    audit,
    organizations,
  });
  const invitations = createInvitations({ ...base, audit, organizations, accounts });
  const { apiKeys, keyUsage } = createApiKeyModule(base, { audit, accounts, organizations, projects, resources });
  const oauthStorage = createOAuthStorage(base, { audit });
  const { agents, activeAgents, audiences, ownershipClaims } = createAgentModule(base, {
    audit,
    accounts,
    organizations,
    resources,
    oauthStorage,
    jwts,
  });
  const { clients, clientUsage, clientCertificates, metadataDocuments, unusedClients } = createClientModule(base, {
    audit,
    oauthStorage,
    activeAgents,
    scopes,
  });
  const consents = createConsents(base, { audit, oauthStorage });
  const { sessions, tokens, knownLocations } = createSessionModule(base, { audit, oauthStorage, jwts });
  const { identities, tokenVault } = createIdentityModule(base, { audit });
  const { credentials, oauthTokens, workloadIdentities } = createCredentialModule(base, {
    accounts,
    identities,
    clients,
    activeAgents,
    apiKeys,
    keyUsage,
    oauthStorage,
    jwts,
    tokens,
  });
  const { approvals, delegations } = createAgentAuthorization(base, {
    audit,
    accounts,
    oauthStorage,
    activeAgents,
    audiences,
    oauthTokens,
  });
  const { tools, permissions, validate } = createToolModule(base, { audit, accounts, credentials, resources });
  const mfa = createMfa({ ...base, audit, accounts, sessions, knownLocations, brandName: config.brandName });
  const newDevice = createNewDevice(base);
  const bruteForce = createBruteForceProtection({ ...base, knownLocations, audit });
  const sessionIssuer = createSessionIssuer({ ...base, accounts, sessions, tokens, identities, mfa, newDevice, audit });
  const authentication = createAuthentication({ ...base, accounts, mfa, bruteForce });
  const signIn = createSignIn({
    ...base,
    accounts,
    passwords,
    emailVerification,
    sessions,
    authentication,
    bruteForce,
  });
  const { federation, tokenRevocation, providerTokens, links, upstream } = createFederationModule(base, {
    audit,
    accounts,
    emailVerification,
    identities,
    tokenVault,
    apiKeys,
    agents,
    mfa,
    sessions,
    bruteForce,
    authentication,
    signIn,
  });
  const { passwordReset, adminUsers, bootstrap } = createAccountManagement(base, {
    audit,
    accounts,
    passwords,
    oneTimeTokens,
    emailVerification,
    removeFromAll,
    identities,
    tokenRevocation,
    apiKeys,
    agents,
    sessions,
    mfa,
    signIn,
  });
  const cleanup = createCleanup(base, { keys, agents, tokenVault, unusedClients });

  return {
    audit,
    keys,
    jwts,
    passwords,
    organizations,
    members,
    projects,
    invitations,
    apiKeys,
    keyUsage,
    agents,
    activeAgents,
    ownershipClaims,
    audiences,
    delegations,
    oauthTokens,
    accounts,
    profiles,
    emailVerification,
    resources,
    resourceRegistry,
    scopes,
    oauthStorage,
    clients,
    approvals,
    metadataDocuments,
    clientUsage,
    clientCertificates,
    workloadIdentities,
    consents,
    sessions,
    tokens,
    identities,
    credentials,
    tools,
    permissions,
    validate,
    mfa,
    signIn,
    sessionIssuer,
    federation,
    links,
    tokenVault,
    tokenRevocation,
    providerTokens,
    upstream,
    passwordReset,
    adminUsers,
    bootstrap,
    unusedClients,
    cleanup,
    settle,
    close,
  };

  /** Resolves when no work that continues after responses is running. */
  async function settle(): Promise<void> {
    await base.background.settle();
  }

  /**
   * Stops the cleanup job, waits for background work and writes all buffers. Close the base next.
   */
  async function close(): Promise<void> {
    await cleanup.stop();
    await settle();
    await Promise.all([keyUsage.flush(), clientUsage.flush(), audit.flush()]);
  }
}
