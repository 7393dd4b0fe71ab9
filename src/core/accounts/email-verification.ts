/**
 * Whether an e-mail address is its account's: a link is mailed there, and whoever opens it has read
 * it.
 */

import { type Clock, DAY_SECONDS, HOUR_SECONDS } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import { type Account, mailAddressOf } from './accounts.js';
import { invalidLink, type OneTimeTokens } from './one-time-tokens.js';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  rateLimiter: RateLimiter;
  oneTimeTokens: OneTimeTokens;
  mail: Mail;
}

const BY_ACCOUNT: Limit = { name: 'verification-account', points: 3, seconds: HOUR_SECONDS };

export type EmailVerification = ReturnType<typeof createEmailVerification>;

export function createEmailVerification({ db, clock, audit, invalidationBus, rateLimiter, oneTimeTokens, mail }: Deps) {
  return { isOffered: mail.isConfigured, begin, request, isValid, verify };

  /**
   * For an account that is just being made, in that transaction. Returns how to mail the link after
   * the commit.
   */
  async function begin(account: Account, tx: Queryable): Promise<() => void> {
    if (!mail.isConfigured) return () => {};
    const token = await oneTimeTokens.create('email', { account, seconds: DAY_SECONDS }, tx);
    return () => mail.send(mailAddressOf(account), 'verify-email', { token });
  }

  /** Mails another link, for a day; earlier ones are void. Refuses with `rate_limited`. */
  async function request(account: Account): Promise<void> {
    if (account.emailVerified) return;
    await rateLimiter.consume(BY_ACCOUNT, account.id);
    const mailLink = await db.$transaction((tx) => begin(account, tx));
    mailLink();
  }

  /** Whether the link would still work. */
  async function isValid(token: string): Promise<boolean> {
    return (await oneTimeTokens.find('email', token)) !== undefined;
  }

  /**
   * Takes the address as verified. Refuses with `invalid_token`, also when the account has another
   * address by now.
   */
  async function verify(token: string, meta: RequestMeta): Promise<void> {
    const account = (await oneTimeTokens.find('email', token))?.account;
    if (!account) throw invalidLink();
    const { id, email } = account;
    const authenticated = { emailVerified: true, ...(!account.emailVerified && { emailVerifiedAt: clock.now() }) };
    await db.$transaction(async (tx) => {
      if (!(await oneTimeTokens.consume('email', token, tx))) throw invalidLink();
      const { count } = await tx.account.updateMany({ where: { id, email }, data: authenticated });
      if (count !== 1) throw invalidLink();
      const actor = { kind: 'account' as const, id };
      await audit.record({ action: 'email.verified', actor, accountId: id, meta }, tx);
    });
    await invalidationBus.publish('accounts', id);
  }
}
