/**
 * Passwords that are forgotten, and passwords that are changed: whoever had signed in by the old
 * one is signed out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, conflict, invalidRequest, unauthorized } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Log } from '../../base/log.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { type Account, type Accounts, isEmail, mailAddressOf, normalizeEmail } from '../accounts/accounts.js';
import { invalidLink, type OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Audit } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { RequestMeta } from '../request-meta.js';
import { describeSecurityEvent } from '../sessions/devices.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import type { SignIn } from '../sign-in/sign-in.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  log: Log;
  invalidationBus: InvalidationBus;
  accounts: Accounts;
  passwords: Passwords;
  oneTimeTokens: OneTimeTokens;
  identities: Identities;
  apiKeys: Pick<ApiKeys, 'removeAllFor'>;
  agents: Pick<Agents, 'removeAllFor'>;
  mfa: Pick<Mfa, 'removeAllFor'>;
  sessions: Sessions;
  signIn: SignIn;
  rateLimiter: RateLimiter;
  audit: Audit;
  mail: Mail;
}

const FORGOT_BY_ADDRESS: Limit = { name: 'forgot-address', points: 30, seconds: HOUR_SECONDS };
/** A stranger who knows an address cannot fill its mailbox. */
const FORGOT_BY_ACCOUNT: Limit = { name: 'forgot-account', points: 3, seconds: HOUR_SECONDS };
/**
 * The answer has long been given when the account is looked for, so that it tells nothing by its
 * time.
 */
const DELIVERY_CHECK_MS = 50;
const MAX_WAITING = 1000;

export type PasswordReset = ReturnType<typeof createPasswordReset>;

export function createPasswordReset(deps: Deps) {
  const {
    db,
    transact,
    clock,
    log,
    invalidationBus,
    accounts,
    passwords,
    oneTimeTokens,
    sessions,
    signIn,
    rateLimiter,
    audit,
    mail,
  } = deps;
  const { identities, apiKeys, agents, mfa } = deps;
  const running = new Set<Promise<void>>();
  const closing = new AbortController();

  return { isOffered: mail.isConfigured, requestReset, isValid, reset, changePassword, setFirstPassword, settle };

  /**
   * Mails a link to choose a new password, if there is an account with this address. Whoever asks
   * is not told whether there is. Refuses with `rate_limited` whoever asks from one place again and
   * again, whomever they ask for.
   */
  async function requestReset(email: string, meta: RequestMeta): Promise<void> {
    await rateLimiter.consume(FORGOT_BY_ADDRESS, rateLimitKey(meta.address));
    if (!mail.isConfigured) return;
    if (running.size >= MAX_WAITING) {
      log.error('too many people forgot their passwords at once: one was not mailed');
      return;
    }
    const job = mailLinkLater(normalizeEmail(email), meta);
    running.add(job);
    void job.finally(() => running.delete(job));
  }

  async function mailLinkLater(email: string, meta: RequestMeta): Promise<void> {
    const pause = DELIVERY_CHECK_MS * (1 + Math.random());
    await sleep(pause, undefined, { signal: closing.signal }).catch(() => {}); // closing: at once
    try {
      await mailLink(email, meta);
    } catch (error) {
      log.error({ error }, 'a link for a new password could not be made');
    }
  }

  async function mailLink(email: string, meta: RequestMeta): Promise<void> {
    const account = isEmail(email) ? await accounts.findByEmail(email) : null;
    if (!accounts.isActive(account) || !(await rateLimiter.tryConsume(FORGOT_BY_ACCOUNT, account.id))) return;
    const token = await db.$transaction(async (tx) => {
      const actor = { kind: 'anonymous' as const };
      await audit.record({ action: 'password.reset_requested', actor, accountId: account.id, meta }, tx);
      return oneTimeTokens.create('reset', { account, seconds: HOUR_SECONDS }, tx);
    });
    mail.send(mailAddressOf(account), 'reset-password', { token });
  }

  /** Whether the link would still work. */
  async function isValid(token: string): Promise<boolean> {
    return (await oneTimeTokens.find('reset', token)) !== undefined;
  }

  /**
   * Sets a new password by a mailed link, which is spent, and ends every login and grant of the
   * account, all in one transaction. If the address was never verified, keys, agents, second
   * factors and links to other issuers go as well. Refuses with `invalid_token`, or with
   * `invalid_request` for a password that may not be chosen: then the link stays good.
   */
  async function reset(token: string, password: string, meta: RequestMeta): Promise<void> {
    const account = (await oneTimeTokens.find('reset', token))?.account;
    if (!account) throw invalidLink();
    const passwordHash = await hashOf(password, account);
    const { id, email, emailVerified } = account;
    await transact(async (uow) => {
      const { tx } = uow;
      if (!(await oneTimeTokens.consume('reset', token, tx))) throw invalidLink();
      const now = clock.now();
      const authenticated = { emailVerified: true, ...(!emailVerified && { emailVerifiedAt: now }) };
      const { count } = await tx.account.updateMany({
        where: { id, email, status: 'active' },
        // Whoever read the mail has the mailbox. Tokens that live by themselves are refused for
        // their age.
        data: { passwordHash, passwordChangedAt: now, notBefore: now, ...authenticated },
      });
      if (count !== 1) throw invalidLink();
      await oneTimeTokens.revoke('reset', id, tx);
      // Until now nobody had shown that the address is theirs: what was attached to the account may
      // be a stranger's, who made it to wait for its owner (account pre-hijacking).
      if (!emailVerified) for (const room of [identities, apiKeys, agents, mfa]) await room.removeAllFor(id, tx);
      await note('password.reset', id, meta, tx, { cleared: !emailVerified });
      await sessions.revokeAll(uow, id, { reason: 'password_changed', meta });
      notifyAfterCommit(uow, account, meta);
    });
  }

  /**
   * Replaces the password of somebody who knows it; every other login ends. Refuses with
   * `invalid_credentials` and `auth_rate_limited` as a sign-in does, with `invalid_request` by
   * field (`password`), or with `conflict`.
   */
  async function changePassword(
    login: AuthenticatedSession,
    { current, next }: { current: string; next: string },
    meta: RequestMeta,
  ): Promise<void> {
    await verifyCurrent(login, current, meta);
    await replace(login, next, meta);
  }

  /**
   * The first password of somebody who always came by a provider elsewhere; every other login ends.
   * Whether they proved lately who they are is for the door to ask. Refuses with `invalid_request`
   * by field (`password`), or with `conflict`.
   */
  async function setFirstPassword(login: AuthenticatedSession, next: string, meta: RequestMeta): Promise<void> {
    if (login.account.passwordHash !== null) throw conflict('There is a password already. Change it instead.');
    await replace(login, next, meta);
  }

  async function replace({ account, session }: AuthenticatedSession, next: string, meta: RequestMeta): Promise<void> {
    const passwordHash = await hashOf(next, account);
    const { id, passwordChangedAt } = account;
    await transact(async (uow) => {
      const { tx } = uow;
      const { count } = await tx.account.updateMany({
        where: { id, status: 'active', passwordChangedAt },
        data: { passwordHash, passwordChangedAt: clock.now() },
      });
      if (count !== 1) throw conflict('The password was changed a moment ago. Please sign in with it.');
      await oneTimeTokens.revoke('reset', id, tx);
      await note('password.changed', id, meta, tx);
      await sessions.revokeAll(uow, id, { reason: 'password_changed', except: session.id, meta });
      notifyAfterCommit(uow, account, meta);
    });
  }

  /** A guess at it counts as one at the sign-in. */
  async function verifyCurrent(login: AuthenticatedSession, current: string, meta: RequestMeta): Promise<void> {
    try {
      await signIn.reauthenticate(login, { password: current }, meta);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'invalid_credentials') throw error;
      throw unauthorized('invalid_credentials', 'The current password is not right.');
    }
  }

  async function hashOf(password: string, { email }: Account): Promise<string> {
    const problem = await passwords.error(password, email);
    if (problem) throw invalidRequest('This password cannot be used.', { password: problem });
    return passwords.hash(password);
  }

  async function note(
    action: 'password.changed' | 'password.reset',
    accountId: string,
    meta: RequestMeta,
    tx: Queryable,
    detail?: { cleared: boolean },
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: accountId };
    await audit.record({ action, actor, accountId, meta, ...(detail && { detail }) }, tx);
  }

  function notifyAfterCommit({ afterCommit }: UnitOfWork, account: Account, meta: RequestMeta): void {
    const event = describeSecurityEvent(meta, clock.now());
    afterCommit(() => mail.send(mailAddressOf(account), 'password-changed', event));
    afterCommit(() => invalidationBus.publish('accounts', account.id));
  }

  /** Waits for what goes on after the answers. */
  async function settle(): Promise<void> {
    closing.abort();
    await Promise.all(running);
  }
}
