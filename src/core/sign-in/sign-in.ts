/**
 * Sign-in with our own credentials: password, second factor, registration and re-authentication.
 * session-issuance.ts issues the sessions.
 */

import { invalidRequest } from '../../base/app-error.js';
import type { Transact } from '../../base/db/transaction.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { Mailer } from '../../base/mailer.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts, NewAccount } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import { isEmail, normalizeEmail } from '../accounts/fields.js';
import type { Passwords } from '../accounts/passwords.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import type { Attempt, BruteForceProtection } from './brute-force-protection.js';
import type { Authentication, AuthResult } from './complete-authentication.js';
import { wrongCredentials } from './errors.js';
import type { Authenticated } from './session-issuance.js';

interface Deps {
  transact: Transact;
  accounts: Accounts;
  passwords: Passwords;
  emailVerification: EmailVerification;
  sessions: Sessions;
  authentication: Authentication;
  bruteForce: BruteForceProtection;
  rateLimiter: RateLimiter;
  mailer: Pick<Mailer, 'delivers'>;
}

export interface Credentials {
  email: string;
  password: string;
  /** A code of the authenticator app or a recovery code. */
  otp?: string;
}

const REGISTER_BY_ADDRESS = LIMITS['register-address'];

export type SignIn = ReturnType<typeof createSignIn>;

export function createSignIn(deps: Deps) {
  const {
    transact,
    accounts,
    passwords,
    emailVerification,
    sessions,
    authentication,
    bruteForce,
    rateLimiter,
    mailer,
  } = deps;

  return { withPassword, withSecondFactor: authentication.completeChallenge, register, reauthenticate, checkPassword };

  /**
   * Authenticates a user by password, and by second factor if one is set up. Throws `AppError`
   * `invalid_credentials` (with the same message and timing for an unknown e-mail address),
   * `invalid_otp`, `account_suspended` or `auth_rate_limited`.
   */
  async function withPassword({ email, password, otp }: Credentials, meta: RequestMeta): Promise<AuthResult> {
    const { account, attempt } = await verifyPassword(normalizeEmail(email), password, meta);
    const authResult = await authentication.complete({ account, amr: ['pwd'] }, otp, meta, attempt);
    await accounts.renewHash(account, password, meta);
    return authResult;
  }

  /**
   * Re-authenticates a signed-in user (step-up) by password, second factor or both. Throws
   * `AppError` `invalid_credentials`, `invalid_otp` or `auth_rate_limited`.
   */
  async function reauthenticate(
    authenticatedSession: AuthenticatedSession,
    { password, otp }: { password?: string; otp?: string },
    meta: RequestMeta,
  ): Promise<void> {
    if (!password && !otp) throw invalidRequest('Send the password or a code of the second factor.');
    const { account } = authenticatedSession;
    const passwordCheck = password ? await verifyPassword(account.email, password, meta) : undefined;
    const secondFactorAmr = otp ? await authentication.verifySecondFactor(account, otp, meta) : [];
    if (passwordCheck) await bruteForce.reset(passwordCheck.attempt);
    await sessions.reauthenticate(authenticatedSession, [...(passwordCheck ? ['pwd'] : []), ...secondFactorAmr], meta);
  }

  /**
   * Verifies the password of a user who has no session. Issues nothing. Throws `AppError`
   * `invalid_credentials` or `auth_rate_limited`.
   */
  async function checkPassword(email: string, password: string, meta: RequestMeta): Promise<Account> {
    const { account, attempt } = await verifyPassword(email, password, meta);
    await bruteForce.reset(attempt);
    return account;
  }

  /**
   * Returns the account with this e-mail address and password. The attempt counts as failed until
   * the caller resets or refunds it. Throws `AppError` `invalid_credentials` or
   * `auth_rate_limited`.
   */
  async function verifyPassword(
    email: string,
    password: string,
    meta: RequestMeta,
  ): Promise<{ account: Account; attempt: Attempt }> {
    // An invalid address takes the same time as an unknown one, because the password is hashed too.
    const account = isEmail(email) ? await accounts.findByEmail(email) : null;
    const attempt = await bruteForce.consume(email, account, meta);
    const matches = await passwords.verify(password, account?.passwordHash, meta);
    if (account && matches) return { account, attempt };
    bruteForce.auditFailure(account, account ? 'wrong_password' : 'unknown_account', meta);
    throw wrongCredentials();
  }

  /**
   * Creates an account and sends the link that verifies its e-mail address. Throws `AppError`
   * `invalid_request` by field, `conflict` or `auth_rate_limited`.
   */
  async function register(input: NewAccount, meta: RequestMeta): Promise<Authenticated> {
    await rateLimiter.consume(REGISTER_BY_ADDRESS, rateLimitKey(meta.address));
    const preparedAccount = await accounts.prepare(input, meta);
    const account = await transact(async (uow) => {
      // Without a link, the user cannot verify the address.
      const options = { expiresUnverified: mailer.delivers };
      const newAccount = await accounts.insert(uow, preparedAccount, meta, options);
      await emailVerification.begin(uow, newAccount);
      return newAccount;
    });
    return { account, amr: ['pwd'] };
  }
}
