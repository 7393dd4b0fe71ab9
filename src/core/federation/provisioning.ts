/** Accounts for people who come from elsewhere for the first time: without a password, and linked from the first moment on. */
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Verification } from '../accounts/email-verification.js';
import type { Arriving, Identities } from '../identities/identities.js';
import type { Caller } from '../request-meta.js';

export interface Newcomer extends Arriving {
  email: string;
  name: string | undefined;
  picture?: string | undefined;
  /** Whoever vouches for them is the one to say whose this address is. */
  emailProven: boolean;
}

interface Needs {
  accounts: Accounts;
  verification: Verification;
  identities: Identities;
}

export type Newcomers = ReturnType<typeof createNewcomers>;

export function createNewcomers({ accounts, verification, identities }: Needs) {
  return { make };

  /**
   * The account, its organization and the link are there together or not at all. Unless the address is proven, the link that proves
   * it is mailed. Refuses with `conflict` when address or person have an account.
   */
  async function make({ email, name, picture, emailProven, ...person }: Newcomer, caller: Caller): Promise<Account> {
    const input = { email, ...(name && { name }), ...(picture && { picture }), passwordHash: null };
    return accounts.create(input, caller, {
      verified: emailProven,
      also: async (made, tx) => {
        await identities.link(made, person, email, caller, tx);
        return emailProven ? undefined : verification.begin(made, tx);
      },
    });
  }
}
