/** First run: how the first administrator comes to be, by a one-time link or by the settings. */
import { DAY_SECONDS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import { unauthenticated } from '../../base/errors.js';
import type { Account, Accounts, NewAccount } from '../accounts/accounts.js';
import type { LinkTokens } from '../accounts/link-tokens.js';
import type { Audit } from '../audit/audit.js';
import { type Caller, systemCaller } from '../caller.js';

interface Needs {
  db: Database;
  audit: Audit;
  accounts: Accounts;
  linkTokens: LinkTokens;
}

export function createSetup({ db, audit, accounts, linkTokens }: Needs) {
  return { bootstrap, makeToken, isValid, complete };

  /** Makes the administrator that the settings name, unless there is one. Refuses as `accounts.create` does. */
  async function bootstrap(admin: { email: string; password: string }): Promise<Account | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    try {
      return await accounts.create(admin, systemCaller, { role: 'admin', verified: true });
    } catch (error) {
      if (await accounts.hasAdmin()) return undefined; // another process that started with us was faster
      throw error;
    }
  }

  /** A token for the set-up page, valid for a day, if there is no administrator yet. Earlier ones are void. */
  async function makeToken(): Promise<string | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    return db.$transaction(async (tx) => {
      await audit.record({ action: 'setup.link_made', actor: { kind: 'system' } }, tx);
      return linkTokens.make('setup', { seconds: DAY_SECONDS }, tx);
    });
  }

  /** Whether it still makes an administrator. A link that nobody used is void once there is one. */
  async function isValid(token: string): Promise<boolean> {
    if (await accounts.hasAdmin()) return false;
    return (await linkTokens.find('setup', token)) !== undefined;
  }

  /** Makes the first administrator. The token is spent in the same transaction. Refuses with `invalid_token`. */
  async function complete(token: string, input: NewAccount, caller: Caller): Promise<Account> {
    if (!(await isValid(token))) throw setupLinkSpent();
    return accounts.create(input, caller, {
      role: 'admin',
      verified: true,
      async also(account, tx) {
        if (!(await linkTokens.spend('setup', token, tx))) throw setupLinkSpent();
        const actor = { kind: 'account' as const, id: account.id };
        await audit.record({ action: 'setup.completed', actor, accountId: account.id, caller }, tx);
      },
    });
  }
}

/** What the link says that works no more. */
export const setupLinkSpent = () =>
  unauthenticated('invalid_token', 'This link was used or has expired. Restart the server for a new one.');
