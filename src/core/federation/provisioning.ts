/**
 * Accounts for people who come from elsewhere for the first time: without a password, and linked
 * from the first moment on.
 */
import type { Account, Accounts } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { ExternalEmailState, Identities } from '../identities/identities.js';
import type { RequestMeta } from '../request-meta.js';

export interface ExternalUser extends ExternalEmailState {
  email: string;
  name: string | undefined;
  picture?: string | undefined;
  /** Whoever vouches for them is the one to say whose this address is. */
  emailProven: boolean;
}

interface Deps {
  accounts: Accounts;
  emailVerification: EmailVerification;
  identities: Identities;
}

export type Provisioning = ReturnType<typeof createProvisioning>;

export function createProvisioning({ accounts, emailVerification, identities }: Deps) {
  return { provision };

  /**
   * The account, its organization and the link are there together or not at all. Unless the address
   * is proven, the link that proves it is mailed. Refuses with `conflict` when address or person
   * have an account.
   */
  async function provision(
    { email, name, picture, emailProven, ...person }: ExternalUser,
    meta: RequestMeta,
  ): Promise<Account> {
    const input = { email, ...(name && { name }), ...(picture && { picture }), passwordHash: null };
    return accounts.create(input, meta, {
      verified: emailProven,
      also: async (made, tx) => {
        await identities.link(made, person, email, meta, tx);
        return emailProven ? undefined : emailVerification.begin(made, tx);
      },
    });
  }
}
