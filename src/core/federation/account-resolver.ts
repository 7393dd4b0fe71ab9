/** Resolves external identities to accounts, for external providers and for proxy login. */

import { AppError, isUniqueViolation } from '../../base/app-error.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Identities, IdentityWithTokens } from '../identities/identities.js';

/** The user of an external login or a proxy login. */
interface ExternalUser extends IdentityWithTokens {
  email?: string | undefined;
  /** Undefined for proxy login: users cannot link the upstream provider themselves. */
  provider?: { name: string };
}

interface Deps {
  accounts: Pick<Accounts, 'isActive'>;
  identities: Pick<Identities, 'find' | 'recordUse'>;
}

export type AccountResolver = ReturnType<typeof createAccountResolver>;

export function createAccountResolver({ accounts, identities }: Deps) {
  return { resolve };

  /**
   * Returns the account that is linked to the identity. If no account is linked, returns the one
   * that `create` creates. If `create` throws a conflict, a concurrent sign-in can have linked the
   * identity; otherwise another account has the e-mail address, and this function throws `AppError`
   * `link_required`.
   */
  async function resolve(user: ExternalUser, create: () => Promise<Account>): Promise<Account> {
    const linked = await findLinked(user);
    if (linked) return linked;
    try {
      return await create();
    } catch (error) {
      if (!isConflict(error)) throw error;
      const linkedConcurrently = await findLinked(user);
      if (linkedConcurrently) return linkedConcurrently;
      throw linkRequired(user.provider?.name, error);
    }
  }

  async function findLinked(user: ExternalUser): Promise<Account | undefined> {
    const account = await identities.find(user);
    if (accounts.isActive(account)) await identities.recordUse(user, user.email);
    return account;
  }
}

const isConflict = (error: unknown) => isUniqueViolation(error) || (error instanceof AppError && error.status === 409);

/**
 * Returns the error for an e-mail address whose account is not linked to the provider.
 *
 * @param provider the provider's name; undefined for the upstream provider
 */
export function linkRequired(provider: string | undefined, cause?: unknown): AppError {
  const message = provider
    ? `There is already an account with this e-mail address, and it is not linked to ${provider}. Sign in to it, then link ${provider} under Security in your account.`
    : 'There is already an account with this e-mail address, and it is not linked to the upstream provider. Ask an administrator to link it.';
  return new AppError(409, 'link_required', message, { cause });
}
