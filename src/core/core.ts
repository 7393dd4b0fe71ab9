/** The rooms of identity, in order: each line uses only the names above it, which is the proof that there is no circle. */
import type { Base } from '../base/base.js';
import { createJsonClient } from '../base/json-client.js';
import { isLoopback } from '../base/loopback.js';
import { createNamedServer } from '../base/named-server.js';
import { createAccounts } from './accounts/accounts.js';
import { createLinkTokens } from './accounts/link-tokens.js';
import { createPasswords } from './accounts/passwords.js';
import { createProfiles } from './accounts/profile.js';
import { createPwnedPasswords } from './accounts/pwned-passwords.js';
import { createVerification } from './accounts/verification.js';
import { createAgents } from './agents/agents.js';
import { createAudiences } from './agents/audiences.js';
import { createAgentClaims } from './agents/claims.js';
import { createLivingAgents } from './agents/living.js';
import { AGENT_TOKEN_SECONDS, createAgentTokens } from './agents/tokens.js';
import { createApiKeys } from './api-keys/api-keys.js';
import { createKeyUsage } from './api-keys/usage.js';
import { createApprovals } from './approvals/approvals.js';
import { createArtifacts } from './artifacts/artifacts.js';
import { createAudit } from './audit/audit.js';
import { createClientCertificates } from './clients/certificates.js';
import { createClients } from './clients/clients.js';
import { createClientDocuments } from './clients/documents.js';
import { createReaper } from './clients/reaper.js';
import { createClientUsage } from './clients/usage.js';
import { createConsents } from './consents/consents.js';
import { createCredentials } from './credentials/credentials.js';
import { createDpopNonces } from './credentials/dpop-nonces.js';
import { createForeignTokens } from './credentials/foreign-tokens.js';
import { createOAuthTokens } from './credentials/oauth-tokens.js';
import { createPossession } from './credentials/possession.js';
import { createDelegations } from './delegations/delegations.js';
import { createExchange } from './federation/exchange.js';
import { createFederation } from './federation/federation.js';
import { createFlows } from './federation/flows.js';
import { createIdentities } from './federation/identities.js';
import { createLinks } from './federation/links.js';
import { createNewcomers } from './federation/newcomers.js';
import { createLinkNews } from './federation/news.js';
import { createProviders } from './federation/providers.js';
import { createHousekeeping } from './housekeeping/housekeeping.js';
import { createInvitations } from './invitations/invitations.js';
import { createKeepers } from './keepers/keepers.js';
import { createJwts } from './keys/jwts.js';
import { createKeys } from './keys/keys.js';
import { createMfa } from './mfa/mfa.js';
import { createLeaving } from './organizations/leaving.js';
import { createMembers } from './organizations/members.js';
import { createOrganizations } from './organizations/organizations.js';
import { createProjects } from './organizations/projects.js';
import { createRecovery } from './recovery/recovery.js';
import { createResourceRegistry } from './resources/registry.js';
import { createResources } from './resources/resources.js';
import { createPlaces } from './sessions/places.js';
import { createSessions } from './sessions/sessions.js';
import { createTokens } from './sessions/tokens.js';
import { createSetup } from './setup/setup.js';
import { createAttempts } from './sign-in/attempts.js';
import { createNewDevice } from './sign-in/new-device.js';
import { createSignIn } from './sign-in/sign-in.js';
import { createPermissions } from './tools/permissions.js';
import { createTools } from './tools/tools.js';
import { createValidate } from './tools/validate.js';
import { createUpstream } from './upstream/upstream.js';
import { createWorkloads } from './workloads/workloads.js';

/** OpenID scopes; the scopes of APIs come from the resources. */
const OPENID_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address'];

export type Core = Awaited<ReturnType<typeof createCore>>;

export async function createCore(base: Base) {
  const { config, clock, db, prepared, redis, announcements, secrets, limits, log, mail, fetch } = base;
  const audit = createAudit({ db, clock, log });
  const resources = await createResources({ db, announcements, issuer: config.issuer, brandName: config.brandName });
  const resourceRegistry = createResourceRegistry({
    db,
    audit,
    announcements,
    resources,
    reservedScopes: OPENID_SCOPES,
  });
  const keys = await createKeys({
    db,
    secrets,
    clock,
    audit,
    announcements,
    rotationSeconds: config.keyRotationSeconds,
    signatureSeconds: () => Math.max(config.accessTokenSeconds, AGENT_TOKEN_SECONDS, resources.longestTokenSeconds()),
  });
  const jwts = createJwts({ issuer: config.issuer, keys, clock });
  const pwned = createPwnedPasswords({ url: config.pwnedPasswordsUrl, log });
  const passwords = createPasswords({
    cost: config.passwordHashCost,
    policy: config.passwordPolicy,
    pwned,
    processes: config.processes,
  });
  const organizations = createOrganizations({ db, audit });
  const members = createMembers({ db, audit, announcements, organizations });
  const leaveAll = createLeaving({ organizations });
  const projects = createProjects({ db, audit, announcements, organizations });
  const accounts = createAccounts({ db, clock, audit, announcements, passwords, organizations });
  const profiles = createProfiles({ db, audit, announcements });
  const linkTokens = createLinkTokens({ db, clock });
  const verification = createVerification({ db, audit, announcements, limits, linkTokens, mail });
  const invitations = createInvitations({
    db,
    clock,
    audit,
    announcements,
    limits,
    mail,
    organizations,
    accounts,
  });
  const scopes = () => [...OPENID_SCOPES, ...resources.scopes()];
  const keyUsage = createKeyUsage({ db, clock, log });
  const apiKeys = createApiKeys({
    db,
    clock,
    audit,
    announcements,
    accounts,
    organizations,
    projects,
    usage: keyUsage,
    scopes: resources.scopes,
  });
  const artifacts = createArtifacts({
    db,
    clock,
    audit,
    announcements,
    redis: redis && { client: redis, prefix: config.redisPrefix },
    prepared,
    retrySeconds: config.refreshRetrySeconds,
  });
  const livingAgents = createLivingAgents({ db, clock, announcements });
  const audiences = createAudiences({ issuer: config.issuer, resources, livingAgents });
  const agentTokens = createAgentTokens({ clock, issuer: config.issuer, jwts });
  const agents = createAgents({
    db,
    clock,
    audit,
    announcements,
    accounts,
    organizations,
    resources,
    artifacts,
    tokens: agentTokens,
  });
  const agentClaims = createAgentClaims({ db, clock, audit, announcements, accounts, organizations });
  const clients = createClients({
    db,
    clock,
    audit,
    artifacts,
    announcements,
    livingAgents,
    scopes,
    redirectHosts: config.redirectHosts,
  });
  const clientUsage = createClientUsage({ db, clock, log });
  const clientDocuments = createClientDocuments({
    clock,
    log,
    fetch,
    limits,
    clients,
    enabled: config.clientDocuments,
    allowLoopback: !config.production && isLoopback(new URL(config.issuer).hostname),
  });
  const consents = createConsents({ db, clock, audit, artifacts, announcements, prepared });
  const sessions = createSessions({
    db,
    clock,
    audit,
    artifacts,
    announcements,
    idleSeconds: config.sessionSeconds,
    maxSeconds: config.sessionMaxSeconds,
  });
  const tokens = createTokens({
    clock,
    issuer: config.issuer,
    audit,
    artifacts,
    jwts,
    sessions,
    accessSeconds: config.accessTokenSeconds,
    refreshSeconds: config.refreshTokenSeconds,
  });
  const approvals = createApprovals({ db, clock, audit, limits, mail, accounts, artifacts });
  const oauthTokens = createOAuthTokens({ issuer: config.issuer, jwts, accounts, artifacts, clients, livingAgents });
  const delegations = createDelegations({ audit, oauthTokens, audiences, livingAgents });
  const server = createNamedServer();
  const ask = createJsonClient(server);
  const identities = createIdentities({ db, clock, audit });
  const foreignTokens = createForeignTokens({
    issuers: config.foreignIssuers,
    ask,
    clock,
    log,
    accounts,
    identities,
  });
  const { spiffe, authoritiesFile } = config.certificates;
  const workloads = createWorkloads({ spiffe, clock, log });
  const clientCertificates = createClientCertificates({ authoritiesFile, clock, log });
  const dpopNonces = createDpopNonces({ clock, secrets });
  const possession = createPossession({ clock, nonces: dpopNonces, store: artifacts.store });
  const credentials = createCredentials({
    clock,
    announcements,
    tokens,
    oauthTokens,
    foreignTokens,
    possession,
    workloads,
    apiKeys,
    livingAgents,
    keyUsage,
  });
  const tools = createTools({ db, clock, audit, announcements });
  const permissions = createPermissions({ db, clock, audit, announcements, accounts, tools });
  const validate = createValidate({ credentials, tools, permissions, resources });
  const places = createPlaces({ db, clock });
  const mfa = createMfa({
    db,
    clock,
    secrets,
    limits,
    audit,
    accounts,
    sessions,
    places,
    brandName: config.brandName,
  });
  const newDevice = createNewDevice({ db, clock, limits, log, mail });
  const attempts = createAttempts({ clock, limits, places, audit });
  const signIn = createSignIn({
    db,
    clock,
    secrets,
    accounts,
    passwords,
    verification,
    sessions,
    tokens,
    identities,
    mfa,
    newDevice,
    attempts,
    limits,
    audit,
  });
  const newcomers = createNewcomers({ accounts, verification, identities });
  const providers = createProviders(config.providers);
  const exchange = createExchange({ server, ask, clock, log });
  const flows = createFlows({ db, clock });
  const linkNews = createLinkNews({ clock, limits, log, mail });
  const federation = createFederation({
    providers,
    redirectUris: config.federationRedirectUris,
    signup: config.signup,
    limits,
    accounts,
    identities,
    newcomers,
    attempts,
    mfa,
    sessions,
    linkNews,
    signIn,
    exchange,
    flows,
  });
  const links = createLinks({
    db,
    accounts,
    identities,
    sessions,
    linkNews,
    providers,
    upstreamIssuer: config.upstream?.url,
  });
  const upstream = createUpstream({
    issuer: config.issuer,
    upstream: config.upstream,
    ask,
    log,
    accounts,
    identities,
    newcomers,
    attempts,
    signIn,
  });
  const recovery = createRecovery({
    db,
    clock,
    log,
    announcements,
    accounts,
    passwords,
    linkTokens,
    identities,
    apiKeys,
    agents,
    mfa,
    sessions,
    signIn,
    limits,
    audit,
    mail,
  });
  const keepers = createKeepers({
    db,
    clock,
    audit,
    announcements,
    accounts,
    passwords,
    linkTokens,
    verification,
    leaveAll,
    sessions,
    mail,
  });
  const setup = createSetup({ db, audit, accounts, linkTokens });
  const reaper = createReaper({
    db,
    clock,
    audit,
    artifacts,
    announcements,
    unusedSeconds: config.reapUnusedSeconds,
    idleSeconds: config.reapIdleSeconds,
  });
  const housekeeping = createHousekeeping({ db, clock, log, keys, agents, reaper });

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
    upstream,
    recovery,
    keepers,
    setup,
    reaper,
    housekeeping,
  };
}
