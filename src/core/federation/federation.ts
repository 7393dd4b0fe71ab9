/**
 * Federated login. Users are identified by issuer and subject. An e-mail address leads to an
 * existing account only under the conditions of link-by-email.ts; otherwise the user has to sign in
 * and link the provider.
 */

import { AppError, forbidden, invalidRequest, notFound, unauthorized, upstreamInvalid } from '../../base/app-error.js';
import { HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { TokenVault } from '../identities/token-vault.js';
import type { RequestMeta } from '../request-meta.js';
import { type BruteForceProtection, isRateLimit } from '../sign-in/brute-force-protection.js';
import type { Authentication, AuthResult } from '../sign-in/complete-authentication.js';
import type { AuthorizationCode, CodeFlow } from './authorization-code.js';
import type { createEmailLinking } from './link-by-email.js';
import type { NewLogin, PendingLogin, PendingLogins } from './login-state.js';
import type { ExternalLogin, Provider } from './provider.js';
import type { Provisioning } from './provisioning.js';
import type { AccountResolver } from './resolve-account.js';

interface Deps {
  providers: Provider[];
  /** The redirect URIs of apps that run the authorization request themselves. */
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

const CODE = 'auth_rate_limited';
const STARTS_BY_ADDRESS: Limit = { name: 'federation-begin', points: 1000, seconds: HOUR_SECONDS, code: CODE };
/** Failed callbacks and codes. Successful ones are refunded. */
const FAILURES_BY_ADDRESS: Limit = { name: 'federation-fail', points: 100, seconds: 15 * MINUTE_SECONDS, code: CODE };

export function createFederation({ providers, redirectUris, signup, rateLimiter, ...deps }: Deps) {
  const { accounts, tokenVault, provisioning, bruteForce, authentication } = deps;
  const { accountResolver, emailLinking, codeFlow, pendingLogins } = deps;

  return {
    /** In the order of the buttons. */
    offered: providers.map(({ id, name }) => ({ id, name })),
    begin,
    resume,
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
   * @param browser a secret that only this browser has
   */
  async function begin(
    providerId: string,
    login: Omit<NewLogin, 'providerId'>,
    browser: string,
    { address }: RequestMeta,
  ): Promise<string> {
    const provider = providerOf(providerId);
    await rateLimiter.consume(STARTS_BY_ADDRESS, rateLimitKey(address));
    return codeFlow.authorizationUrl(provider, await pendingLogins.create({ ...login, providerId }, browser));
  }

  /**
   * Consumes and returns the login that this browser started. Throws `AppError` `invalid_request`
   * if this browser has not started one.
   */
  async function resume(
    providerId: string,
    state: string | undefined,
    browser: string | undefined,
  ): Promise<PendingLogin> {
    const login = state && browser ? await pendingLogins.consume(state, browser) : undefined;
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
   * Reports whether the user should be asked for consent again, because the provider returned no
   * refresh token and none is stored. Users are asked again at most once for each login.
   */
  async function needsRefreshConsent(
    { providerId, consent }: PendingLogin,
    externalLogin: ExternalLogin,
  ): Promise<boolean> {
    const { tokensToKeep } = externalLogin;
    if (consent || !tokensToKeep || tokensToKeep.refreshToken || !providerOf(providerId).offlineByConsent) return false;
    return !(await tokenVault.canRenew(externalLogin));
  }

  /** Restarts a login and returns an authorization URL that asks for consent. */
  async function restartWithConsent({ binding: _, ...login }: PendingLogin, browser: string): Promise<string> {
    const again = { ...login, consent: true };
    return codeFlow.authorizationUrl(providerOf(login.providerId), await pendingLogins.create(again, browser), again);
  }

  /**
   * Exchanges a code that an app received. Throws `AppError` `invalid_request` if the redirect URI
   * is not allowed, and otherwise as `codeFlow.exchangeCode` does.
   */
  async function completeAppCode(id: string, code: AuthorizationCode, meta: RequestMeta): Promise<ExternalLogin> {
    if (!redirectUris.includes(code.redirectUri)) {
      throw invalidRequest('Codes for this redirect URI are not accepted.', {
        redirect_uri: 'This redirect URI is not in the list of allowed ones.',
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

  /** Limits failures by address and audits them as for passwords. */
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
    const provider = providers.find((one) => one.id === id);
    if (!provider) throw notFound('This sign-in provider is not available.');
    return provider;
  }
}

const isLinkRequired = (error: unknown) => error instanceof AppError && error.code === 'link_required';

/** Returns the error for a link that one user started and another one completes. */
export const accountMismatch = () => unauthorized('invalid_token', 'Another user has signed in since. Start again.');
