/**
 * Signing in with a provider elsewhere. People are known by their subject there. An e-mail address
 * leads to an account only if the provider is the one to say whose it is, and only if the account
 * has proved it as well; else whoever asks must sign in, then link.
 */

import {
  AppError,
  forbidden,
  invalidRequest,
  isUniqueViolation,
  notFound,
  unauthorized,
  upstreamInvalid,
} from '../../base/app-error.js';
import { HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Prisma, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Identities } from '../identities/identities.js';
import type { TokenVault } from '../identities/token-vault.js';
import type { Mfa } from '../mfa/mfa.js';
import type { RequestMeta } from '../request-meta.js';
import type { Sessions } from '../sessions/sessions.js';
import { type BruteForceProtection, isRateLimit } from '../sign-in/brute-force-protection.js';
import { suspended } from '../sign-in/errors.js';
import type { AuthResult, SignIn } from '../sign-in/sign-in.js';
import type { AuthorizationCode, Exchange } from './authorization-code.js';
import type { LinkNotifications } from './link-notifications.js';
import type { PendingLogin, PendingLogins } from './login-state.js';
import type { ExternalLogin, Provider } from './provider.js';
import type { Provisioning } from './provisioning.js';

interface Deps {
  providers: Provider[];
  /** Where codes that apps bring may have been sent. */
  redirectUris: string[];
  signup: 'open' | 'closed';
  rateLimiter: RateLimiter;
  transact: Transact;
  invalidationBus: InvalidationBus;
  accounts: Accounts;
  identities: Identities;
  apiKeys: Pick<ApiKeys, 'removeAllFor'>;
  agents: Pick<Agents, 'removeAllFor'>;
  tokenVault: Pick<TokenVault, 'canRenew'>;
  provisioning: Provisioning;
  bruteForce: BruteForceProtection;
  mfa: Pick<Mfa, 'isEnrolled'>;
  sessions: Pick<Sessions, 'revokeAll'>;
  linkNotifications: LinkNotifications;
  signIn: Pick<SignIn, 'requireSecondFactor'>;
  exchange: Exchange;
  pendingLogins: PendingLogins;
}

export interface Begin {
  /** A secret that only this browser has. */
  browser: string;
  redirectUri: string;
  /** The account that is to be linked; without it, somebody signs in. */
  accountId?: string;
  /** What the door wants to know when it goes on. */
  note: Prisma.InputJsonObject;
}

const CODE = 'auth_rate_limited';
const STARTS_BY_ADDRESS: Limit = { name: 'federation-begin', points: 1000, seconds: HOUR_SECONDS, code: CODE };
/** Answers that come to nothing: what is right is taken back. */
const FAILURES_BY_ADDRESS: Limit = { name: 'federation-fail', points: 100, seconds: 15 * MINUTE_SECONDS, code: CODE };

export function createFederation({ providers, redirectUris, signup, rateLimiter, ...deps }: Deps) {
  const {
    transact,
    invalidationBus,
    accounts,
    identities,
    apiKeys,
    agents,
    tokenVault,
    provisioning,
    bruteForce,
    mfa,
    sessions,
    linkNotifications,
    signIn,
    exchange,
    pendingLogins,
  } = deps;

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
   * Where to send somebody who wants to come by this provider. Refuses with `not_found`,
   * `auth_rate_limited` and as the exchange does.
   */
  async function begin(id: string, { browser, ...flow }: Begin, { address }: RequestMeta): Promise<string> {
    const provider = providerOf(id);
    await rateLimiter.consume(STARTS_BY_ADDRESS, rateLimitKey(address));
    return exchange.authorizationUrl(provider, await pendingLogins.create({ ...flow, providerId: id }, browser));
  }

  /**
   * What was begun in this browser and is answered now; it cannot be answered again. Refuses with
   * `invalid_request`.
   */
  async function resume(id: string, state: string | undefined, browser: string | undefined): Promise<PendingLogin> {
    const flow = state && browser ? await pendingLogins.consume(state, browser) : undefined;
    // The answer of one provider at the address of another is a mix-up, and somebody's attack.
    if (flow?.providerId === id) return flow;
    throw invalidRequest('This sign-in has expired, or was begun in another browser. Please start again.');
  }

  /** Who came back with this answer. Refuses as the exchange does. */
  async function completeCallback(
    { providerId, binding }: PendingLogin,
    query: string,
    meta: RequestMeta,
  ): Promise<ExternalLogin> {
    return withFailureLimit(meta, () => exchange.handleCallback(providerOf(providerId), query, binding));
  }

  /**
   * Whether what the provider gave cannot be renewed because it did not ask the person, and nothing
   * that can be is kept. Never of somebody whom we had asked already: they are asked once more, not
   * for ever.
   */
  async function needsRefreshConsent(
    { providerId, consent }: PendingLogin,
    externalLogin: ExternalLogin,
  ): Promise<boolean> {
    const { tokensToKeep } = externalLogin;
    if (consent || !tokensToKeep || tokensToKeep.refreshToken || !providerOf(providerId).offlineByConsent) return false;
    return !(await tokenVault.canRenew(externalLogin));
  }

  /**
   * Where to send somebody once more, for the same errand, to be asked. Refuses as the exchange
   * does.
   */
  async function restartWithConsent({ binding: _, ...flow }: PendingLogin, browser: string): Promise<string> {
    const again = { ...flow, consent: true };
    return exchange.authorizationUrl(providerOf(flow.providerId), await pendingLogins.create(again, browser), again);
  }

  /**
   * Who sent an app this code. Refuses as the exchange does, and with `invalid_request` unless the
   * address is on the list.
   */
  async function completeAppCode(id: string, given: AuthorizationCode, meta: RequestMeta): Promise<ExternalLogin> {
    if (!redirectUris.includes(given.redirectUri)) {
      throw invalidRequest('Codes for this address are not taken here.', { redirect_uri: 'It is not on the list.' });
    }
    return withFailureLimit(meta, () => exchange.exchangeCode(providerOf(id), given));
  }

  /**
   * Lets somebody in who proved who they are elsewhere, or asks for the second factor that they
   * have here. Refuses with `link_required`, `signup_closed`, `account_suspended` and as
   * `signIn.requireSecondFactor` does.
   */
  async function authenticate(
    externalLogin: ExternalLogin,
    otp: string | undefined,
    meta: RequestMeta,
  ): Promise<AuthResult> {
    const account = await accountOf(externalLogin, meta);
    if (!accounts.isActive(account)) {
      bruteForce.auditFailure(account, 'suspended', meta);
      throw suspended();
    }
    const { issuer, subject } = externalLogin;
    return signIn.requireSecondFactor({ account, amr: ['fed'], from: { issuer, subject } }, otp, meta);
  }

  /** Every no leaves the trail that it leaves with a password. */
  async function withFailureLimit(meta: RequestMeta, prove: () => Promise<ExternalLogin>): Promise<ExternalLogin> {
    const key = rateLimitKey(meta.address);
    try {
      await rateLimiter.consume(FAILURES_BY_ADDRESS, key);
      const externalLogin = await prove();
      await rateLimiter.refund(FAILURES_BY_ADDRESS, key);
      return externalLogin;
    } catch (error) {
      if (isRateLimit(error)) bruteForce.auditThrottled(null, meta);
      else if (error instanceof AppError) {
        bruteForce.auditFailure(null, error.code, meta);
        if (error.status >= 500) await rateLimiter.refund(FAILURES_BY_ADDRESS, key); // theirs, not the visitor's
      }
      throw error;
    }
  }

  async function accountOf(externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    const linked = await identities.find(externalLogin);
    if (linked) return recordUse(linked, externalLogin);
    try {
      return await linkOrMake(externalLogin, meta);
    } catch (error) {
      if (!isUniqueViolation(error) && !(error instanceof AppError && error.status === 409)) throw error;
      // Taken: by the same person, who came twice at once, or by an account that may be somebody
      // else's.
      const meanwhile = await identities.find(externalLogin);
      if (meanwhile) return recordUse(meanwhile, externalLogin);
      bruteForce.auditFailure(null, 'link_required', meta);
      throw linkRequired(externalLogin, error);
    }
  }

  async function recordUse(account: Account, externalLogin: ExternalLogin): Promise<Account> {
    if (accounts.isActive(account)) await identities.recordUse(externalLogin, externalLogin.email);
    return account;
  }

  async function linkOrMake(externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    const { email, provider } = externalLogin;
    if (!email) throw upstreamInvalid(`${provider.name} tells no e-mail address that can be used.`);
    const local = await accounts.findByEmail(email);
    if (local) return linkByEmail(local, externalLogin, meta);
    if (signup === 'closed')
      throw forbidden('signup_closed', 'Nobody new can make an account here. Ask whoever runs it.');
    return provisioning.provision({ ...externalLogin, email }, meta);
  }

  /**
   * Both sides have proved the address, and it is the provider's to give: it is one person. Never
   * for an administrator, whose account would be as strong as the provider; nor past a second
   * factor, which nobody has shown yet; nor beside another person of the same provider, who had the
   * address before. Whoever waited in the account for its owner (account pre-hijacking) is signed
   * out, the keys and agents from before anybody proved the address go, and the owner is told.
   */
  async function linkByEmail({ id }: Account, externalLogin: ExternalLogin, meta: RequestMeta): Promise<Account> {
    const { issuer, email, emailProven } = externalLogin;
    if (!emailProven) throw linkRequired(externalLogin);
    return transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const account = await accounts.lock(id, tx);
      const isTheirs = accounts.isActive(account) && account.emailVerified && account.email === email;
      if (!isTheirs || account.role === 'admin') throw linkRequired(externalLogin);
      if ((await mfa.isEnrolled(id, tx)) || (await identities.hasAny(id, issuer, tx)))
        throw linkRequired(externalLogin);
      const cleared = await clear(account, tx);
      await identities.link(account, externalLogin, email, meta, tx, { cleared });
      await sessions.revokeAll(uow, id, { reason: 'revoked', meta });
      afterCommit(() => invalidationBus.publish('accounts', id));
      afterCommit(() => linkNotifications.notify(account, externalLogin.provider.name, 'email', meta));
      return account;
    });
  }

  /**
   * Whether there was anything. Where nobody knows when the address was proven, all of it stays.
   */
  async function clear({ id, emailVerifiedAt: before }: Account, tx: Queryable): Promise<boolean> {
    if (!before) return false;
    const keys = await apiKeys.removeAllFor(id, tx, before);
    return keys + (await agents.removeAllFor(id, tx, before)) > 0;
  }

  function providerOf(id: string): Provider {
    const provider = providers.find((one) => one.id === id);
    if (!provider) throw notFound('Nobody signs in here with this provider.');
    return provider;
  }
}

const linkRequired = ({ provider: { name } }: ExternalLogin, cause?: unknown) =>
  new AppError(
    409,
    'link_required',
    `There is already an account with this e-mail address, and it is not linked to ${name}. Sign in to it, then link ${name} under Security in your account.`,
    { cause },
  );

/** Whoever began to link must be the one who ends it. */
export const accountMismatch = () =>
  unauthorized('invalid_token', 'Somebody else is signed in by now. Please start again.');
