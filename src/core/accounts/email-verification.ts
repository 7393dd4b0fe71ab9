/** Whether an e-mail address is its account's: a link is mailed there, and whoever opens it has read it. */

import { type Clock, DAY_SECONDS, HOUR_SECONDS } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Announcements } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import type { Audit } from '../audit/audit.js';
import type { Caller } from '../request-meta.js';
import { type Account, mailboxOf } from './accounts.js';
import { type LinkTokens, linkSpent } from './one-time-tokens.js';

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  announcements: Announcements;
  limits: Limits;
  linkTokens: LinkTokens;
  mail: Mail;
}

const BY_ACCOUNT: Limit = { name: 'verification-account', points: 3, seconds: HOUR_SECONDS };

export type Verification = ReturnType<typeof createVerification>;

export function createVerification({ db, clock, audit, announcements, limits, linkTokens, mail }: Needs) {
  return { isOffered: mail.isConfigured, begin, request, isValid, verify };

  /** For an account that is just being made, in that transaction. Returns how to mail the link after the commit. */
  async function begin(account: Account, tx: Queryable): Promise<() => void> {
    if (!mail.isConfigured) return () => {};
    const token = await linkTokens.make('email', { account, seconds: DAY_SECONDS }, tx);
    return () => mail.send(mailboxOf(account), 'verify-email', { token });
  }

  /** Mails another link, for a day; earlier ones are void. Refuses with `rate_limited`. */
  async function request(account: Account): Promise<void> {
    if (account.emailVerified) return;
    await limits.spend(BY_ACCOUNT, account.id);
    const mailLink = await db.$transaction((tx) => begin(account, tx));
    mailLink();
  }

  /** Whether the link would still work. */
  async function isValid(token: string): Promise<boolean> {
    return (await linkTokens.find('email', token)) !== undefined;
  }

  /** Takes the address as verified. Refuses with `invalid_token`, also when the account has another address by now. */
  async function verify(token: string, caller: Caller): Promise<void> {
    const account = (await linkTokens.find('email', token))?.account;
    if (!account) throw linkSpent();
    const { id, email } = account;
    const proven = { emailVerified: true, ...(!account.emailVerified && { emailVerifiedAt: clock.now() }) };
    await db.$transaction(async (tx) => {
      if (!(await linkTokens.spend('email', token, tx))) throw linkSpent();
      const { count } = await tx.account.updateMany({ where: { id, email }, data: proven });
      if (count !== 1) throw linkSpent();
      const actor = { kind: 'account' as const, id };
      await audit.record({ action: 'email.verified', actor, accountId: id, caller }, tx);
    });
    await announcements.announce('accounts', id);
  }
}
