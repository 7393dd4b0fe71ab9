/**
 * Signing in: how somebody proves who they are, by password and by second factor, or makes an account. Whatever the door, the rules are
 * these. How they are let in then stands in letting-in.ts.
 */

import { invalidRequest, unauthenticated } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import { addressKey } from '../../base/ip-address.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import { type Account, type Accounts, isEmail, type NewAccount, normalizeEmail } from '../accounts/accounts.js';
import type { Verification } from '../accounts/email-verification.js';
import type { Passwords } from '../accounts/passwords.js';
import { type Mfa, wrongOtp } from '../mfa/mfa.js';
import type { Caller } from '../request-meta.js';
import { combineProofs } from '../sessions/authentication-methods.js';
import type { Login, Sessions } from '../sessions/sessions.js';
import { type Attempt, type Attempts, isRateLimit } from './brute-force-protection.js';
import { suspended, wrongCredentials } from './errors.js';
import { createTickets } from './mfa-challenges.js';
import type { LettingIn, Proven } from './session-issuance.js';

interface Needs {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  accounts: Accounts;
  passwords: Passwords;
  verification: Verification;
  sessions: Sessions;
  mfa: Mfa;
  attempts: Attempts;
  limits: Limits;
  lettingIn: LettingIn;
}

export interface Credentials {
  email: string;
  password: string;
  /** A code of the authenticator app, or a recovery code, where the person sends it along. */
  otp?: string;
}

/** Let in, or asked for a second factor first: then the ticket stands for what was proved already. */
export type Admission = ({ kind: 'proven' } & Proven) | { kind: 'factor_needed'; ticket: string };

const REGISTER_BY_ADDRESS: Limit = {
  name: 'register-address',
  points: 30,
  seconds: HOUR_SECONDS,
  code: 'auth_rate_limited',
};

export type SignIn = ReturnType<typeof createSignIn>;

export function createSignIn(needs: Needs) {
  const { db, clock, secrets, accounts, passwords, verification, sessions, mfa, attempts, limits, lettingIn } = needs;
  const tickets = createTickets({ db, clock, secrets });

  return {
    withPassword,
    withSecondFactor,
    demandFactor,
    register,
    reauthenticate,
    ...lettingIn,
  };

  /**
   * Proves a person by password, and by the second factor where one is set up. Refuses with `invalid_credentials` (the same words
   * after the same time for an unknown e-mail), `invalid_otp`, `account_suspended` or `auth_rate_limited`.
   */
  async function withPassword({ email, password, otp }: Credentials, caller: Caller): Promise<Admission> {
    const login = normalizeEmail(email);
    const { account, attempt } = await provePassword(login, password, caller);
    if (!accounts.isActive(account)) {
      await attempts.forgive(attempt);
      attempts.noteFailure(account, 'suspended', caller);
      throw suspended();
    }
    await accounts.renewHash(account, password);
    const admission = await demandFactor({ account, amr: ['pwd'] }, otp, caller);
    // Only now: a right password with a wrong code is an attempt like any other. Without a code it is none.
    await (admission.kind === 'proven' ? attempts.forgive(attempt) : attempts.takeBack(attempt));
    return admission;
  }

  /**
   * For whoever proved who they are by one thing only: asks for the second factor where one is set up. Refuses with `invalid_otp`
   * or `auth_rate_limited`.
   */
  async function demandFactor(proven: Proven, otp: string | undefined, caller: Caller): Promise<Admission> {
    const { account, amr, from } = proven;
    if (!(await mfa.isEnrolled(account.id))) return { kind: 'proven', ...proven };
    if (!otp) return { kind: 'factor_needed', ticket: await tickets.issue(account, amr, from) };
    return { kind: 'proven', ...proven, amr: combineProofs(amr, await proveFactor(account, otp, caller)) };
  }

  /**
   * The second step, for whoever came with a ticket. Refuses with `invalid_token` when the ticket is old, used or void, and as
   * `withPassword` does.
   */
  async function withSecondFactor(sealed: string, otp: string, caller: Caller): Promise<Proven> {
    const ticket = await tickets.read(sealed);
    const account = ticket ? await db.account.findUnique({ where: { id: ticket.accountId } }) : null;
    if (!ticket || !tickets.isFor(ticket, account)) throw tooLate();
    if (!accounts.isActive(account)) {
      attempts.noteFailure(account, 'suspended', caller);
      throw suspended();
    }
    const more = await proveFactor(account, otp, caller);
    if (!(await tickets.spend(ticket))) throw tooLate();
    await attempts.forgiveGuesses(account.email, caller);
    return { account, amr: combineProofs(ticket.amr, more), from: ticket.from };
  }

  /**
   * Somebody who is signed in proves again who they are (step-up), by password or by second factor. Refuses with
   * `invalid_credentials`, `invalid_otp` or `auth_rate_limited`.
   */
  async function reauthenticate(
    login: Login,
    { password, otp }: { password?: string; otp?: string },
    caller: Caller,
  ): Promise<void> {
    if (!password && !otp) throw invalidRequest('Send the password, or a code of the second factor.');
    const { account } = login;
    const amr: string[] = [];
    const proof = password ? await provePassword(account.email, password, caller) : undefined;
    if (proof) amr.push('pwd');
    if (otp) amr.push(...(await proveFactor(account, otp, caller)));
    if (proof) await attempts.forgive(proof.attempt);
    await sessions.proveAgain(login, amr, caller);
  }

  /** Whose e-mail and password these are. The attempt counts until it is forgiven. Refuses with `invalid_credentials`. */
  async function provePassword(
    login: string,
    password: string,
    caller: Caller,
  ): Promise<{ account: Account; attempt: Attempt }> {
    // What cannot be an address is nobody's; it takes as long all the same.
    const account = isEmail(login) ? await accounts.findByEmail(login) : null;
    const attempt = await attempts.spend(login, account, caller);

    const right = await passwords.verify(password, account?.passwordHash);
    if (!account || !right) {
      attempts.noteFailure(account, account ? 'wrong_password' : 'unknown_account', caller);
      throw wrongCredentials();
    }
    return { account, attempt };
  }

  async function proveFactor(account: Account, otp: string, caller: Caller): Promise<string[]> {
    let amr: string[] | undefined;
    try {
      amr = await mfa.verify(account, otp, caller);
    } catch (error) {
      if (isRateLimit(error)) attempts.noteRefusal(account, caller);
      throw error;
    }
    if (amr) return amr;
    attempts.noteFailure(account, 'wrong_otp', caller);
    throw wrongOtp();
  }

  /**
   * Makes an account, and mails the link that verifies its address. Refuses with `invalid_request` by field, `conflict` or
   * `auth_rate_limited`.
   */
  async function register(input: NewAccount, caller: Caller): Promise<Proven> {
    await limits.spend(REGISTER_BY_ADDRESS, addressKey(caller.address));
    const account = await accounts.create(input, caller, { also: verification.begin });
    return { account, amr: ['pwd'] };
  }
}

const tooLate = () => unauthenticated('invalid_token', 'This sign-in took too long. Please start again.');
