/**
 * Just-in-time provisioning: creates accounts without a password for users of external providers,
 * already linked to their identities.
 */
import { isUniqueViolation } from '../../base/app-error.js';
import type { Transact } from '../../base/db/transaction.js';
import { type Account, type Accounts, addressTaken } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { Identities, IdentityWithTokens } from '../identities/identities.js';
import type { RequestMeta } from '../request-meta.js';

export interface ExternalUser extends IdentityWithTokens {
  email: string;
  name: string | undefined;
  picture?: string | undefined;
  /** Whether the provider has verified the address and is authoritative for it. */
  emailProven: boolean;
}

interface Deps {
  transact: Transact;
  accounts: Accounts;
  emailVerification: EmailVerification;
  identities: Identities;
}

export type Provisioning = ReturnType<typeof createProvisioning>;

export function createProvisioning({ transact, accounts, emailVerification, identities }: Deps) {
  return { provision };

  /**
   * Creates the account, its organization and the identity in one transaction. Unless the address
   * is proven, a verification link is mailed. Throws `AppError` `conflict` if the address or the
   * identity has an account.
   */
  async function provision(
    { email, name, picture, emailProven, ...identity }: ExternalUser,
    meta: RequestMeta,
  ): Promise<Account> {
    const input = { email, ...(name && { name }), ...(picture && { picture }), passwordHash: null };
    const prepared = await accounts.prepare(input);
    return transact(async (uow) => {
      const account = await accounts.insert(uow, prepared, meta, { verified: emailProven });
      await identities.link(account, identity, email, meta, uow.tx);
      if (!emailProven) await emailVerification.begin(uow, account);
      return account;
    }).catch((error) => {
      throw isUniqueViolation(error) ? addressTaken() : error; // a concurrent sign-in linked the identity
    });
  }
}
