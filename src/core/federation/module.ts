/** Creates the services of this folder: external providers, their tokens, links and proxy login. */
import type { Base } from '../../base/base.js';
import { createHttpClient, createJsonClient } from '../../base/http-client.js';
import type { Accounts } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Audit } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { TokenVault } from '../identities/token-vault.js';
import type { Mfa } from '../mfa/mfa.js';
import type { Sessions } from '../sessions/sessions.js';
import type { BruteForceProtection } from '../sign-in/brute-force-protection.js';
import type { Authentication } from '../sign-in/complete-authentication.js';
import type { SignIn } from '../sign-in/sign-in.js';
import { createAccountResolver } from './account-resolver.js';
import { createCodeFlow } from './authorization-code.js';
import { createEmailLinking } from './email-linking.js';
import { createFederation } from './federation.js';
import { createLinkNotifications } from './link-notifications.js';
import { createLinks } from './links.js';
import { createPendingLogins } from './pending-logins.js';
import { createProviderTokens } from './provider-tokens.js';
import { createProviders } from './providers.js';
import { createProvisioning } from './provisioning.js';
import { createProxyLogin } from './proxy-login.js';
import { createTokenRevocation } from './token-revocation.js';

interface Deps {
  audit: Audit;
  accounts: Accounts;
  emailVerification: EmailVerification;
  identities: Identities;
  tokenVault: TokenVault;
  apiKeys: ApiKeys;
  agents: Agents;
  mfa: Mfa;
  sessions: Sessions;
  bruteForce: BruteForceProtection;
  authentication: Authentication;
  signIn: SignIn;
}

export function createFederationModule(base: Base, deps: Deps) {
  const { config } = base;
  const { audit, accounts, emailVerification, identities, tokenVault, apiKeys, agents, mfa, sessions } = deps;
  const { bruteForce, authentication, signIn } = deps;
  const httpClient = createHttpClient();
  const requestJson = createJsonClient(httpClient);
  const provisioning = createProvisioning({ ...base, accounts, emailVerification, identities });
  const providers = createProviders(config.providers);
  const codeFlow = createCodeFlow({ ...base, httpClient, requestJson });
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
  const proxyLogin = createProxyLogin({
    ...base,
    issuer: config.issuer,
    upstream: config.upstream,
    requestJson,
    accounts,
    provisioning,
    accountResolver,
    bruteForce,
    authentication,
    signIn,
  });

  return { federation, tokenRevocation, providerTokens, links, proxyLogin };
}
