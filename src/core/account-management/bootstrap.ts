/** Creates the first administrator, from a one-time setup link or from the configuration. */

import { unauthorized } from '../../base/app-error.js';
import { DAY_SECONDS } from '../../base/clock.js';
import type { Transact } from '../../base/db/transaction.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import type { Account, Accounts, NewAccount } from '../accounts/accounts.js';
import type { OneTimeTokens } from '../accounts/one-time-tokens.js';
import { type Audit, SYSTEM } from '../audit/audit.js';

interface Deps {
  transact: Transact;
  audit: Audit;
  accounts: Accounts;
  oneTimeTokens: OneTimeTokens;
}

/** Each start prints a link. The links of the last few starts stay valid. */
const MAX_ACTIVE_LINKS = 5;

export function createBootstrap({ transact, audit, accounts, oneTimeTokens }: Deps) {
  return { bootstrap, createToken, isValid, complete };

  /**
   * Creates the administrator that the configuration names, unless an administrator exists. Throws
   * like `accounts.create`.
   */
  async function bootstrap(admin: { email: string; password: string }): Promise<Account | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    try {
      return await accounts.create(admin, systemMeta, { role: 'admin', verified: true });
    } catch (error) {
      if (await accounts.hasAdmin()) return undefined; // a concurrent start created it
      throw error;
    }
  }

  /**
   * Returns a token for the setup page that is valid for a day. Returns undefined if an
   * administrator exists.
   */
  async function createToken(): Promise<string | undefined> {
    if (await accounts.hasAdmin()) return undefined;
    return transact(async (uow) => {
      await audit.record(uow, 'setup.link_created', { by: SYSTEM });
      return oneTimeTokens.create('setup', { seconds: DAY_SECONDS, atMost: MAX_ACTIVE_LINKS }, uow.tx);
    });
  }

  /** Reports whether the token can be used. Once an administrator exists, no token is valid. */
  async function isValid(token: string): Promise<boolean> {
    if (await accounts.hasAdmin()) return false;
    return (await oneTimeTokens.find('setup', token)) !== undefined;
  }

  /**
   * Creates the first administrator and consumes all setup tokens. Throws `AppError`
   * `invalid_token`, or like `accounts.create`.
   */
  async function complete(token: string, input: NewAccount, meta: RequestMeta): Promise<Account> {
    if (!(await isValid(token))) throw invalidSetupLink();
    const prepared = await accounts.prepare(input, meta);
    return transact(async (uow) => {
      const account = await accounts.insert(uow, prepared, meta, { role: 'admin', verified: true });
      if (!(await oneTimeTokens.consumeAll('setup', token, uow.tx))) throw invalidSetupLink();
      // `consumeAll` misses tokens that are created concurrently, and such a token can be used too.
      // Counting ensures that only one administrator is created.
      if ((await uow.tx.account.count({ where: { role: 'admin' } })) > 1) throw invalidSetupLink();
      await audit.record(uow, 'setup.completed', { by: account.id, accountId: account.id, meta });
      return account;
    });
  }
}

/** Returns the error for a used or expired setup link. */
export const invalidSetupLink = () =>
  unauthorized('invalid_token', 'This link was used or has expired. Restart the server for a new one.');
