/**
 * Completes every authentication after the first factor: checks the account, requires the second
 * factor, updates the brute-force counters and audits failures. Password sign-in, external
 * providers and proxy login all use it.
 */

import { unauthorized } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import { type Mfa, wrongOtp } from '../mfa/mfa.js';
import { mergeAmr } from '../sessions/authentication-methods.js';
import { type Attempt, type BruteForceProtection, isRateLimit } from './brute-force-protection.js';
import { suspended } from './errors.js';
import { createMfaChallenges } from './mfa-challenges.js';
import type { Authenticated } from './session-issuance.js';

/** A completed authentication, or a challenge for the second factor that is still missing. */
export type AuthResult = ({ kind: 'complete' } & Authenticated) | { kind: 'mfa_required'; challenge: string };

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  accounts: Pick<Accounts, 'isActive'>;
  mfa: Pick<Mfa, 'isEnrolled' | 'verify'>;
  bruteForce: BruteForceProtection;
}

export type Authentication = ReturnType<typeof createAuthentication>;

export function createAuthentication({ db, clock, secrets, accounts, mfa, bruteForce }: Deps) {
  const mfaChallenges = createMfaChallenges({ db, clock, secrets });

  return { complete, completeChallenge, verifySecondFactor };

  /**
   * Completes an authentication whose first factor was verified. Returns a challenge if the account
   * has a second factor and `otp` is missing. Throws `AppError` `account_suspended`, `invalid_otp`
   * or `auth_rate_limited`.
   *
   * @param attempt the counted attempt, if the first factor was a password
   */
  async function complete(
    { account, amr, externalIdentity }: Authenticated,
    otp: string | undefined,
    meta: RequestMeta,
    attempt?: Attempt,
  ): Promise<AuthResult> {
    await requireActive(account, meta, attempt);
    const needsSecondFactor = await mfa.isEnrolled(account.id);
    if (needsSecondFactor && !otp) {
      const challenge = await mfaChallenges.issue({ account, amr, externalIdentity });
      if (attempt) await bruteForce.refund(attempt);
      return { kind: 'mfa_required', challenge };
    }
    const secondFactorAmr = needsSecondFactor && otp ? await verifySecondFactor(account, otp, meta) : [];
    // Reset the counters only after the second factor: a correct password with a wrong code is
    // still a failed attempt. A missing code is not.
    if (attempt) await bruteForce.reset(attempt);
    return { kind: 'complete', account, amr: mergeAmr(amr, secondFactorAmr), externalIdentity };
  }

  /**
   * Completes an authentication that was interrupted by a challenge. Throws `AppError`
   * `invalid_token` if the challenge is invalid, expired or used, and otherwise as `complete` does.
   */
  async function completeChallenge(encryptedChallenge: string, otp: string, meta: RequestMeta): Promise<Authenticated> {
    const challenge = await mfaChallenges.read(encryptedChallenge);
    const account = challenge ? await db.account.findUnique({ where: { id: challenge.accountId } }) : null;
    if (!challenge || !mfaChallenges.isFor(challenge, account)) throw expiredChallenge();
    await requireActive(account, meta);
    const secondFactorAmr = await verifySecondFactor(account, otp, meta);
    if (!(await mfaChallenges.consume(challenge))) throw expiredChallenge();
    await bruteForce.resetFor(account.email, meta);
    return { account, amr: mergeAmr(challenge.amr, secondFactorAmr), externalIdentity: challenge.externalIdentity };
  }

  /**
   * Verifies an authenticator code or a recovery code and returns its `amr` values. Audits a
   * failure. Throws `AppError` `invalid_otp` or `auth_rate_limited`.
   */
  async function verifySecondFactor(account: Account, otp: string, meta: RequestMeta): Promise<string[]> {
    let amr: string[] | undefined;
    try {
      amr = await mfa.verify(account, otp, meta);
    } catch (error) {
      if (isRateLimit(error)) bruteForce.auditThrottled(account, meta);
      throw error;
    }
    if (amr) return amr;
    bruteForce.auditFailure(account, 'wrong_otp', meta);
    throw wrongOtp();
  }

  /** If the account is suspended, resets the counters (the password was correct) and throws. */
  async function requireActive(account: Account, meta: RequestMeta, attempt?: Attempt): Promise<void> {
    if (accounts.isActive(account)) return;
    if (attempt) await bruteForce.reset(attempt);
    bruteForce.auditFailure(account, 'suspended', meta);
    throw suspended();
  }
}

const expiredChallenge = () => unauthorized('invalid_token', 'This sign-in took too long. Start again.');
