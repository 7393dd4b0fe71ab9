/**
 * Just-in-time provisioning: creates accounts for users of external providers. The accounts have no
 * password and are linked to the users' identities.
 */
import { isUniqueViolation } from '../../base/app-error.js';
import type { Transact } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { type Account, type Accounts, addressTaken } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { Identities, IdentityWithTokens } from '../identities/identities.js';

export interface ExternalUser extends IdentityWithTokens {
  email: string;
  name: string | undefined;
  picture?: string | undefined;
  /** Whether the provider verified the address and is authoritative for it. */
  emailAuthoritative: boolean;
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
   * Creates the account, its organization and the identity in one transaction. Sends a verification
   * link, unless the provider is authoritative for the address. Throws `AppError` `conflict` if the
   * address or the identity already has an account.
   */
  async function provision(
    { email, name, picture, emailAuthoritative, ...identity }: ExternalUser,
    meta: RequestMeta,
  ): Promise<Account> {
    const input = { email, ...(name && { name }), ...(picture && { picture }), passwordHash: null };
    const prepared = await accounts.prepare(input, meta);
    return transact(async (uow) => {
      const account = await accounts.insert(uow, prepared, meta, { verified: emailAuthoritative });
      await identities.link(account, identity, email, meta, uow.tx);
      if (!emailAuthoritative) await emailVerification.begin(uow, account);
      return account;
    }).catch((error) => {
      throw isUniqueViolation(error) ? addressTaken() : error; // a concurrent sign-in linked the identity
    });
  }
}
