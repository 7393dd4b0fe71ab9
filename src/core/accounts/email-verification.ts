/**
 * Verifies e-mail addresses. Only a user who receives the e-mail can open the link in it. The user
 * must also be signed in to the account or know its password: a stranger can have registered it
 * with the address of the recipient, who would otherwise confirm the stranger's credentials.
 */

import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { LIMITS } from '../../base/limits.js';
import type { Mailer } from '../../base/mailer.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit } from '../audit/audit.js';
import type { Account, Accounts } from './accounts.js';
import type { ActingUser } from './acting-user.js';
import { mailAddressOf } from './fields.js';
import { invalidLink, type OneTimeTokens } from './one-time-tokens.js';

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  rateLimiter: RateLimiter;
  accounts: Pick<Accounts, 'lockActing'>;
  oneTimeTokens: OneTimeTokens;
  mailer: Mailer;
}

const LINKS_BY_ACCOUNT = LIMITS['verification-account'];

export type EmailVerification = ReturnType<typeof createEmailVerification>;

export function createEmailVerification(deps: Deps) {
  const { transact, clock, audit, invalidationBus, rateLimiter, accounts, oneTimeTokens, mailer } = deps;

  return { isOffered: mailer.canSend, begin, request, accountOf, verify };

  /**
   * Creates a link that is valid for a day, and sends it after the commit. Earlier links become
   * invalid. Does nothing if the server sends no e-mail.
   */
  async function begin({ tx, afterCommit }: UnitOfWork, account: Account): Promise<void> {
    if (!mailer.canSend) return;
    const token = await oneTimeTokens.create('email', { account, seconds: DAY_SECONDS }, tx);
    afterCommit(() => mailer.send(mailAddressOf(account), 'verify-email', { token }));
  }

  /** Sends another link. Throws `AppError` `rate_limited`. */
  async function request(account: Account): Promise<void> {
    if (account.emailVerified) return;
    await rateLimiter.consume(LINKS_BY_ACCOUNT, account.id);
    await transact((uow) => begin(uow, account));
  }

  /** Returns the account of a link that can still be used. */
  async function accountOf(token: string): Promise<Account | undefined> {
    return (await oneTimeTokens.find('email', token))?.account ?? undefined;
  }

  /**
   * Marks the e-mail address of an authenticated user as verified. Throws `AppError`
   * `invalid_token` if the token is invalid, belongs to another account, or the account now has
   * another address.
   */
  async function verify(token: string, user: ActingUser, meta: RequestMeta): Promise<void> {
    const account = await accountOf(token);
    if (account?.id !== user.account.id) throw invalidLink();
    const { id, email } = account;
    const verification = { emailVerified: true, ...(!account.emailVerified && { emailVerifiedAt: clock.now() }) };
    await transact(async (uow) => {
      await accounts.lockActing(user, uow.tx);
      if (!(await oneTimeTokens.consume('email', token, uow.tx))) throw invalidLink();
      const { count } = await uow.tx.account.updateMany({ where: { id, email }, data: verification });
      if (count !== 1) throw invalidLink();
      await audit.record(uow, 'email.verified', { by: id, accountId: id, meta });
      uow.afterCommit(() => invalidationBus.publish('accounts', id));
    });
  }
}
