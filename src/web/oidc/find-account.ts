/** The account behind a session or a token, as oidc-provider asks for it. */
import type { FindAccount } from 'oidc-provider';
import { epochSeconds } from '../../base/clock.js';
import type { Accounts } from '../../core/accounts/accounts.js';
import { toClaims } from '../../core/accounts/claims.js';

export function createFindAccount({ accounts }: { accounts: Accounts }): FindAccount {
  return async function findAccount(_ctx, sub, token) {
    const account = await accounts.find(sub);
    if (!accounts.isActive(account)) return undefined;
    const issuedAt = (token as { iat?: number } | undefined)?.iat;
    if (account.notBefore && issuedAt !== undefined && issuedAt < epochSeconds(account.notBefore)) return undefined;
    return { accountId: account.id, claims: async () => toClaims(account) };
  };
}
