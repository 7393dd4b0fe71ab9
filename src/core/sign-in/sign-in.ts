/**
 * Signing in: how somebody proves who they are, by password and by second factor, or makes an
 * account. Whatever the door, the rules are these. How they are let in then stands in
 * letting-in.ts.
 */

import { invalidRequest, unauthorized } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { type Account, type Accounts, isEmail, type NewAccount, normalizeEmail } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { Passwords } from '../accounts/passwords.js';
import { type Mfa, wrongOtp } from '../mfa/mfa.js';
import type { RequestMeta } from '../request-meta.js';
import { mergeAmr } from '../sessions/authentication-methods.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import { type Attempt, type BruteForceProtection, isRateLimit } from './brute-force-protection.js';
import { suspended, wrongCredentials } from './errors.js';
import { createMfaChallenges } from './mfa-challenges.js';
import type { Authenticated, SessionIssuer } from './session-issuance.js';

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  accounts: Accounts;
  passwords: Passwords;
  emailVerification: EmailVerification;
  sessions: Sessions;
  mfa: Mfa;
  bruteForce: BruteForceProtection;
  rateLimiter: RateLimiter;
  sessionIssuer: SessionIssuer;
}

export interface Credentials {
  email: string;
  password: string;
  /** A code of the authenticator app, or a recovery code, where the person sends it along. */
  otp?: string;
}

/**
 * Let in, or asked for a second factor first: then the ticket stands for what was proved already.
 */
export type AuthResult = ({ kind: 'proven' } & Authenticated) | { kind: 'factor_needed'; challenge: string };

const REGISTER_BY_ADDRESS: Limit = {
  name: 'register-address',
  points: 30,
  seconds: HOUR_SECONDS,
  code: 'auth_rate_limited',
};

export type SignIn = ReturnType<typeof createSignIn>;

export function createSignIn(deps: Deps) {
  const {
    db,
    clock,
    secrets,
    accounts,
    passwords,
    emailVerification,
    sessions,
    mfa,
    bruteForce,
    rateLimiter,
    sessionIssuer,
  } = deps;
  const mfaChallenges = createMfaChallenges({ db, clock, secrets });

  return {
    withPassword,
    withSecondFactor,
    requireSecondFactor,
    register,
    reauthenticate,
    ...sessionIssuer,
  };

  /**
   * Proves a person by password, and by the second factor where one is set up. Refuses with
   * `invalid_credentials` (the same words after the same time for an unknown e-mail),
   * `invalid_otp`, `account_suspended` or `auth_rate_limited`.
   */
  async function withPassword({ email, password, otp }: Credentials, meta: RequestMeta): Promise<AuthResult> {
    const login = normalizeEmail(email);
    const { account, attempt } = await verifyPassword(login, password, meta);
    if (!accounts.isActive(account)) {
      await bruteForce.reset(attempt);
      bruteForce.auditFailure(account, 'suspended', meta);
      throw suspended();
    }
    await accounts.renewHash(account, password);
    const authResult = await requireSecondFactor({ account, amr: ['pwd'] }, otp, meta);
    // Only now: a right password with a wrong code is an attempt like any other. Without a code it
    // is none.
    await (authResult.kind === 'proven' ? bruteForce.reset(attempt) : bruteForce.refund(attempt));
    return authResult;
  }

  /**
   * For whoever proved who they are by one thing only: asks for the second factor where one is set
   * up. Refuses with `invalid_otp` or `auth_rate_limited`.
   */
  async function requireSecondFactor(
    authenticated: Authenticated,
    otp: string | undefined,
    meta: RequestMeta,
  ): Promise<AuthResult> {
    const { account, amr, from } = authenticated;
    if (!(await mfa.isEnrolled(account.id))) return { kind: 'proven', ...authenticated };
    if (!otp) return { kind: 'factor_needed', challenge: await mfaChallenges.issue(account, amr, from) };
    return { kind: 'proven', ...authenticated, amr: mergeAmr(amr, await verifySecondFactor(account, otp, meta)) };
  }

  /**
   * The second step, for whoever came with a ticket. Refuses with `invalid_token` when the ticket
   * is old, used or void, and as `withPassword` does.
   */
  async function withSecondFactor(sealed: string, otp: string, meta: RequestMeta): Promise<Authenticated> {
    const challenge = await mfaChallenges.read(sealed);
    const account = challenge ? await db.account.findUnique({ where: { id: challenge.accountId } }) : null;
    if (!challenge || !mfaChallenges.isFor(challenge, account)) throw expired();
    if (!accounts.isActive(account)) {
      bruteForce.auditFailure(account, 'suspended', meta);
      throw suspended();
    }
    const more = await verifySecondFactor(account, otp, meta);
    if (!(await mfaChallenges.consume(challenge))) throw expired();
    await bruteForce.resetFor(account.email, meta);
    return { account, amr: mergeAmr(challenge.amr, more), from: challenge.from };
  }

  /**
   * Somebody who is signed in proves again who they are (step-up), by password or by second factor.
   * Refuses with `invalid_credentials`, `invalid_otp` or `auth_rate_limited`.
   */
  async function reauthenticate(
    login: AuthenticatedSession,
    { password, otp }: { password?: string; otp?: string },
    meta: RequestMeta,
  ): Promise<void> {
    if (!password && !otp) throw invalidRequest('Send the password, or a code of the second factor.');
    const { account } = login;
    const amr: string[] = [];
    const proof = password ? await verifyPassword(account.email, password, meta) : undefined;
    if (proof) amr.push('pwd');
    if (otp) amr.push(...(await verifySecondFactor(account, otp, meta)));
    if (proof) await bruteForce.reset(proof.attempt);
    await sessions.reauthenticate(login, amr, meta);
  }

  /**
   * Whose e-mail and password these are. The attempt counts until it is forgiven. Refuses with
   * `invalid_credentials`.
   */
  async function verifyPassword(
    login: string,
    password: string,
    meta: RequestMeta,
  ): Promise<{ account: Account; attempt: Attempt }> {
    // What cannot be an address is nobody's; it takes as long all the same.
    const account = isEmail(login) ? await accounts.findByEmail(login) : null;
    const attempt = await bruteForce.consume(login, account, meta);

    const right = await passwords.verify(password, account?.passwordHash);
    if (!account || !right) {
      bruteForce.auditFailure(account, account ? 'wrong_password' : 'unknown_account', meta);
      throw wrongCredentials();
    }
    return { account, attempt };
  }

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

  /**
   * Makes an account, and mails the link that verifies its address. Refuses with `invalid_request`
   * by field, `conflict` or `auth_rate_limited`.
   */
  async function register(input: NewAccount, meta: RequestMeta): Promise<Authenticated> {
    await rateLimiter.consume(REGISTER_BY_ADDRESS, rateLimitKey(meta.address));
    const account = await accounts.create(input, meta, { also: emailVerification.begin });
    return { account, amr: ['pwd'] };
  }
}

const expired = () => unauthorized('invalid_token', 'This sign-in took too long. Please start again.');
