/**
 * Proxy login: users sign in here with their password at the upstream provider. Their id there
 * identifies them, never their e-mail address. A new user gets an account without a password and
 * with an unverified e-mail address.
 */

import { AppError, upstreamInvalid } from '../../base/app-error.js';
import type { Background } from '../../base/background.js';
import type { UpstreamConfig } from '../../base/config/upstream.js';
import type { JsonClient } from '../../base/http-client.js';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import { normalizeEmail } from '../accounts/fields.js';
import { type Attempt, type BruteForceProtection, isRateLimit } from '../sign-in/brute-force-protection.js';
import type { Authentication, AuthResult } from '../sign-in/complete-authentication.js';
import type { Authenticated } from '../sign-in/session-issuance.js';
import type { Credentials, SignIn } from '../sign-in/sign-in.js';
import type { AccountResolver } from './account-resolver.js';
import type { Provisioning } from './provisioning.js';
import { createUpstreamClient, type UpstreamClient, type UpstreamUser } from './proxy-login-client.js';

interface Deps {
  /** The issuer URL of this server. */
  issuer: string;
  upstream: UpstreamConfig | undefined;
  requestJson: JsonClient;
  log: Log;
  background: Background;
  accounts: Accounts;
  provisioning: Provisioning;
  accountResolver: AccountResolver;
  bruteForce: BruteForceProtection;
  authentication: Pick<Authentication, 'complete'>;
  signIn: Pick<SignIn, 'withPassword'>;
}

/** A header with the issuers of the servers that forwarded a login, to detect loops. */
export const HOP_HEADER = 'Signet-Hop';
const MAX_HOPS = 5;
/**
 * Errors after which an attempt is not refunded. Includes `account_suspended`, because some
 * providers return 403 for a wrong password.
 */
const FAILED_ATTEMPT_CODES = ['invalid_credentials', 'invalid_otp', 'account_suspended'];

export function createProxyLogin({ issuer, upstream, requestJson, log, background, ...deps }: Deps) {
  const { accounts, provisioning, accountResolver, bruteForce, authentication, signIn } = deps;
  const upstreamClient = upstream && createUpstreamClient({ upstream, requestJson, log, background });

  return { withPassword };

  /**
   * Authenticates a user by the password at the upstream provider, or by the local password if
   * there is no upstream provider. Throws `AppError` as `signIn.withPassword` does, and
   * `link_required`, `upstream_unavailable` or `upstream_invalid_response`.
   *
   * @param hops the issuers that forwarded this login, the first one first
   */
  async function withPassword(credentials: Credentials, hops: string[], meta: RequestMeta): Promise<AuthResult> {
    if (!upstreamClient) return signIn.withPassword(credentials, meta);
    if (hops.includes(issuer) || hops.length >= MAX_HOPS) {
      throw upstreamInvalid('This login was forwarded in a loop: two providers have each other as upstream.');
    }
    const email = normalizeEmail(credentials.email);
    const local = await accounts.findByEmail(email);
    const attempt = await bruteForce.consume(email, local, meta);
    const headers = {
      [HOP_HEADER]: [...hops, issuer].join(', '),
      // Lets an upstream that trusts this server limit attempts by user and not by server.
      ...(meta.address && { 'X-Forwarded-For': meta.address }),
    };
    const authenticated = await withFailureAudit(attempt, local, meta, () =>
      authenticateUpstream(upstreamClient, credentials, headers, meta),
    );
    return authentication.complete(authenticated, credentials.otp, meta, attempt);
  }

  async function authenticateUpstream(
    client: UpstreamClient,
    credentials: Credentials,
    headers: Record<string, string>,
    meta: RequestMeta,
  ): Promise<Authenticated> {
    const user = await client.authenticate(credentials, headers);
    const account = await accountResolver.resolve(user, () => provision(user, meta));
    return { account, amr: ['pwd'], externalIdentity: { issuer: user.issuer, subject: user.subject } };
  }

  /**
   * Audits failures like those of local passwords. A request for a second factor is not a failure.
   * Refunds the attempt unless the upstream rejected it, so that an outage locks no user out.
   */
  async function withFailureAudit<Result>(
    attempt: Attempt,
    local: Account | null,
    meta: RequestMeta,
    authenticate: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await authenticate();
    } catch (error) {
      if (!isFailedAttempt(error)) await bruteForce.refund(attempt);
      if (isRateLimit(error)) bruteForce.auditThrottled(local, meta);
      else if (error instanceof AppError && error.code !== 'mfa_required') {
        bruteForce.auditFailure(local, error.code, meta);
      }
      throw error;
    }
  }

  /**
   * Creates an account with an unverified e-mail address. The upstream's claim is ignored, because
   * a verified address grants access here and it is unknown how the upstream verifies addresses.
   */
  async function provision({ email, ...user }: UpstreamUser, meta: RequestMeta): Promise<Account> {
    if (!email) throw upstreamInvalid('The upstream provider returned no usable e-mail address.');
    return provisioning.provision({ ...user, email, emailAuthoritative: false }, meta);
  }
}

const isFailedAttempt = (error: unknown) => error instanceof AppError && FAILED_ATTEMPT_CODES.includes(error.code);
