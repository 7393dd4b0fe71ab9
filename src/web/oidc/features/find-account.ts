/** Finds the account of a session or token for oidc-provider. */
import { epochSeconds } from '../../../base/clock.js';
import type { Accounts } from '../../../core/accounts/accounts.js';
import { toClaims } from '../../../core/accounts/claims.js';

export type FindAccount = ReturnType<typeof createFindAccount>;

/**
 * Returns the function. It does not find inactive accounts, nor an account for an outdated token.
 */
export function createFindAccount({ accounts }: { accounts: Accounts }) {
  return async function findAccount(_ctx: unknown, sub: string, token?: { iat?: number }) {
    const account = await accounts.find(sub);
    if (!accounts.isActive(account)) return undefined;
    const issuedAt = token?.iat;
    if (account.notBefore && issuedAt !== undefined && issuedAt < epochSeconds(account.notBefore)) return undefined;
    return { accountId: account.id, claims: async () => toClaims(account) };
  };
}
