/** First run: how the first administrator comes to be, by a one-time link or by the settings. */

import { unauthorized } from '../../base/app-error.js';
import { DAY_SECONDS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Account, Accounts, NewAccount } from '../accounts/accounts.js';
import type { OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Audit } from '../audit/audit.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';

interface Deps {
  db: Database;
  audit: Audit;
  accounts: Accounts;
  oneTimeTokens: OneTimeTokens;
}

/** Each process that starts writes a link, and whoever reads one of them cannot know which. */
const MAX_ACTIVE_LINKS = 5;

export function createBootstrap({ db, audit, accounts, oneTimeTokens }: Deps) {
  return { bootstrap, createToken, isValid, complete };

  /**
   * Makes the administrator that the settings name, unless there is one. Refuses as
   * `accounts.create` does.
   */
  async function bootstrap(admin: { email: string; password: string }): Promise<Account | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    try {
      return await accounts.create(admin, systemMeta, { role: 'admin', verified: true });
    } catch (error) {
      if (await accounts.hasAdmin()) return undefined; // another process that started with us was faster
      throw error;
    }
  }

  /**
   * A token for the set-up page, valid for a day, if there is no administrator yet, beside those of
   * the last few starts.
   */
  async function createToken(): Promise<string | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    return db.$transaction(async (tx) => {
      await audit.record({ action: 'setup.link_created', actor: { kind: 'system' } }, tx);
      return oneTimeTokens.create('setup', { seconds: DAY_SECONDS, atMost: MAX_ACTIVE_LINKS }, tx);
    });
  }

  /** Whether it still makes an administrator. A link that nobody used is void once there is one. */
  async function isValid(token: string): Promise<boolean> {
    if (await accounts.hasAdmin()) return false;
    return (await oneTimeTokens.find('setup', token)) !== undefined;
  }

  /**
   * Makes the first administrator. All links are spent in the same transaction. Refuses with
   * `invalid_token`.
   */
  async function complete(token: string, input: NewAccount, meta: RequestMeta): Promise<Account> {
    if (!(await isValid(token))) throw invalidSetupLink();
    return accounts.create(input, meta, {
      role: 'admin',
      verified: true,
      async also(account, tx) {
        if (!(await oneTimeTokens.spendAll('setup', token, tx))) throw invalidSetupLink();
        // A link that was made meanwhile may have been used: of two administrators the second one
        // does not come to be.
        if ((await tx.account.count({ where: { role: 'admin' } })) > 1) throw invalidSetupLink();
        const actor = { kind: 'account' as const, id: account.id };
        await audit.record({ action: 'setup.completed', actor, accountId: account.id, meta }, tx);
      },
    });
  }
}

/** What the link says that works no more. */
export const invalidSetupLink = () =>
  unauthorized('invalid_token', 'This link was used or has expired. Restart the server for a new one.');
