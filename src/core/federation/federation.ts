/**
 * Federated login. Issuer and subject identify a user. An e-mail address leads to an existing
 * account only under the conditions of email-linking.ts; otherwise the user must sign in to the
 * account and link the provider.
 */

import { AppError, forbidden, invalidRequest, notFound, unauthorized, upstreamInvalid } from '../../base/app-error.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { TokenVault } from '../identities/token-vault.js';
import { type BruteForceProtection, isRateLimit } from '../sign-in/brute-force-protection.js';
import type { Authentication, AuthResult } from '../sign-in/complete-authentication.js';
import type { AccountResolver } from './account-resolver.js';
import type { AuthorizationCode, CodeFlow } from './authorization-code.js';
import type { createEmailLinking } from './email-linking.js';
import type { NewLogin, PendingLogin, PendingLogins } from './pending-logins.js';
import type { ExternalLogin, Provider } from './provider.js';
import type { Provisioning } from './provisioning.js';

interface Deps {
  providers: Provider[];
  /** The redirect URIs of apps that receive codes from providers themselves. */
  redirectUris: string[];
  signup: 'open' | 'closed';
  rateLimiter: RateLimiter;
  accounts: Accounts;
  tokenVault: Pick<TokenVault, 'canRenew'>;
  provisioning: Provisioning;
  bruteForce: BruteForceProtection;
  authentication: Pick<Authentication, 'complete'>;
  accountResolver: AccountResolver;
  emailLinking: ReturnType<typeof createEmailLinking>;
  codeFlow: CodeFlow;
  pendingLogins: PendingLogins;
}

const STARTS_BY_ADDRESS = LIMITS['federation-begin'];
/** Limits failed callbacks and codes. Successful ones are refunded. */
const FAILURES_BY_ADDRESS = LIMITS['federation-fail'];

export function createFederation({ providers, redirectUris, signup, rateLimiter, ...deps }: Deps) {
  const { accounts, tokenVault, provisioning, bruteForce, authentication } = deps;
  const { accountResolver, emailLinking, codeFlow, pendingLogins } = deps;

  return {
    /** The configured providers, in the order of their buttons. */
    signInProviders: providers.map(({ id, name }) => ({ id, name })),
    beginLogin,
    resumeLogin,
    completeCallback,
    needsRefreshConsent,
    restartWithConsent,
    completeAppCode,
    authenticate,
  };

  /**
   * Starts a login and returns the provider's authorization URL. Throws `AppError` `not_found`,
   * `auth_rate_limited`, or as `codeFlow.authorizationUrl` does.
   *
   * @param browserSecret a secret that only this browser has
   */
  async function beginLogin(
    providerId: string,
    login: Omit<NewLogin, 'providerId'>,
    browserSecret: string,
    { address }: RequestMeta,
  ): Promise<string> {
    const provider = providerOf(providerId);
    await rateLimiter.consume(STARTS_BY_ADDRESS, rateLimitKey(address));
    return codeFlow.authorizationUrl(provider, await pendingLogins.create({ ...login, providerId }, browserSecret));
  }

  /**
   * Consumes and returns the login that this browser started. Throws `AppError` `invalid_request`
   * if there is no such login.
   */
  async function resumeLogin(
    providerId: string,
    state: string | undefined,
    browserSecret: string | undefined,
  ): Promise<PendingLogin> {
    const login = state && browserSecret ? await pendingLogins.consume(state, browserSecret) : undefined;
    // The response of one provider at the callback of another is a mix-up attack (RFC 9700).
    if (login?.providerId === providerId) return login;
    throw invalidRequest('This sign-in has expired or was started in another browser. Start again.');
  }

  /** Completes the callback of a login. Throws `AppError` as `codeFlow.handleCallback` does. */
  async function completeCallback(
    { providerId, binding }: PendingLogin,
    query: string,
    meta: RequestMeta,
  ): Promise<ExternalLogin> {
    return withFailureLimit(meta, () => codeFlow.handleCallback(providerOf(providerId), query, binding));
  }

  /**
   * Reports whether the provider must ask the user for consent again, because it returned no
   * refresh token and none is stored. It asks at most once more for each login.
   */
  async function needsRefreshConsent(
    { providerId, consent }: PendingLogin,
    externalLogin: ExternalLogin,
  ): Promise<boolean> {
    const { tokensToKeep } = externalLogin;
    if (consent || !tokensToKeep || tokensToKeep.refreshToken) return false;
    if (!providerOf(providerId).refreshTokenNeedsConsent) return false;
    return !(await tokenVault.canRenew(externalLogin));
  }

  /** Restarts a login and returns an authorization URL that asks for consent. */
  async function restartWithConsent({ binding: _, ...login }: PendingLogin, browserSecret: string): Promise<string> {
    const newLogin = { ...login, consent: true };
    const binding = await pendingLogins.create(newLogin, browserSecret);
    return codeFlow.authorizationUrl(providerOf(login.providerId), binding, { consent: true });
  }

  /**
   * Exchanges a code that an app received. Throws `AppError` `invalid_request` if the redirect URI
   * is not allowed, and otherwise as `codeFlow.exchangeCode` does.
   */
  async function completeAppCode(id: string, code: AuthorizationCode, meta: RequestMeta): Promise<ExternalLogin> {
    if (!redirectUris.includes(code.redirectUri)) {
      throw invalidRequest('Codes for this redirect URI are not accepted.', {
        redirect_uri: 'This redirect URI is not allowed.',
      });
    }
    return withFailureLimit(meta, () => codeFlow.exchangeCode(providerOf(id), code));
  }

  /**
   * Authenticates a user by an external login, with just-in-time provisioning. Throws `AppError`
   * `link_required`, `signup_closed`, or as `authentication.complete` does.
   */
  async function authenticate(
    externalLogin: ExternalLogin,
    otp: string | undefined,
    meta: RequestMeta,
  ): Promise<AuthResult> {
    const { issuer, subject } = externalLogin;
    const account = await resolveAccount(externalLogin, meta);
    return authentication.complete({ account, amr: ['fed'], externalIdentity: { issuer, subject } }, otp, meta);
  }

  async function resolveAccount(externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    try {
      return await accountResolver.resolve(externalLogin, () => linkOrProvision(externalLogin, meta));
    } catch (error) {
      if (isLinkRequired(error)) bruteForce.auditFailure(null, 'link_required', meta);
      throw error;
    }
  }

  async function linkOrProvision(externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    const { email, provider } = externalLogin;
    if (!email) throw upstreamInvalid(`${provider.name} returned no usable e-mail address.`);
    const local = await accounts.findByEmail(email);
    if (local) return emailLinking.link(local, externalLogin, meta);
    if (signup === 'closed')
      throw forbidden('signup_closed', 'Sign-up is disabled. Ask an administrator for an account.');
    return provisioning.provision({ ...externalLogin, email }, meta);
  }

  /** Limits failures by IP address, and audits them like failed passwords. */
  async function withFailureLimit(
    meta: RequestMeta,
    authenticateExternally: () => Promise<ExternalLogin>,
  ): Promise<ExternalLogin> {
    const key = rateLimitKey(meta.address);
    try {
      await rateLimiter.consume(FAILURES_BY_ADDRESS, key);
      const externalLogin = await authenticateExternally();
      await rateLimiter.refund(FAILURES_BY_ADDRESS, key);
      return externalLogin;
    } catch (error) {
      if (isRateLimit(error)) bruteForce.auditThrottled(null, meta);
      else if (error instanceof AppError) {
        bruteForce.auditFailure(null, error.code, meta);
        if (error.status >= 500) await rateLimiter.refund(FAILURES_BY_ADDRESS, key); // the provider failed, not the user
      }
      throw error;
    }
  }

  function providerOf(id: string): Provider {
    const provider = providers.find((candidate) => candidate.id === id);
    if (!provider) throw notFound('This sign-in provider is not available.');
    return provider;
  }
}

const isLinkRequired = (error: unknown) => error instanceof AppError && error.code === 'link_required';

/** Returns the error for a user who completes the linking that another user started. */
export const accountMismatch = () => unauthorized('invalid_token', 'Another user has signed in since. Start again.');
