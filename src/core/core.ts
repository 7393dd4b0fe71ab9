/**
 * The rooms of identity, in order: each line uses only the names above it, which is the proof that there is no circle. The outside world
 * is handed to all of them, and each takes of it what its file says that it needs.
 */
import type { Base } from '../base/base.js';
import { createNamedServer } from '../base/http-client.js';
import { createJsonClient } from '../base/json-client.js';
import { isLoopback } from '../base/loopback.js';
import { createKeepers } from './account-management/admin-users.js';
import { createSetup } from './account-management/bootstrap.js';
import { createRecovery } from './account-management/password-reset.js';
import { createAccounts } from './accounts/accounts.js';
import { createVerification } from './accounts/email-verification.js';
import { createLinkTokens } from './accounts/one-time-tokens.js';
import { createPasswords } from './accounts/passwords.js';
import { createProfiles } from './accounts/profile.js';
import { createPwnedPasswords } from './accounts/pwned-passwords.js';
import { createApprovals } from './agent-authorization/approvals.js';
import { createDelegations } from './agent-authorization/delegations.js';
import { createLivingAgents } from './agents/active-agents.js';
import { createAgents } from './agents/agents.js';
import { createAudiences } from './agents/audiences.js';
import { createAgentClaims } from './agents/ownership-claims.js';
import { AGENT_TOKEN_SECONDS, createAgentTokens } from './agents/tokens.js';
import { createApiKeys } from './api-keys/api-keys.js';
import { createKeyUsage } from './api-keys/usage.js';
import { createAudit } from './audit/audit.js';
import { createClientCertificates } from './clients/certificates.js';
import { createClients } from './clients/clients.js';
import { createClientDocuments } from './clients/metadata-documents.js';
import { createReaper } from './clients/unused-client-cleanup.js';
import { createClientUsage } from './clients/usage.js';
import { createConsents } from './consents/consents.js';
import { createCredentials } from './credentials/credentials.js';
import { createDpopNonces } from './credentials/dpop-nonces.js';
import { createForeignTokens } from './credentials/external-tokens.js';
import { createOAuthTokens } from './credentials/oauth-tokens.js';
import { createPossession } from './credentials/proof-of-possession.js';
import { createWorkloads } from './credentials/workload-identities.js';
import { createExchange } from './federation/authorization-code.js';
import { createFederation } from './federation/federation.js';
import { createLinkNews } from './federation/link-notifications.js';
import { createLinks } from './federation/links.js';
import { createFlows } from './federation/login-state.js';
import { createProviderTokens } from './federation/provider-tokens.js';
import { createProviders } from './federation/providers.js';
import { createNewcomers } from './federation/provisioning.js';
import { createUpstream } from './federation/proxy-login.js';
import { createGiveBack } from './federation/token-revocation.js';
import { createIdentities } from './identities/identities.js';
import { createKeptTokens } from './identities/token-vault.js';
import { createInvitations } from './invitations/invitations.js';
import { createHousekeeping } from './jobs/cleanup.js';
import { createJwts } from './keys/jwts.js';
import { createKeys } from './keys/keys.js';
import { createMfa } from './mfa/mfa.js';
import { createArtifacts } from './oauth-storage/oauth-storage.js';
import { createLeaving } from './organizations/member-removal.js';
import { createMembers } from './organizations/members.js';
import { createOrganizations } from './organizations/organizations.js';
import { createProjects } from './organizations/projects.js';
import { createResourceRegistry } from './resources/registry.js';
import { createResources } from './resources/resources.js';
import { createPlaces } from './sessions/known-locations.js';
import { createSessions } from './sessions/sessions.js';
import { createTokens } from './sessions/tokens.js';
import { createAttempts } from './sign-in/brute-force-protection.js';
import { createNewDevice } from './sign-in/new-device-notification.js';
import { createLettingIn } from './sign-in/session-issuance.js';
import { createSignIn } from './sign-in/sign-in.js';
import { createPermissions } from './tools/permissions.js';
import { createTools } from './tools/tools.js';
import { createValidate } from './tools/validate.js';

/** OpenID scopes; the scopes of APIs come from the resources. */
const OPENID_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address'];

export type Core = Awaited<ReturnType<typeof createCore>>;

export async function createCore(base: Base) {
  const { config, redis } = base;
  const audit = createAudit(base);
  const resources = await createResources({ ...base, issuer: config.issuer, brandName: config.brandName });
  const resourceRegistry = createResourceRegistry({ ...base, audit, resources, reservedScopes: OPENID_SCOPES });
  const keys = await createKeys({
    ...base,
    audit,
    rotationSeconds: config.keyRotationSeconds,
    signatureSeconds: () => Math.max(config.accessTokenSeconds, AGENT_TOKEN_SECONDS, resources.longestTokenSeconds()),
  });
  const jwts = createJwts({ ...base, issuer: config.issuer, keys });
  const pwned = createPwnedPasswords({ ...base, url: config.pwnedPasswordsUrl });
  const passwords = createPasswords({
    cost: config.passwordHashCost,
    policy: config.passwordPolicy,
    pwned,
    processes: config.processes,
  });
  const organizations = createOrganizations({ ...base, audit });
  const members = createMembers({ ...base, audit, organizations });
  const leaveAll = createLeaving({ organizations });
  const projects = createProjects({ ...base, audit, organizations });
  const accounts = createAccounts({ ...base, audit, passwords, organizations });
  const profiles = createProfiles({ ...base, audit });
  const linkTokens = createLinkTokens(base);
  const verification = createVerification({ ...base, audit, linkTokens });
  const invitations = createInvitations({ ...base, audit, organizations, accounts });
  const scopes = () => [...OPENID_SCOPES, ...resources.scopes()];
  const keyUsage = createKeyUsage(base);
  const apiKeys = createApiKeys({
    ...base,
    audit,
    accounts,
    organizations,
    projects,
    usage: keyUsage,
    scopes: resources.scopes,
  });
  const artifacts = createArtifacts({
    ...base,
    audit,
    redis: redis && { client: redis, prefix: config.redisPrefix },
    retrySeconds: config.refreshRetrySeconds,
  });
  const livingAgents = createLivingAgents(base);
  const audiences = createAudiences({ issuer: config.issuer, resources, livingAgents });
  const agentTokens = createAgentTokens({ ...base, issuer: config.issuer, jwts });
  const agents = createAgents({ ...base, audit, accounts, organizations, resources, artifacts, tokens: agentTokens });
  const agentClaims = createAgentClaims({ ...base, audit, accounts, organizations });
  const clients = createClients({
    ...base,
    audit,
    artifacts,
    livingAgents,
    scopes,
    redirectHosts: config.redirectHosts,
  });
  const clientUsage = createClientUsage(base);
  const clientDocuments = createClientDocuments({
    ...base,
    clients,
    enabled: config.clientDocuments,
    allowLoopback: !config.production && isLoopback(new URL(config.issuer).hostname),
  });
  const consents = createConsents({ ...base, audit, artifacts });
  const sessions = createSessions({
    ...base,
    audit,
    artifacts,
    idleSeconds: config.sessionSeconds,
    maxSeconds: config.sessionMaxSeconds,
  });
  const tokens = createTokens({
    ...base,
    issuer: config.issuer,
    audit,
    artifacts,
    jwts,
    sessions,
    accessSeconds: config.accessTokenSeconds,
    refreshSeconds: config.refreshTokenSeconds,
  });
  const approvals = createApprovals({ ...base, audit, accounts, artifacts });
  const oauthTokens = createOAuthTokens({ issuer: config.issuer, jwts, accounts, artifacts, clients, livingAgents });
  const delegations = createDelegations({ audit, oauthTokens, audiences, livingAgents });
  const server = createNamedServer();
  const ask = createJsonClient(server);
  const keptTokens = createKeptTokens({
    ...base,
    issuers: config.providers.filter(({ keepsTokens }) => keepsTokens).map(({ issuer }) => issuer),
  });
  const identities = createIdentities({ ...base, audit, keptTokens });
  const foreignTokens = createForeignTokens({ ...base, issuers: config.foreignIssuers, ask, accounts, identities });
  const { spiffe, authoritiesFile } = config.certificates;
  const workloads = createWorkloads({ ...base, spiffe });
  const clientCertificates = createClientCertificates({ ...base, authoritiesFile });
  const dpopNonces = createDpopNonces(base);
  const possession = createPossession({ ...base, nonces: dpopNonces, store: artifacts.store });
  const credentials = createCredentials({
    ...base,
    tokens,
    oauthTokens,
    foreignTokens,
    possession,
    workloads,
    apiKeys,
    livingAgents,
    keyUsage,
  });
  const tools = createTools({ ...base, audit });
  const permissions = createPermissions({ ...base, audit, accounts, tools });
  const validate = createValidate({ credentials, tools, permissions, resources });
  const places = createPlaces(base);
  const mfa = createMfa({ ...base, audit, accounts, sessions, places, brandName: config.brandName });
  const newDevice = createNewDevice(base);
  const attempts = createAttempts({ ...base, places, audit });
  const lettingIn = createLettingIn({ ...base, accounts, sessions, tokens, identities, mfa, newDevice, audit });
  const signIn = createSignIn({ ...base, accounts, passwords, verification, sessions, mfa, attempts, lettingIn });
  const newcomers = createNewcomers({ accounts, verification, identities });
  const providers = createProviders(config.providers);
  const exchange = createExchange({ ...base, server, ask });
  const flows = createFlows(base);
  const linkNews = createLinkNews(base);
  const federation = createFederation({
    ...base,
    providers,
    redirectUris: config.federationRedirectUris,
    signup: config.signup,
    accounts,
    identities,
    apiKeys,
    agents,
    keptTokens,
    newcomers,
    attempts,
    mfa,
    sessions,
    linkNews,
    signIn,
    exchange,
    flows,
  });
  const giveBack = createGiveBack({ ...base, keptTokens, exchange, providers });
  const providerTokens = createProviderTokens({
    ...base,
    audit,
    identities,
    keptTokens,
    exchange,
    giveBack,
    providers,
  });
  const links = createLinks({
    ...base,
    accounts,
    identities,
    keptTokens,
    giveBack,
    sessions,
    linkNews,
    providers,
    upstreamIssuer: config.upstream?.url,
  });
  const upstream = createUpstream({
    ...base,
    issuer: config.issuer,
    upstream: config.upstream,
    ask,
    accounts,
    identities,
    newcomers,
    attempts,
    signIn,
  });
  const recovery = createRecovery({
    ...base,
    accounts,
    passwords,
    linkTokens,
    identities,
    apiKeys,
    agents,
    mfa,
    sessions,
    signIn,
    audit,
  });
  const keepers = createKeepers({
    ...base,
    audit,
    accounts,
    passwords,
    linkTokens,
    verification,
    leaveAll,
    giveBack,
    sessions,
  });
  const setup = createSetup({ ...base, audit, accounts, linkTokens });
  const reaper = createReaper({
    ...base,
    audit,
    artifacts,
    unusedSeconds: config.reapUnusedSeconds,
    idleSeconds: config.reapIdleSeconds,
  });
  const housekeeping = createHousekeeping({ ...base, keys, agents, keptTokens, reaper });

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
    livingAgents,
    agentClaims,
    audiences,
    delegations,
    oauthTokens,
    accounts,
    profiles,
    verification,
    resources,
    resourceRegistry,
    scopes,
    artifacts,
    clients,
    approvals,
    clientDocuments,
    clientUsage,
    clientCertificates,
    workloads,
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
    federation,
    links,
    keptTokens,
    giveBack,
    providerTokens,
    upstream,
    recovery,
    keepers,
    setup,
    reaper,
    housekeeping,
  };
}
