/**
 * Creates the modules of the domain, in order. Each folder is one module. A module gets the
 * services of the modules above it, so their dependencies have no cycle. Its own `Deps` name what
 * it uses.
 */
import type { Base } from '../base/base.js';
import { createAccountLimits } from './account-limits/account-limits.js';
import { createAccountManagement } from './account-management/module.js';
import { createAccountModule } from './accounts/module.js';
import { createAgentAuthorization } from './agent-authorization/module.js';
import { createAgentModule } from './agents/module.js';
import { AGENT_TOKEN_SECONDS } from './agents/tokens.js';
import { createApiKeyModule } from './api-keys/module.js';
import { createAudit } from './audit/audit.js';
import { createAuditExpiry } from './audit/expiry.js';
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
import { createSignInModule } from './sign-in/module.js';
import { createToolModule } from './tools/module.js';

export type Core = Awaited<ReturnType<typeof createCore>>;

export async function createCore(base: Base) {
  const audit = createAudit(base);
  const auditExpiry = createAuditExpiry({ ...base, ttlSeconds: base.config.auditEventSeconds });
  const oauthStorage = createOAuthStorage(base, { audit });
  const resources = await createResourceModule(base, { audit });
  const keys = await createKeyModule(base, { audit, ...resources, agentTokenSeconds: AGENT_TOKEN_SECONDS });
  const accountLimits = createAccountLimits(base);
  const organizations = createOrganizationModule(base, { audit, accountLimits });
  const accounts = createAccountModule(base, { audit, ...organizations });
  const invitations = createInvitations(base, { audit, accountLimits, ...organizations, ...accounts });
  const apiKeys = createApiKeyModule(base, { audit, accountLimits, ...accounts, ...organizations, ...resources });
  const agents = createAgentModule(base, {
    audit,
    accountLimits,
    oauthStorage,
    ...resources,
    ...keys,
    ...organizations,
    ...accounts,
  });
  const clients = createClientModule(base, { audit, oauthStorage, ...resources, ...agents });
  const consents = createConsents(base, { audit, ...accounts, oauthStorage });
  const sessions = createSessionModule(base, { audit, oauthStorage, ...keys });
  const identities = createIdentityModule(base, { audit, accountLimits });
  const credentials = createCredentialModule(base, {
    oauthStorage,
    ...keys,
    ...accounts,
    ...apiKeys,
    ...agents,
    ...clients,
    ...sessions,
    ...identities,
  });
  const agentAuthorization = createAgentAuthorization(base, {
    audit,
    oauthStorage,
    ...accounts,
    ...agents,
    ...credentials,
  });
  const tools = createToolModule(base, { audit, ...resources, ...accounts, ...credentials });
  const mfa = createMfa(base, { audit, ...accounts, ...sessions });
  const signIn = createSignInModule(base, { audit, ...accounts, ...sessions, ...identities, mfa });
  const federation = createFederationModule(base, {
    audit,
    ...accounts,
    ...apiKeys,
    ...agents,
    ...sessions,
    ...identities,
    mfa,
    ...signIn,
  });
  const accountManagement = createAccountManagement(base, {
    audit,
    ...organizations,
    ...accounts,
    ...apiKeys,
    ...agents,
    ...sessions,
    ...identities,
    mfa,
    ...signIn,
    ...federation,
  });
  const cleanup = createCleanup(base, {
    ...{ ...keys, ...agents, ...clients, ...identities, ...accountManagement },
    auditExpiry,
  });

  return {
    ...{ audit, oauthStorage, invitations, consents, mfa, cleanup },
    ...resources,
    ...keys,
    ...organizations,
    ...accounts,
    ...apiKeys,
    ...agents,
    ...clients,
    ...sessions,
    ...identities,
    ...credentials,
    ...agentAuthorization,
    ...tools,
    ...signIn,
    ...federation,
    ...accountManagement,
    waitUntilIdle,
    close,
  };

  /** Resolves when no work that continues after responses is running. */
  async function waitUntilIdle(): Promise<void> {
    await base.background.waitUntilIdle();
  }

  /**
   * Stops the cleanup job, waits for background work and writes all buffers. Close the base next.
   */
  async function close(): Promise<void> {
    await cleanup.stop();
    await waitUntilIdle();
    await Promise.all([apiKeys.apiKeyUsage.flush(), clients.clientUsage.flush(), audit.flush()]);
  }
}
