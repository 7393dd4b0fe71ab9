/**
 * The rooms of identity, in order: each line uses only the names above it, which is the proof that
 * there is no circle. The outside world is handed to all of them, and each takes of it what its
 * file says that it needs.
 */
import type { Base } from '../base/base.js';
import { createHttpClient, createJsonClient } from '../base/http-client.js';
import { createAdminUsers } from './account-management/admin-users.js';
import { createBootstrap } from './account-management/bootstrap.js';
import { createPasswordReset } from './account-management/password-reset.js';
import { createAccounts } from './accounts/accounts.js';
import { createEmailVerification } from './accounts/email-verification.js';
import { createOneTimeTokens } from './accounts/one-time-tokens.js';
import { createPasswords } from './accounts/passwords.js';
import { createProfiles } from './accounts/profile.js';
import { createPwnedPasswords } from './accounts/pwned-passwords.js';
import { createApprovals } from './agent-authorization/approvals.js';
import { createDelegations } from './agent-authorization/delegations.js';
import { createAgentModule } from './agents/agents.js';
import { AGENT_TOKEN_SECONDS } from './agents/tokens.js';
import { createApiKeyModule } from './api-keys/api-keys.js';
import { createAudit } from './audit/audit.js';
import { createClientModule } from './clients/clients.js';
import { createConsents } from './consents/consents.js';
import { createCredentialModule } from './credentials/credentials.js';
import { createCodeFlow } from './federation/authorization-code.js';
import { createFederation } from './federation/federation.js';
import { createEmailLinking } from './federation/link-by-email.js';
import { createLinkNotifications } from './federation/link-notifications.js';
import { createLinks } from './federation/links.js';
import { createPendingLogins } from './federation/login-state.js';
import { createProviderTokens } from './federation/provider-tokens.js';
import { createProviders } from './federation/providers.js';
import { createProvisioning } from './federation/provisioning.js';
import { createProxyLogin } from './federation/proxy-login.js';
import { createAccountResolver } from './federation/resolve-account.js';
import { createTokenRevocation } from './federation/token-revocation.js';
import { createIdentities } from './identities/identities.js';
import { createTokenVault } from './identities/token-vault.js';
import { createInvitations } from './invitations/invitations.js';
import { createCleanup } from './jobs/cleanup.js';
import { createKeyModule } from './keys/keys.js';
import { createMfa } from './mfa/mfa.js';
import { createOAuthStorage } from './oauth-storage/oauth-storage.js';
import { createMemberRemoval } from './organizations/member-removal.js';
import { createMembers } from './organizations/members.js';
import { createOrganizations } from './organizations/organizations.js';
import { createProjects } from './organizations/projects.js';
import { createResourceRegistry } from './resources/registry.js';
import { createResources } from './resources/resources.js';
import { createKnownLocations } from './sessions/known-locations.js';
import { createSessions } from './sessions/sessions.js';
import { createTokens } from './sessions/tokens.js';
import { createBruteForceProtection } from './sign-in/brute-force-protection.js';
import { createAuthentication } from './sign-in/complete-authentication.js';
import { createNewDevice } from './sign-in/new-device-notification.js';
import { createSessionIssuer } from './sign-in/session-issuance.js';
import { createSignIn } from './sign-in/sign-in.js';
import { createPermissions } from './tools/permissions.js';
import { createTools } from './tools/tools.js';
import { createValidate } from './tools/validate.js';

/** OpenID scopes; the scopes of APIs come from the resources. */
const OPENID_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address'];

export type Core = Awaited<ReturnType<typeof createCore>>;

export async function createCore(base: Base) {
  const { config } = base;
  const audit = createAudit(base);
  const resources = await createResources({
    ...base,
    issuer: config.issuer,
    brandName: config.brandName,
    preset: config.scopePreset,
  });
  const resourceRegistry = createResourceRegistry({ ...base, audit, resources, reservedScopes: OPENID_SCOPES });
  const { keys, jwts } = await createKeyModule(base, { audit, resources, agentTokenSeconds: AGENT_TOKEN_SECONDS });
  const pwned = createPwnedPasswords({ ...base, url: config.pwnedPasswordsUrl });
  const passwords = createPasswords({
    cost: config.passwordHashCost,
    policy: config.passwordPolicy,
    pwned,
    processes: config.processes,
  });
  const organizations = createOrganizations({ ...base, audit });
  const members = createMembers({ ...base, audit, organizations });
  const removeFromAll = createMemberRemoval({ organizations });
  const projects = createProjects({ ...base, audit, organizations });
  const accounts = createAccounts({ ...base, audit, passwords, organizations });
  const profiles = createProfiles({ ...base, audit });
  const oneTimeTokens = createOneTimeTokens(base);
  const emailVerification = createEmailVerification({ ...base, audit, oneTimeTokens });
  const invitations = createInvitations({ ...base, audit, organizations, accounts });
  const scopes = () => [...OPENID_SCOPES, ...resources.scopes()];
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
  const sessions = createSessions({
    ...base,
    audit,
    oauthStorage,
    idleSeconds: config.sessionSeconds,
    maxSeconds: config.sessionMaxSeconds,
  });
  const tokens = createTokens({
    ...base,
    issuer: config.issuer,
    audit,
    oauthStorage,
    jwts,
    sessions,
    accessSeconds: config.accessTokenSeconds,
    refreshSeconds: config.refreshTokenSeconds,
  });
  const approvals = createApprovals(base, { audit, accounts, oauthStorage });
  const server = createHttpClient();
  const requestJson = createJsonClient(server);
  const tokenVault = createTokenVault({
    ...base,
    issuers: config.providers.filter(({ storesTokens }) => storesTokens).map(({ issuer }) => issuer),
  });
  const identities = createIdentities({ ...base, audit, tokenVault });
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
    requestJson,
  });
  const delegations = createDelegations({ audit, oauthTokens, audiences, activeAgents });
  const tools = createTools({ ...base, audit });
  const permissions = createPermissions({ ...base, audit, accounts, tools });
  const validate = createValidate({ credentials, tools, permissions, resources });
  const knownLocations = createKnownLocations(base);
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
  const provisioning = createProvisioning({ accounts, emailVerification, identities });
  const providers = createProviders(config.providers);
  const codeFlow = createCodeFlow({ ...base, server, ask: requestJson });
  const pendingLogins = createPendingLogins(base);
  const linkNotifications = createLinkNotifications(base);
  const accountResolver = createAccountResolver({ accounts, identities });
  const emailLinking = createEmailLinking({
    ...base,
    accounts,
    identities,
    apiKeys,
    agents,
    mfa,
    sessions,
    linkNotifications,
  });
  const federation = createFederation({
    ...base,
    providers,
    redirectUris: config.federationRedirectUris,
    signup: config.signup,
    accounts,
    tokenVault,
    provisioning,
    bruteForce,
    authentication,
    accountResolver,
    emailLinking,
    codeFlow,
    pendingLogins,
  });
  const tokenRevocation = createTokenRevocation({ ...base, tokenVault, codeFlow, providers });
  const providerTokens = createProviderTokens({
    ...base,
    audit,
    identities,
    tokenVault,
    codeFlow,
    tokenRevocation,
    providers,
  });
  const links = createLinks({
    ...base,
    accounts,
    identities,
    tokenVault,
    tokenRevocation,
    sessions,
    linkNotifications,
    providers,
    upstreamIssuer: config.upstream?.url,
  });
  const upstream = createProxyLogin({
    ...base,
    issuer: config.issuer,
    upstream: config.upstream,
    ask: requestJson,
    accounts,
    provisioning,
    accountResolver,
    bruteForce,
    authentication,
    signIn,
  });
  const passwordReset = createPasswordReset({
    ...base,
    accounts,
    passwords,
    oneTimeTokens,
    identities,
    apiKeys,
    agents,
    mfa,
    sessions,
    signIn,
    audit,
  });
  const adminUsers = createAdminUsers({
    ...base,
    audit,
    accounts,
    passwords,
    oneTimeTokens,
    emailVerification,
    removeFromAll,
    tokenRevocation,
    sessions,
  });
  const bootstrap = createBootstrap({ ...base, audit, accounts, oneTimeTokens });
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
    const services = [base.background, passwordReset];
    await Promise.all(services.map((service) => service.settle()));
  }

  /** Stops the cleanup job, waits for background work and writes all buffers. Close the base next. */
  async function close(): Promise<void> {
    await cleanup.stop();
    await settle();
    await Promise.all([keyUsage.flush(), clientUsage.flush(), audit.flush()]);
  }
}
