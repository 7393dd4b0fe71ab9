/** Resets and changes passwords. Both revoke the other sessions of the account. */

import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, conflict, invalidRequest, unauthorized } from '../../base/app-error.js';
import type { Background } from '../../base/background.js';
import { type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { Log } from '../../base/log.js';
import type { Mailer } from '../../base/mailer.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import { isEmail, mailAddressOf, normalizeEmail } from '../accounts/fields.js';
import { invalidLink, type OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import { ANONYMOUS, type Audit } from '../audit/audit.js';
import { describeSecurityEvent } from '../sessions/devices.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import type { SignIn } from '../sign-in/sign-in.js';
import type { UnverifiedAccess } from './unverified-access.js';

interface Deps {
  transact: Transact;
  clock: Clock;
  background: Background;
  log: Log;
  invalidationBus: InvalidationBus;
  accounts: Accounts;
  passwords: Passwords;
  oneTimeTokens: OneTimeTokens;
  unverifiedAccess: UnverifiedAccess;
  sessions: Sessions;
  signIn: SignIn;
  rateLimiter: RateLimiter;
  audit: Audit;
  mailer: Mailer;
}

const RESETS_BY_IP = LIMITS['forgot-address'];
/** Limits mails to one account, so that an attacker cannot flood the mailbox. */
const RESETS_BY_ACCOUNT = LIMITS['forgot-account'];
/**
 * Delays the lookup until after the response, so that timing does not reveal whether the account
 * exists.
 */
const LOOKUP_DELAY_MS = 50;
const MAX_PENDING_RESETS = 1000;

export type PasswordReset = ReturnType<typeof createPasswordReset>;

export function createPasswordReset(deps: Deps) {
  const {
    transact,
    clock,
    background,
    log,
    invalidationBus,
    accounts,
    passwords,
    oneTimeTokens,
    unverifiedAccess,
    sessions,
    signIn,
    rateLimiter,
    audit,
    mailer,
  } = deps;
  let pendingResets = 0;

  return { isOffered: mailer.canSend, requestReset, isValid, reset, changePassword, setFirstPassword };

  /**
   * Mails a reset link to the active account with this e-mail address, if any. The caller cannot
   * tell whether the account exists. Throws `AppError` `rate_limited`, limited by IP address.
   */
  async function requestReset(email: string, meta: RequestMeta): Promise<void> {
    await rateLimiter.consume(RESETS_BY_IP, rateLimitKey(meta.address));
    if (!mailer.canSend) return;
    if (pendingResets >= MAX_PENDING_RESETS) {
      log.error('too many pending password resets: a reset link was not mailed');
      return;
    }
    pendingResets += 1;
    background.run('mail a password reset link', () => mailResetLinkAfterDelay(normalizeEmail(email), meta));
  }

  async function mailResetLinkAfterDelay(email: string, meta: RequestMeta): Promise<void> {
    const delayMs = LOOKUP_DELAY_MS * (1 + Math.random());
    try {
      await sleep(delayMs);
      await mailResetLink(email, meta);
    } finally {
      pendingResets -= 1;
    }
  }

  async function mailResetLink(email: string, meta: RequestMeta): Promise<void> {
    const account = isEmail(email) ? await accounts.findByEmail(email) : null;
    if (!accounts.isActive(account) || !(await rateLimiter.tryConsume(RESETS_BY_ACCOUNT, account.id))) return;
    await transact(async (uow) => {
      await audit.record(uow, 'password.reset_requested', { by: ANONYMOUS, accountId: account.id, meta });
      const token = await oneTimeTokens.create('reset', { account, seconds: HOUR_SECONDS }, uow.tx);
      uow.afterCommit(() => mailer.send(mailAddressOf(account), 'reset-password', { token }));
    });
  }

  /** Reports whether a reset link can still be used. */
  async function isValid(token: string): Promise<boolean> {
    return (await oneTimeTokens.find('reset', token)) !== undefined;
  }

  /**
   * Sets a new password with a mailed token and revokes all sessions and grants, in one
   * transaction. If the e-mail address was never verified, it also removes what was set up before.
   * Throws `AppError` `invalid_token`. Throws `invalid_request` if the password is not allowed; the
   * token then stays valid.
   */
  async function reset(token: string, password: string, meta: RequestMeta): Promise<void> {
    const account = (await oneTimeTokens.find('reset', token))?.account;
    if (!account) throw invalidLink();
    const passwordHash = await validateAndHash(password, account, meta);
    const { id, email, emailVerified } = account;
    await transact(async (uow) => {
      const { tx } = uow;
      if (!(await oneTimeTokens.consume('reset', token, tx))) throw invalidLink();
      const now = clock.now();
      // The link was mailed, so using it verifies the address.
      const verification = { emailVerified: true, ...(!emailVerified && { emailVerifiedAt: now }) };
      const { count } = await tx.account.updateMany({
        where: { id, email, status: 'active' },
        // `notBefore` invalidates self-contained tokens that were issued earlier.
        data: { passwordHash, passwordChangedAt: now, notBefore: now, ...verification },
      });
      if (count !== 1) throw invalidLink();
      await oneTimeTokens.revoke('reset', id, tx);
      if (!emailVerified) await unverifiedAccess.remove(uow, id);
      await audit.record(uow, 'password.reset', { by: id, accountId: id, meta, detail: { cleared: !emailVerified } });
      await sessions.revokeAll(uow, id, { reason: 'password_changed', meta });
      notifyAndInvalidateAfterCommit(uow, account, meta);
    });
  }

  /**
   * Replaces the password after verifying the current one, and revokes all other sessions. Throws
   * `AppError` `invalid_credentials` or `auth_rate_limited` like a sign-in, `invalid_request` with
   * the field `password`, or `conflict`.
   */
  async function changePassword(
    session: AuthenticatedSession,
    { current, next }: { current: string; next: string },
    meta: RequestMeta,
  ): Promise<void> {
    await verifyCurrentPassword(session, current, meta);
    await replacePassword(session, next, meta);
  }

  /**
   * Sets the first password of an account that signs in with an external provider, and revokes all
   * other sessions. The caller must require recent authentication. Throws `AppError`
   * `invalid_request` with the field `password`, or `conflict`.
   */
  async function setFirstPassword(session: AuthenticatedSession, next: string, meta: RequestMeta): Promise<void> {
    if (session.account.passwordHash !== null) throw conflict('There is a password already. Change it instead.');
    await replacePassword(session, next, meta);
  }

  async function replacePassword(
    { account, session }: AuthenticatedSession,
    next: string,
    meta: RequestMeta,
  ): Promise<void> {
    const passwordHash = await validateAndHash(next, account, meta);
    const { id, passwordChangedAt } = account;
    await transact(async (uow) => {
      const { tx } = uow;
      await accounts.lockActing({ account, session }, tx);
      const { count } = await tx.account.updateMany({
        where: { id, status: 'active', passwordChangedAt },
        data: { passwordHash, passwordChangedAt: clock.now() },
      });
      if (count !== 1) throw conflict('The password was just changed. Please sign in with the new one.');
      await oneTimeTokens.revoke('reset', id, tx);
      await audit.record(uow, 'password.changed', { by: id, accountId: id, meta });
      await sessions.revokeAll(uow, id, { reason: 'password_changed', except: session.id, meta });
      notifyAndInvalidateAfterCommit(uow, account, meta);
    });
  }

  /** Verifies the current password. A wrong one counts as a failed sign-in. */
  async function verifyCurrentPassword(
    session: AuthenticatedSession,
    current: string,
    meta: RequestMeta,
  ): Promise<void> {
    try {
      await signIn.reauthenticate(session, { password: current }, meta);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'invalid_credentials') throw error;
      throw unauthorized('invalid_credentials', 'The current password is incorrect.');
    }
  }

  async function validateAndHash(password: string, { email }: Account, meta: RequestMeta): Promise<string> {
    const error = await passwords.error(password, email);
    if (error) throw invalidRequest('This password is not allowed.', { password: error });
    return passwords.hash(password, meta);
  }

  function notifyAndInvalidateAfterCommit({ afterCommit }: UnitOfWork, account: Account, meta: RequestMeta): void {
    const event = describeSecurityEvent(meta, clock.now());
    afterCommit(() => mailer.send(mailAddressOf(account), 'password-changed', event));
    afterCommit(() => invalidationBus.publish('accounts', account.id));
  }
}
